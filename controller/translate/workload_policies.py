"""AuthorizationPolicies of a workload: which of them its sidecar enforces, and on which ports.

Owns selection for sidecars: by labels, by the whole namespace, or by a Service among the ``targetRefs``, on whose ports
alone such a policy counts. Policies of the root namespace select everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from controller.resources import PolicyTargetReference, Service
from controller.store import Key
from controller.translate.authorization import AUTHORIZATION
from controller.translate.graph import Reads
from controller.translate.indexes import AUTHORIZATIONS
from controller.translate.workload import Sidecar
from gateway.routing_table import model


class Selecting(NamedTuple):
    """A policy that applies to a workload."""

    policy: model.AuthorizationPolicy
    ports: frozenset[int] | None
    """The workload's ports on which it counts; None: all of them."""

    def counts(self, port: int | None) -> bool:
        """Whether it counts on a port; None stands for those that nobody has named."""
        return self.ports is None or port in self.ports


def selecting_policies(reads: Reads, sidecar: Sidecar, served: Mapping[str, frozenset[int]]) -> tuple[Selecting, ...]:
    """By key. ``served``: by name, the Services that select the workload, with its ports that they lead to."""
    found: list[Selecting] = []
    for namespace in dict.fromkeys((sidecar.namespace, reads.options.root_namespace)):
        for key in reads.referring(AUTHORIZATIONS, namespace):
            parsed = reads.result(AUTHORIZATION, key)
            if parsed is None:
                continue
            if parsed.targets:
                ports = frozenset(_targeted(parsed.targets, key, sidecar, served))
                if ports:
                    found.append(Selecting(parsed.policy, ports))
            elif _fits(parsed.labels, sidecar):
                found.append(Selecting(parsed.policy, None))
    return tuple(sorted(found, key=lambda selecting: selecting.policy.key))


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
