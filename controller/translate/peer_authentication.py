"""PeerAuthentications: which connections a workload takes, by port.

Owns the order of the scopes (Istio: ``PeerAuthentication``): the root namespace's, over it the namespace's, over it one
that selects the workload, over it that for a single port. UNSET inherits; where nothing is said it is PERMISSIVE. Of
several of one scope the oldest counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from controller.resources import PeerAuthentication
from controller.store import Key
from controller.translate.graph import Reads
from controller.translate.indexes import PEER_AUTHENTICATIONS

Mode = Literal["STRICT", "PERMISSIVE", "DISABLE"]
_MODES: Mapping[str, Mode] = {"STRICT": "STRICT", "PERMISSIVE": "PERMISSIVE", "DISABLE": "DISABLE"}


AUTHENTICATED = "authenticated"
"""Collection, by PeerAuthentication: whom it applies to (workloads, Gateways), and whether it has an effect there."""


class Modes(msgspec.Struct, frozen=True):
    """What a workload takes."""

    default: Mode = "PERMISSIVE"
    ports: Mapping[int, Mode] = {}
    """Where it is another for a port of the workload."""
    policies: tuple[Key, ...] = ()
    """The PeerAuthentications that say so, from the widest scope to the narrowest."""
    shadowed: tuple[tuple[Key, Key], ...] = ()
    """Those without effect, each with the older one that goes before it."""

    def of(self, port: int) -> Mode:
        """The mode of a port."""
        return self.ports.get(port, self.default)


def modes_of(reads: Reads, namespace: str, labels: Mapping[str, str]) -> Modes:
    """What a workload of a namespace with these labels takes."""
    default: Mode = "PERMISSIVE"
    ports: dict[int, Mode] = {}
    policies: list[Key] = []
    shadowed: list[tuple[Key, Key]] = []
    for scope in _scopes(reads, namespace, labels):
        if not scope:
            continue
        key, policy = scope[0]
        shadowed += [(other, key) for other, _ in scope[1:]]
        policies.append(key)
        default = _MODES.get(policy.spec.mtls.mode, default)
        if is_selective(policy):
            ports = {
                int(port): _MODES.get(mutual_tls.mode, default)
                for port, mutual_tls in policy.spec.port_level_mtls.items()
            }
    return Modes(default, ports, tuple(policies), tuple(shadowed))


def authenticating(modes: Modes | None, name: str) -> Iterator[tuple[tuple[str, object], object]]:
    """Members of :data:`AUTHENTICATED`, for what has a name."""
    if modes is not None:
        yield from (((AUTHENTICATED, key), (name, "")) for key in modes.policies)
        yield from (((AUTHENTICATED, key), (name, str(older))) for key, older in modes.shadowed)


def is_selective(policy: PeerAuthentication) -> bool:
    """Whether it is for some workloads of its namespace, and not for all."""
    return policy.spec.selector is not None and bool(policy.spec.selector.match_labels)


_Scope = list[tuple[Key, PeerAuthentication]]


def _scopes(reads: Reads, namespace: str, labels: Mapping[str, str]) -> Iterator[_Scope]:
    """From the widest to the narrowest, the oldest policy of each first."""
    root = reads.options.root_namespace
    if root != namespace:
        yield [item for item in _in_namespace(reads, root) if not is_selective(item[1])]
    own = _in_namespace(reads, namespace)
    yield [item for item in own if not is_selective(item[1])]
    yield [item for item in own if is_selective(item[1]) and selects(item[1], labels)]


def _in_namespace(reads: Reads, namespace: str) -> _Scope:
    found = [
        (key, policy)
        for key in reads.referring(PEER_AUTHENTICATIONS, namespace)
        if (policy := reads.get(PeerAuthentication, key.namespace, key.name)) is not None
    ]
    return sorted(found, key=lambda item: (item[1].metadata.creation_timestamp, item[0].name))


def selects(policy: PeerAuthentication, labels: Mapping[str, str]) -> bool:
    """Whether its selector, if it has one, fits a workload's labels."""
    wanted = policy.spec.selector.match_labels if policy.spec.selector else {}
    return all(labels.get(name) == value for name, value in wanted.items())
