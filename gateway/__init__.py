"""Sekisho's gateway: consumes the routing table, moves the traffic, tells what it sees."""

from __future__ import annotations

__version__ = "0.1.0"
