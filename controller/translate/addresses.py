"""Addresses that a Gateway asks for, and those it gets.

Owns ``GatewaySpec.addresses`` (GEP-1762) and ``GatewayStatus.addresses``. In one process, IP addresses are bound as
they are, an address without a value is one of our choice, and whether an address can be bound is the data plane's
answer. In a cluster, the Gateway's Service has the addresses: the first IP address is asked of its load balancer
(``spec.loadBalancerIP`` takes one), and every other one must come from it by itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

import msgspec

from controller.resources import GatewaySpecAddress, Service
from controller.store import Key
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.graph import Reads
from controller.translate.infrastructure_names import infrastructure_name, own_labels, selector
from controller.translate.statuses import GatewayStatusAddress
from gateway.routing_table.validate import is_ip_address

IP_ADDRESS = "IPAddress"
HOSTNAME = "Hostname"


class Assigned(msgspec.Struct, frozen=True):
    """The addresses of a Gateway in a cluster, and what is amiss with them."""

    addresses: tuple[GatewayStatusAddress, ...] = ()
    problem: Problem | None = None


def bound_addresses(wanted: Sequence[GatewaySpecAddress], default: str) -> tuple[str, ...] | Problem:
    """IP addresses to bind, without duplicates, or why the Gateway cannot have them."""
    addresses: list[str] = []
    for address in wanted:
        if address.type != IP_ADDRESS:
            return _unsupported(f"addresses of type {address.type} are not supported: only {IP_ADDRESS} is")
        if not address.value:
            addresses.append(default)
            continue
        if not is_ip_address(address.value):
            return _unsupported(f"{address.value!r} is not an IP address")
        addresses.append(str(ipaddress.ip_address(address.value)))
    return tuple(dict.fromkeys(addresses)) or (default,)


def address_problem(wanted: Sequence[GatewaySpecAddress]) -> Problem | None:
    """Why a Gateway in a cluster cannot ask for these addresses."""
    for address in wanted:
        if address.type not in (IP_ADDRESS, HOSTNAME):
            return _unsupported(f"addresses of type {address.type} are not supported: {IP_ADDRESS} and {HOSTNAME} are")
        if address.type == IP_ADDRESS and address.value and not is_ip_address(address.value):
            return _unsupported(f"{address.value!r} is not an IP address")
    return None


def requested_address(wanted: Sequence[GatewaySpecAddress]) -> str:
    """The one to ask the load balancer for, or none."""
    values = (address.value for address in wanted if address.type == IP_ADDRESS and address.value)
    return next((str(ipaddress.ip_address(value)) for value in values), "")


def assigned_addresses(reads: Reads, gateway: Key, class_name: str, wanted: Sequence[GatewaySpecAddress]) -> Assigned:
    """What the Gateway's Service has, as the cluster tells it."""
    name = infrastructure_name(gateway.name, class_name)
    service = reads.get(Service, gateway.namespace, name)
    if service is None:
        return _not_assigned(f"the Service {gateway.namespace}/{name} is not there yet")
    ours = own_labels(selector(gateway.name, class_name)).items()
    if not ours <= service.metadata.labels.items():
        message = f"the Service {gateway.namespace}/{name} is not Sekisho's: remove or rename it, or rename the Gateway"
        return _not_assigned(message)
    addresses = tuple(dict.fromkeys(_addresses(service)))
    missing = [address for address in wanted if not any(_is_given(address, given) for given in addresses)]
    if missing:
        names = ", ".join(address.value or f"any {address.type}" for address in missing)
        given = ", ".join(address.value for address in addresses) or "none"
        message = f"{_giver(service)} does not give the address {names} (given: {given}): it may be taken"
        return Assigned(addresses, Problem(ConditionReason.ADDRESS_NOT_USABLE, message))
    if not addresses:
        return _not_assigned(f"{_giver(service)} has given no address yet")
    return Assigned(addresses)


def _addresses(service: Service) -> Iterator[GatewayStatusAddress]:
    if service.spec.type != "LoadBalancer":
        if service.spec.cluster_ip not in ("", "None"):
            yield GatewayStatusAddress(type=IP_ADDRESS, value=service.spec.cluster_ip)
        return
    for ingress in service.status.load_balancer.ingress:
        if ingress.ip:
            yield GatewayStatusAddress(type=IP_ADDRESS, value=ingress.ip)
        elif ingress.hostname:
            yield GatewayStatusAddress(type=HOSTNAME, value=ingress.hostname)


def _is_given(wanted: GatewaySpecAddress, given: GatewayStatusAddress) -> bool:
    if wanted.type != given.type:
        return False
    if not wanted.value:
        return True
    if wanted.type == IP_ADDRESS and is_ip_address(given.value):
        return ipaddress.ip_address(wanted.value) == ipaddress.ip_address(given.value)
    return wanted.value.lower() == given.value.lower()


def _giver(service: Service) -> str:
    where = f"{service.metadata.namespace}/{service.metadata.name}"
    if service.spec.type == "LoadBalancer":
        return f"the load balancer of the Service {where}"
    return f"the Service {where} of type {service.spec.type}"


def _not_assigned(message: str) -> Assigned:
    return Assigned((), Problem(ConditionReason.ADDRESS_NOT_ASSIGNED, message))


def _unsupported(message: str) -> Problem:
    return Problem(ConditionReason.UNSUPPORTED_ADDRESS, message)
