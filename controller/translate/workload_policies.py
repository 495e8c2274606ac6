"""Policies of a workload: which of them its sidecar enforces, and on which ports. Those of authorization, and those of
tokens.

Owns selection for sidecars: by labels, by the whole namespace, or by a Service among the ``targetRefs``, on whose ports
alone such a policy counts. Policies of the root namespace select everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from controller.resources import PolicyTargetReference, Service
from controller.store import Key
from controller.translate.authorization import AUTHORIZATION, ParsedAuthorization
from controller.translate.backend_view import BackendId
from controller.translate.denied_identities import denied_identities
from controller.translate.graph import Reads
from controller.translate.indexes import AUTHENTICATIONS, AUTHORIZATIONS
from controller.translate.request_authentication import AUTHENTICATION, ParsedAuthentication
from controller.translate.workload import Sidecar
from gateway.routing_table import model

Policy = model.AuthorizationPolicy | model.RequestAuthentication


class Selecting(NamedTuple):
    """A policy that applies to a workload."""

    policy: Policy
    ports: frozenset[int] | None
    """The workload's ports on which it counts; None: all of them."""
    asked: BackendId | None = None
    """Of the provider that it asks."""
    key: Key | None = None
    """The object that says so, of a policy of authorization; None where none does."""

    def counts(self, port: int | None) -> bool:
        """Whether it counts on a port; None stands for those that nobody has named."""
        return self.ports is None or port in self.ports


Served = Mapping[str, frozenset[int]]
"""By name, the Services that select a workload, with its ports that they lead to."""


def selecting_policies(reads: Reads, sidecar: Sidecar, served: Served) -> tuple[Selecting, ...]:
    """Of authorization, by key; whoever the authority denies is denied by one of them."""
    found: list[Selecting] = []
    denied = denied_identities(reads).authorization
    if denied is not None:
        found.append(Selecting(denied, None))
    for key in _candidates(reads, sidecar, AUTHORIZATIONS):
        parsed = reads.result(AUTHORIZATION, key)
        if parsed is not None and (ports := _ports(parsed, key, sidecar, served)) != NOWHERE:
            found.append(Selecting(parsed.policy, ports, parsed.backend, key))
    return tuple(sorted(found, key=lambda selecting: selecting.policy.key))


def selecting_authentications(reads: Reads, sidecar: Sidecar, served: Served) -> tuple[Selecting, ...]:
    """Of tokens, by key."""
    found: list[Selecting] = []
    for key in _candidates(reads, sidecar, AUTHENTICATIONS):
        parsed = reads.result(AUTHENTICATION, key)
        if parsed is not None and (ports := _ports(parsed, key, sidecar, served)) != NOWHERE:
            found.append(Selecting(parsed.policy, ports))
    return tuple(sorted(found, key=lambda selecting: selecting.policy.key))


NOWHERE: Final[frozenset[int]] = frozenset()


def _candidates(reads: Reads, sidecar: Sidecar, index: str) -> Iterator[Key]:
    for namespace in dict.fromkeys((sidecar.namespace, reads.options.root_namespace)):
        yield from reads.referring(index, namespace)


def _ports(
    parsed: ParsedAuthorization | ParsedAuthentication, policy: Key, sidecar: Sidecar, served: Served
) -> frozenset[int] | None:
    """The ports on which a policy counts; None: all of them."""
    if parsed.targets:
        return frozenset(_targeted(parsed.targets, policy, sidecar, served))
    return None if _fits(parsed.labels, sidecar) else NOWHERE


def _fits(wanted: Mapping[str, str], sidecar: Sidecar) -> bool:
    labels = dict(sidecar.labels)
    return all(labels.get(name) == value for name, value in wanted.items())


def _targeted(
    targets: tuple[PolicyTargetReference, ...], policy: Key, sidecar: Sidecar, served: Mapping[str, frozenset[int]]
) -> Iterator[int]:
    for target in targets:
        here = target.namespace in (None, policy.namespace) and policy.namespace == sidecar.namespace
        if here and (target.group, target.kind) == ("", Service.kind):
            yield from served.get(target.name, ())
