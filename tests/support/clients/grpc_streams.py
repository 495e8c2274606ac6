"""Calls of the echo service with grpcio in the clear, as a program: TARGET, AUTHORITY, KIND, SERVICE, MESSAGE.

Prints each answer in a line of its own as it comes, and the status of a call that failed behind them.
A program, because grpcio's threads are of one network namespace.
"""

from __future__ import annotations

import sys

import grpc


def main(target: str, authority: str, kind: str, service: str, message: str) -> int:
    data = message.encode()
    with grpc.insecure_channel(target, options=[("grpc.default_authority", authority)]) as channel:
        try:
            if kind == "Unary":
                say(channel.unary_unary(f"/{service}/Unary")(data, timeout=30))
            elif kind == "ServerStream":
                for answer in channel.unary_stream(f"/{service}/ServerStream")(data, timeout=30):
                    say(answer)
            elif kind == "ClientStream":
                say(channel.stream_unary(f"/{service}/ClientStream")(iter([data, data, data]), timeout=30))
            else:
                for answer in channel.stream_stream(f"/{service}/Bidirectional")(iter([data, data]), timeout=30):
                    say(answer)
        except grpc.RpcError as error:
            say(f"{error.code().name}: {error.details()}".encode())
            return 1
    return 0


def say(answer: bytes) -> None:
    sys.stdout.write(answer.decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
