"""The table without its secrets: the only form in which it leaves the process."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from gateway.routing_table.model import Certificate, Resources

REDACTED: Final = "<redacted>"


def redacted(table: Resources) -> Resources:
    """A copy whose private keys are replaced. Certificates and trust bundles are public and stay."""
    return replace(table, certificates=tuple(_without_key(certificate) for certificate in table.certificates))


def _without_key(certificate: Certificate) -> Certificate:
    return replace(certificate, private_key=REDACTED)
