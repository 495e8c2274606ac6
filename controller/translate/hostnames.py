"""Hostnames: what a listener and a route agree on, and which listeners overlap.

Owns the meaning of wildcards (Gateway API: ``Hostname``, ``HTTPRouteSpec.hostnames``): ``*.`` stands
for one or more labels, so ``*.example.com`` covers ``a.b.example.com`` but not ``example.com``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.routing_table.validate import is_ip_address

ANY = "*"
"""Stands for every host in the routing table."""

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_MAX_LENGTH = 253


def hostname_problem(name: str) -> str:
    """What is wrong with a hostname (``*.`` may stand before it), or empty."""
    plain = name.removeprefix("*.")
    if is_ip_address(plain):
        return f"{name} is an IP address, and a hostname must be a name"
    if len(name) > _MAX_LENGTH or not all(map(_LABEL.match, plain.split("."))):
        return f"{name!r} is not a DNS name in lower case"
    return ""


def intersect(listener: str, route: Sequence[str]) -> tuple[str, ...]:
    """Hosts that a listener (empty: all) and a route (empty: all) agree on; empty when there are none."""
    if not route:
        return (listener or ANY,)
    if not listener:
        return tuple(dict.fromkeys(route))
    agreed = (_narrower(listener, hostname) for hostname in route)
    return tuple(dict.fromkeys(hostname for hostname in agreed if hostname))


def overlap(one: str, other: str) -> bool:
    """Whether some host belongs to both listeners' hostnames (empty: all)."""
    return not one or not other or bool(_narrower(one, other))


def _narrower(one: str, other: str) -> str:
    if one == other or _covers(one, other):
        return other
    return one if _covers(other, one) else ""


def _covers(wildcard: str, hostname: str) -> bool:
    return wildcard.startswith("*.") and hostname.removeprefix("*").endswith(wildcard[1:])
