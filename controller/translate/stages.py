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
    PARSED_GATEWAY = 3
    """A Gateway by itself: its listeners, certificates, addresses, conflicts."""
    PORT = 4
    """Who gets a port that several Gateways of one table want."""
    GATEWAY = 5
    """A Gateway as it is served: what routes attach to, and its part of a table."""
    PARENT = 6
    """What routes see of a Gateway: a rotated certificate does not reach them."""
    TLS_POLICY = 7
    ENDPOINTS = 8
    BACKEND = 9
    ROUTE = 10
    PLACEMENT = 11
    """A backend in a table that has a route to it."""
    GATEWAY_STATUS = 12
    TLS_POLICY_STATUS = 13
    XBACKEND_STATUS = 14
    GATEWAY_CLASS_STATUS = 15
