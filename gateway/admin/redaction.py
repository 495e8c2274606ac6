"""The table without its secrets: the only form in which it leaves the process."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from gateway.routing_table.model import Certificate, CredentialInjection, EgressPolicy, Filter, Resources, Route

REDACTED: Final = "<redacted>"


def redacted(table: Resources) -> Resources:
    """A copy without private keys, credentials and digests of passwords. Certificates and trust bundles are public."""
    return replace(
        table,
        certificates=tuple(_without_key(certificate) for certificate in table.certificates),
        routes=tuple(_without_credentials(route) for route in table.routes),
        egress_policies=tuple(_without_digests(policy) for policy in table.egress_policies),
    )


def _without_key(certificate: Certificate) -> Certificate:
    return replace(certificate, private_key=REDACTED)


def _without_credentials(route: Route) -> Route:
    shares = [replace(share, filters=tuple(map(_hidden, share.filters))) for share in route.backends]
    return replace(route, filters=tuple(map(_hidden, route.filters)), backends=tuple(shares))


def _hidden(step: Filter) -> Filter:
    if not isinstance(step, CredentialInjection):
        return step
    return replace(step, headers=tuple(replace(header, value=REDACTED) for header in step.headers))


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
