"""When certificates end: read once for each certificate held, for a metric and for the admin page."""

from __future__ import annotations

from gateway.compiled import engine
from gateway.routing_table.model import Certificate, Resources


class CertificateExpiry:
    """Remembers the end of every certificate in the table; parses one only when it changed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, float | None]] = {}

    def of(self, table: Resources) -> dict[str, float]:
        """End of validity (seconds since the epoch) by key; certificates that cannot be read are left out."""
        self._known = {certificate.key: self._entry(certificate) for certificate in table.certificates}
        return {key: end for key, (_, end) in self._known.items() if end is not None}

    def _entry(self, certificate: Certificate) -> tuple[str, float | None]:
        known = self._known.get(certificate.key)
        if known is not None and known[0] == certificate.chain:
            return known
        return certificate.chain, engine.chain_ends(certificate.chain)
