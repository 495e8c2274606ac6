"""Ways out and their rules in words, as :mod:`describe` has routes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from gateway.routing_table.model import EgressRule, EgressSource, EgressWay, Listener

_MAX_NAMES: Final = 4
_WAYS: Final[dict[EgressWay, str]] = {
    "Proxy": "way out: forward proxy",
    "TLS": "way out: redirected TLS",
    "HTTP": "way out: redirected HTTP",
}


def way_out(listener: Listener) -> str:
    """What stands in place of a hostname; empty for listeners that are no way out themselves."""
    if listener.egress is None:
        return ""
    return _WAYS[listener.egress.way] + (", for workloads of the mesh alone" if of_mesh_alone(listener) else "")


def of_mesh_alone(listener: Listener) -> bool:
    """Whether nobody is heard there but who proves an identity of the mesh."""
    return listener.mesh is not None and listener.mesh.mode == "STRICT"


def who(rule: EgressRule) -> str:
    """``shop/cart, namespace pay``, or everybody."""
    return _few(name for source in rule.sources for name in _source(source)) or "everybody"


def where(rule: EgressRule) -> str:
    """``api.stripe.com:443, *.github.com``."""
    return _few(
        f"{name}{':' + ','.join(map(str, destination.ports)) if destination.ports else ''}"
        for destination in rule.destinations
        for name in (*destination.names, *destination.ip_blocks)
    )


def _source(source: EgressSource) -> Iterator[str]:
    yield from source.service_accounts
    yield from (f"namespace {name}" for name in source.namespaces)
    yield from source.principals
    yield from source.subject_alt_names
    yield from (f"user {credential.user}" for credential in source.credentials)
    yield from source.ip_blocks


def _few(names: Iterable[str]) -> str:
    found = list(names)
    more = f", and {len(found) - _MAX_NAMES} more" if len(found) > _MAX_NAMES else ""
    return ", ".join(found[:_MAX_NAMES]) + more
