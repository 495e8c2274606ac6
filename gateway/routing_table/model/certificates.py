"""Certificates with their keys, and what is trusted."""

from __future__ import annotations

from gateway.routing_table.model.schema import Struct


class Certificate(Struct):
    """A certificate chain and its private key, PEM. ``key``: ``Secret/namespace/name``."""

    key: str
    chain: str
    private_key: str

    def __repr__(self) -> str:
        return f"Certificate(key={self.key!r}, chain=…, private_key=<redacted>)"


class TrustBundle(Struct):
    """Certificate authorities, PEM. ``key``: ``Kind/namespace/name``."""

    key: str
    certificates: str
