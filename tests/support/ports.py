"""Free TCP ports below the range from which the kernel takes the ports of clients."""

from __future__ import annotations

import itertools
import os
import socket

FIRST = 10_000
LAST = 29_000
STRIDE = 37
"""Two test processes start far apart and step over different ports, so that they seldom meet."""

_candidates = itertools.count((os.getpid() * 211) % (LAST - FIRST), STRIDE)


def free_port() -> int:
    """Return a port that nobody listens on, and that this process has not been given before."""
    for offset in itertools.islice(_candidates, LAST - FIRST):
        port = FIRST + offset % (LAST - FIRST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port between {FIRST} and {LAST}")


def free_offset(*ports: int) -> int:
    """An offset for `--port-offset` with which nobody listens on any of these ports."""
    for _ in range(LAST - FIRST):
        offset = free_port() - ports[0]
        if all(_is_free(port + offset) for port in ports):
            return offset
    raise RuntimeError(f"no offset leaves the ports {ports} free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
