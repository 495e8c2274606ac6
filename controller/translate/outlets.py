"""What leads out of a Gateway, listener by listener: ways out, and routes where egress policies speak for them.

Owns who decides there, and where the mesh's mutual TLS is taken: on ports without TLS of their own, so that a sidecar
can carry its workload's traffic as who that is (Istio: ``PeerAuthentication``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from controller.resources import Gateway, GatewayParametersSpec
from controller.store import Key
from controller.translate.denied_identities import POLICY as DENIED_POLICY
from controller.translate.egress_policy import AttachedEgress
from controller.translate.graph import Reads
from controller.translate.infrastructure_names import own_labels, selector
from controller.translate.listeners import ParsedListener
from controller.translate.parameters import layered
from controller.translate.peer_authentication import Mode, Modes, modes_of
from controller.translate.ways_out import ROUTED, WAYS
from gateway.routing_table import model


class Outlets(msgspec.Struct, frozen=True):
    """What a Gateway's listeners need to know to lead out."""

    layers: tuple[GatewayParametersSpec, ...] = ()
    policies: tuple[AttachedEgress, ...] = ()
    ports: Mapping[int, Mode] = {}
    """Ports of listeners that take the mesh's mutual TLS, and what they demand."""
    authenticated: Modes | None = None
    """What said so; None where no port takes it."""

    def way_out(self, listener: ParsedListener) -> model.Egress | None:
        """Of a listener whose clients name their destination."""
        way = WAYS.get(listener.protocol)
        if way is None:
            return None
        return model.Egress(way=way, policies=self._deciding(listener), nameservers=self._nameservers())

    def routed(self, listener: ParsedListener) -> model.RoutedEgress | None:
        """Of a listener whose routes may lead out, where anybody asked for control. It closes UDP, which may not."""
        if listener.protocol not in (*ROUTED, "UDP"):
            return None
        policies = self._deciding(listener)
        # Whom the authority denies is denied by an authorization policy there already; nobody asked for control.
        asked_for = any(policy != DENIED_POLICY for policy in policies)
        if not asked_for and not any(layer.egress.routes for layer in self.layers):
            return None
        return model.RoutedEgress(policies=policies, nameservers=self._nameservers())

    def mutual_tls(self, listener: ParsedListener) -> model.MeshServer | None:
        """What the mesh demands of a listener's clients."""
        mode = self.ports.get(listener.port) if listener.transport == "TCP" else None
        return model.MeshServer(mode=mode) if mode is not None else None

    def knows_peers(self, listener: ParsedListener) -> bool:
        """Whether clients of the mesh prove there who they are."""
        return listener.transport == "TCP" and listener.port in self.mutual_tls_ports()

    def mutual_tls_ports(self) -> tuple[int, ...]:
        """Ports that end the mesh's mutual TLS."""
        return tuple(port for port, mode in self.ports.items() if mode != "DISABLE")

    def _deciding(self, listener: ParsedListener) -> tuple[str, ...]:
        return tuple(one.policy.key for one in self.policies if one.applies_to(listener.name))

    def _nameservers(self) -> tuple[str, ...]:
        found = [layer.egress.nameservers for layer in self.layers if layer.egress.nameservers]
        return found[-1] if found else ()


def outlets_of(
    reads: Reads,
    key: Key,
    gateway: Gateway,
    known: Outlets,
    listeners: Iterable[ParsedListener],
) -> Outlets:
    """``known``, and the ports of these listeners at which the mesh's mutual TLS is taken."""
    if not reads.options.mesh:
        return known
    numbers = {one.port for one in listeners if _leads_out_in_the_clear(known, one)}
    if not numbers:
        return known
    modes = modes_of(reads, key.namespace, _pod_labels(key, gateway, known.layers))
    ports = {number: modes.of(number) for number in sorted(numbers)}
    return msgspec.structs.replace(known, ports=ports, authenticated=modes)


def _leads_out_in_the_clear(outlets: Outlets, listener: ParsedListener) -> bool:
    """Other TLS has certificates that its clients expect."""
    if listener.protocol in WAYS:
        return not listener.terminates_tls
    return listener.protocol in ("HTTP", "TCP") and outlets.routed(listener) is not None


def _pod_labels(key: Key, gateway: Gateway, layers: Sequence[GatewayParametersSpec]) -> Mapping[str, str]:
    """Of the Gateway's pods: what a PeerAuthentication selects them by."""
    metadata = gateway.spec.infrastructure
    return {
        **(layered(layers).deployment.pod_labels or {}),
        **(metadata.labels if metadata else {}),
        **own_labels(selector(key.name, gateway.spec.gateway_class_name)),
    }
