from __future__ import annotations

import datetime

from prometheus_client import CollectorRegistry, generate_latest

from controller.ca.authority import Authority, AuthoritySettings
from controller.ca.service_account import ServiceAccount
from gateway.telemetry.identity import IdentityCollector


def shown(collector: IdentityCollector) -> str:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


def test_the_end_of_the_certificate_in_use_is_told_and_every_renewal_counted() -> None:
    authority = Authority.create(AuthoritySettings(lifetime=datetime.timedelta(hours=1)))
    collector = IdentityCollector()
    first, second = (authority.issue(ServiceAccount("shop", "cart")) for _ in range(2))
    collector.took(first.chain)
    collector.took(first.chain)  # the same with another bundle
    assert "sekisho_identity_certificates_total 1.0" in shown(collector)
    collector.took(second.chain)
    text = shown(collector)
    assert "sekisho_identity_certificates_total 2.0" in text
    (line,) = [line for line in text.splitlines() if line.startswith("sekisho_identity_expiry_seconds ")]
    assert float(line.split()[1]) == second.ends.replace(microsecond=0).timestamp()


def test_without_an_identity_nothing_is_told() -> None:
    assert "sekisho_identity" not in shown(IdentityCollector())
