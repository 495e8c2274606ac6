"""Marks in packets, on which tables, rules of capture and probes agree."""

from __future__ import annotations

from typing import Final

OWN_WORKLOAD_DSCP: Final = 43
"""The code point (one of those for local use, RFC 2474, section 6) of connections that a sidecar makes to its own
workload for others: they go there, and not back to the sidecar."""
