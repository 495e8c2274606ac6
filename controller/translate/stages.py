"""The order in which translation is worked off.

Owns the ranks of the stages: a stage reads stages of lower rank only.
"""

from __future__ import annotations

from enum import IntEnum, auto


class Rank(IntEnum):
    """From what depends on objects alone to what depends on everything."""

    CERTIFICATE = auto()
    TRUST_BUNDLE = auto()
    GATEWAY_CLASS = auto()
    INGRESS_CLASS = auto()
    PARSED_INGRESS = auto()
    """An Ingress by itself: its class, hosts, paths and certificates."""
    LISTENER_SET = auto()
    """A ListenerSet by itself."""
    DENIED_IDENTITIES = auto()
    """Whom the mesh's authority denies."""
    WORKLOAD = auto()
    """A Pod or WorkloadEntry by itself."""
    AUTHORIZATION = auto()
    """An AuthorizationPolicy by itself."""
    AUTHENTICATION = auto()
    """A RequestAuthentication by itself, with its keys."""
    EGRESS_POLICY = auto()
    """An EgressPolicy by itself."""
    PARSED_GATEWAY = auto()
    """A Gateway by itself, with its ListenerSets: listeners, certificates, addresses, conflicts."""
    WANTED_GATEWAY = auto()
    """Keeps the Gateway of Ingresses in view, which may be implied."""
    PORT = auto()
    """Who gets a port that several Gateways of one table want."""
    GATEWAY = auto()
    """A Gateway as it is served: what routes attach to, and its part of a table."""
    PARENT = auto()
    """What routes see of a Gateway or ListenerSet: a rotated certificate does not reach them."""
    INGRESS_GATEWAY = auto()
    """What Ingresses see of their Gateway."""
    INGRESS_TLS = auto()
    """A host that Ingresses have served over TLS."""
    TLS_POLICY = auto()
    ENDPOINTS = auto()
    MESH_ENDPOINTS = auto()
    """Endpoints, and which of them are in the mesh."""
    BACKEND = auto()
    MESH_ROUTE = auto()
    """A route as its parents see it that are Services."""
    SERVICE_ROUTES = auto()
    """The routes of a port of a Service."""
    ROUTE = auto()
    EAST_WEST = auto()
    """A Service in the tables of east-west gateways."""
    WAYPOINT = auto()
    """A Service in the table of the waypoint before it."""
    INGRESS = auto()
    SIDECAR = auto()
    """The part of a sidecar's table that follows from its workload."""
    DESTINATIONS = auto()
    """How a Service is called, as sidecars see it."""
    CALLS = auto()
    """A Service in the tables of sidecars of one namespace."""
    WAY_OUT = auto()
    """Where sidecars of one namespace carry what is for no Service."""
    CALLED_BACKEND = auto()
    """A backend in the same tables."""
    PLACEMENT = auto()
    """A backend in a table that has a route to it."""
    GATEWAY_STATUS = auto()
    LISTENER_SET_STATUS = auto()
    INGRESS_STATUS = auto()
    TLS_POLICY_STATUS = auto()
    XBACKEND_STATUS = auto()
    GATEWAY_CLASS_STATUS = auto()
    EGRESS_STANDING = auto()
    """What a Gateway's egress policies need to know of it and of each other."""
    EGRESS_OUTLETS = auto()
    """The part of it that says nothing of policies."""
    EGRESS_POLICY_STATUS = auto()
    AUTHORIZATION_NOTICES = auto()
    AUTHENTICATION_NOTICES = auto()
    PEER_AUTHENTICATION_NOTICES = auto()
    INFRASTRUCTURE = auto()
    """What is provisioned for a Gateway."""
