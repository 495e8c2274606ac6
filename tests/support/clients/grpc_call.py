"""One unary call with grpcio, as a program: TARGET, CA FILE. Prints the answer, or the status and its details.

A program, because grpcio reads `https_proxy` from the environment, and its threads are of one network namespace.
"""

from __future__ import annotations

import sys
from pathlib import Path

import grpc


def main(target: str, authority: str) -> int:
    credentials = grpc.ssl_channel_credentials(Path(authority).read_bytes())
    with grpc.secure_channel(target, credentials) as channel:
        try:
            answer = channel.unary_unary("/echo.Echo/Unary")(b'{"text": "through"}', timeout=10)
        except grpc.RpcError as error:
            sys.stdout.write(f"{error.code().name}: {error.details()}")
            return 1
    sys.stdout.write(answer.decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
