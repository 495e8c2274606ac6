from __future__ import annotations

from cryptography import x509

from gateway.routing_table.model import Certificate, Resources
from gateway.telemetry.certificates import CertificateExpiry
from tests.support.certificates import shared_authority


def test_the_end_of_every_readable_certificate_is_known() -> None:
    issued = shared_authority().issue("shop.example.com")
    end = x509.load_pem_x509_certificates(issued.chain.encode())[0].not_valid_after_utc.timestamp()
    table = Resources(
        certificates=(
            Certificate(key="good", chain=issued.chain, private_key=issued.private_key),
            Certificate(key="bad", chain="nothing", private_key="nothing"),
        )
    )
    expiry = CertificateExpiry()
    assert expiry.of(table) == {"good": end}
    assert expiry.of(Resources()) == {}
