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
    LISTENER_SET = 3
    """A ListenerSet by itself."""
    PARSED_GATEWAY = 4
    """A Gateway by itself, with its ListenerSets: listeners, certificates, addresses, conflicts."""
    PORT = 5
    """Who gets a port that several Gateways of one table want."""
    GATEWAY = 6
    """A Gateway as it is served: what routes attach to, and its part of a table."""
    PARENT = 7
    """What routes see of a Gateway or ListenerSet: a rotated certificate does not reach them."""
    TLS_POLICY = 8
    ENDPOINTS = 9
    BACKEND = 10
    ROUTE = 11
    PLACEMENT = 12
    """A backend in a table that has a route to it."""
    GATEWAY_STATUS = 13
    LISTENER_SET_STATUS = 14
    TLS_POLICY_STATUS = 15
    XBACKEND_STATUS = 16
    GATEWAY_CLASS_STATUS = 17
    INFRASTRUCTURE = 18
    """What is provisioned for a Gateway."""
