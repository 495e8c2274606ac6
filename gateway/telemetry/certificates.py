"""When certificates end: read once for each certificate held, for a metric and for the admin page."""

from __future__ import annotations

from cryptography import x509

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
        return certificate.chain, _end_of_validity(certificate.chain)


def _end_of_validity(chain: str) -> float | None:
    try:
        return min(certificate.not_valid_after_utc.timestamp() for certificate in _certificates(chain))
    except ValueError:
        return None


def _certificates(chain: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(chain.encode())
