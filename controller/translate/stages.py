"""The order in which translation is worked off.

Owns the ranks of the stages: a stage reads stages of lower rank only.
"""

from __future__ import annotations

from enum import IntEnum


class Rank(IntEnum):
    """From what depends on objects alone to what depends on everything."""

    CERTIFICATE = 0
    TRUST_BUNDLE = 1
    GATEWAY_CLASS = 2
    INGRESS_CLASS = 3
    PARSED_INGRESS = 4
    """An Ingress by itself: its class, hosts, paths and certificates."""
    LISTENER_SET = 5
    """A ListenerSet by itself."""
    PARSED_GATEWAY = 6
    """A Gateway by itself, with its ListenerSets: listeners, certificates, addresses, conflicts."""
    WANTED_GATEWAY = 7
    """Keeps the Gateway of Ingresses in view, which may be implied."""
    PORT = 8
    """Who gets a port that several Gateways of one table want."""
    GATEWAY = 9
    """A Gateway as it is served: what routes attach to, and its part of a table."""
    PARENT = 10
    """What routes see of a Gateway or ListenerSet: a rotated certificate does not reach them."""
    INGRESS_GATEWAY = 11
    """What Ingresses see of their Gateway."""
    INGRESS_TLS = 12
    """A host that Ingresses have served over TLS."""
    TLS_POLICY = 13
    ENDPOINTS = 14
    BACKEND = 15
    ROUTE = 16
    INGRESS = 17
    PLACEMENT = 18
    """A backend in a table that has a route to it."""
    GATEWAY_STATUS = 19
    LISTENER_SET_STATUS = 20
    INGRESS_STATUS = 21
    TLS_POLICY_STATUS = 22
    XBACKEND_STATUS = 23
    GATEWAY_CLASS_STATUS = 24
    INFRASTRUCTURE = 25
    """What is provisioned for a Gateway."""
