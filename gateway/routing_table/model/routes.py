"""Routes: one rule each, with its shares of backends."""

from __future__ import annotations

from typing import Literal

from gateway.routing_table.model.filters import Filter
from gateway.routing_table.model.matches import Match
from gateway.routing_table.model.schema import Struct


class Failure(Struct):
    """What is answered in place of a rule or a backend that cannot be served."""

    status: int
    code: str
    """Stable reason code, one of :mod:`gateway.routing_table.reasons`."""
    message: str = ""
    """For people: the object and what is wrong with it."""


class WeightedBackend(Struct):
    """A share of a rule's traffic. With ``failure`` its share is answered with that status."""

    backend: str = ""
    weight: int = 1
    filters: tuple[Filter, ...] = ()
    failure: Failure | None = None


class Timeouts(Struct):
    """0 means none. ``request_ms`` bounds the whole exchange, ``backend_request_ms`` each attempt."""

    request_ms: int = 0
    backend_request_ms: int = 0


class Retry(Struct):
    """GEP-1731. ``attempts`` counts retries after the first try; never sooner than ``backoff_ms``."""

    codes: tuple[int, ...] = ()
    attempts: int = 1
    backoff_ms: int = 25


class Attachment(Struct):
    """A listener a route attaches to, with the hostnames both agree on.

    ``hostnames`` is never empty; ``*`` stands for every host. For a TLSRoute they are server names (SNI);
    TCPRoutes and UDPRoutes have ``*`` alone.
    """

    listener: str
    hostnames: tuple[str, ...]


class Route(Struct, kw_only=True):
    """One rule of a route object. ``key``: ``Kind/namespace/name/index``.

    ``rank`` 0 goes before 1 and so on, whatever else they match, where hostname and path (or gRPC method) are
    equally specific: for routes that must give way to others.

    ``created`` (seconds since the epoch), ``object`` (``namespace/name``) and ``rule`` break ties
    between equally specific matches, in that order.

    Rules of TLSRoutes, TCPRoutes and UDPRoutes carry connections (for UDP, sessions) rather than requests:
    they have backends with weights and nothing else, ``matches`` is empty, and a share that fails is closed.
    """

    key: str
    kind: Literal["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"]
    object: str
    rule: int
    rank: int = 0
    created: int = 0
    name: str = ""
    attachments: tuple[Attachment, ...]
    matches: tuple[Match, ...]
    filters: tuple[Filter, ...] = ()
    backends: tuple[WeightedBackend, ...] = ()
    timeouts: Timeouts = Timeouts()
    retry: Retry | None = None
    failure: Failure | None = None
    """Set when the whole rule must fail, for example on a filter that cannot be resolved."""
