"""Addresses that a Gateway asks for, and those it gets.

Owns ``GatewaySpec.addresses`` (GEP-1762): IP addresses are bound as they are, an address without a
value is one of our choice. Whether an address can be bound is the data plane's answer.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from controller.resources import GatewaySpecAddress
from controller.translate.conditions import ConditionReason, Problem
from gateway.routing_table.validate import is_ip_address


def bound_addresses(wanted: Sequence[GatewaySpecAddress], default: str) -> tuple[str, ...] | Problem:
    """IP addresses to bind, without duplicates, or why the Gateway cannot have them."""
    addresses: list[str] = []
    for address in wanted:
        if address.type != "IPAddress":
            return _unsupported(f"addresses of type {address.type} are not supported: only IPAddress is")
        if not address.value:
            addresses.append(default)
            continue
        if not is_ip_address(address.value):
            return _unsupported(f"{address.value!r} is not an IP address")
        addresses.append(str(ipaddress.ip_address(address.value)))
    return tuple(dict.fromkeys(addresses)) or (default,)


def _unsupported(message: str) -> Problem:
    return Problem(ConditionReason.UNSUPPORTED_ADDRESS, message)
