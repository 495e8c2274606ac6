"""Requests over a mesh, and what its applications hear of their clients."""

from __future__ import annotations

from tests.support.backends.exchange import Received
from tests.support.clients.raw import RawClient


def get(port: int, *lines: str) -> tuple[int, bytes]:
    """Status and body; ``lines`` are more header lines."""
    with RawClient(port) as client:
        answer = client.request("GET", "/", *lines)
        return answer.status, answer.body


def told_of(received: Received) -> str:
    """What the app hears of its client's certificate; once, or never."""
    values = received.values("x-forwarded-client-cert")
    assert len(values) <= 1
    return "".join(values)
