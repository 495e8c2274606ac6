"""The table without its secrets: the only form in which it leaves the process."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from gateway.routing_table.model import Certificate, EgressPolicy, Resources

REDACTED: Final = "<redacted>"


def redacted(table: Resources) -> Resources:
    """A copy without private keys and digests of passwords. Certificates and trust bundles are public and stay."""
    return replace(
        table,
        certificates=tuple(_without_key(certificate) for certificate in table.certificates),
        egress_policies=tuple(_without_digests(policy) for policy in table.egress_policies),
    )


def _without_key(certificate: Certificate) -> Certificate:
    return replace(certificate, private_key=REDACTED)


def _without_digests(policy: EgressPolicy) -> EgressPolicy:
    rules = [
        replace(
            rule,
            sources=tuple(
                replace(source, credentials=tuple(replace(shown, sha256=REDACTED) for shown in source.credentials))
                for source in rule.sources
            ),
        )
        for rule in policy.rules
    ]
    return replace(policy, rules=tuple(rules))
