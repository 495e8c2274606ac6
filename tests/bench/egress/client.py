"""A client of forward proxies: tunnels one after the other, or bytes through a few of them, for so many seconds.

Runs as a program of its own, ``python -m tests.bench.egress.client``, with a process for each tunnel that is open at
once, and prints what it counted as JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.pool
import socket
import sys
import time
from typing import Literal

Mode = Literal["tunnels", "bytes"]
SMALL = b"outside"
"""Content of the small answer."""
TIMEOUT_SECONDS = 10.0
_PIECE = 1 << 20
_SAMPLES = 20_000


def open_tunnel(proxy: int, target: str, source: str) -> socket.socket:
    """CONNECT, answered with 200."""
    client = socket.create_connection(("127.0.0.1", proxy), timeout=TIMEOUT_SECONDS, source_address=(source, 0))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = client.recv(4096)
        if not piece:
            raise ConnectionError("the proxy closed the connection")
        answer += piece
    if b" 200 " not in answer.split(b"\r\n", 1)[0]:
        client.close()
        raise ConnectionError(answer.split(b"\r\n", 1)[0].decode())
    return client


def ask(client: socket.socket, host: str) -> int:
    """One request on a tunnel, and its small answer; how many bytes came."""
    client.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(SMALL) and (piece := client.recv(4096)):
        answer += piece
    return len(answer)


def fetch(client: socket.socket, host: str) -> int:
    """The large file, to the end of the connection; how many bytes came."""
    client.sendall(f"GET /large HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    buffer, total = bytearray(_PIECE), 0
    while read := client.recv_into(buffer):
        total += read
    return total


def run(work: tuple[Mode, int, str, float, int]) -> dict[str, object]:
    """One process's share, from a source address of its own: ports of one would run out."""
    mode, proxy, target, seconds, number = work
    source, deadline = f"127.0.1.{number + 1}", time.monotonic() + seconds
    done, failed, received, latencies, error = 0, 0, 0, [], ""
    while (began := time.monotonic()) < deadline:
        try:
            client = open_tunnel(proxy, target, source)
            latencies.append((time.monotonic() - began) * 1e3)
            with client:
                got = ask(client, target) if mode == "tunnels" else fetch(client, target)
            if not got:
                raise ConnectionError("nothing came through the tunnel")
            received += got
            done += 1
        except OSError as problem:
            failed, error = failed + 1, str(problem)
            time.sleep(0.01)
    return {"done": done, "failed": failed, "bytes": received, "latencies": latencies[-_SAMPLES:], "error": error}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=("tunnels", "bytes"), required=True)
    parser.add_argument("--proxy", type=int, required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--at-once", type=int, required=True)
    chosen = parser.parse_args()
    shares = [(chosen.mode, chosen.proxy, chosen.target, chosen.seconds, number) for number in range(chosen.at_once)]
    began = time.monotonic()
    with multiprocessing.get_context("fork").Pool(len(shares)) as pool:
        found = pool.map(run, shares, chunksize=1)
    json.dump({"seconds": time.monotonic() - began, "shares": found}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
