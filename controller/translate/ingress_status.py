"""Status of Ingresses: the addresses of the Gateway that serves them.

Owns ``IngressStatus`` (Kubernetes ``networking/v1``), which has addresses and no conditions.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.store import Key
from controller.translate.conditions import ConditionType
from controller.translate.gateway_status import GATEWAY_STATUS
from controller.translate.graph import NOTHING, Published, Reads, Stage
from controller.translate.ingress_gateway import INGRESS_GATEWAY
from controller.translate.ingress_outcome import INGRESS, IngressOutcome
from controller.translate.stages import Rank
from controller.translate.statuses import (
    GatewayStatus,
    GatewayStatusAddress,
    IngressLoadBalancerIngress,
    IngressLoadBalancerStatus,
    IngressStatus,
)


def _status(key: Key, reads: Reads) -> IngressStatus | None:
    outcome = reads.result(INGRESS, key)
    if not outcome.conditions:
        return None
    addresses = _addresses(reads, outcome)
    return IngressStatus(
        load_balancer=IngressLoadBalancerStatus(ingress=tuple(_entry(address) for address in addresses)),
        conditions=outcome.conditions,
    )


def _addresses(reads: Reads, outcome: IngressOutcome) -> Iterable[GatewayStatusAddress]:
    accepted = outcome.conditions[0]
    if outcome.gateway is None or (accepted.type, accepted.status) != (ConditionType.ACCEPTED, "True"):
        return ()
    published = reads.result(GATEWAY_STATUS, outcome.gateway).status
    if published is not None and isinstance(published[1], GatewayStatus):
        return published[1].addresses
    implied = reads.result(INGRESS_GATEWAY, outcome.gateway).addresses
    return tuple(GatewayStatusAddress(type="IPAddress", value=address) for address in implied)


def _entry(address: GatewayStatusAddress) -> IngressLoadBalancerIngress:
    if address.type == "Hostname":
        return IngressLoadBalancerIngress(hostname=address.value)
    return IngressLoadBalancerIngress(ip=address.value)


def _publish(key: Key, status: IngressStatus | None) -> Published:
    return Published(status=(key, status)) if status else NOTHING


INGRESS_STATUS: Stage[Key, IngressStatus | None] = Stage(Rank.INGRESS_STATUS, _status, _publish)
"""By Ingress."""
