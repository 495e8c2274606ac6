"""What a request must be for a rule to match it."""

from __future__ import annotations

from typing import Literal

from gateway.routing_table.model.schema import Struct


class PathMatch(Struct):
    """``value`` starts with ``/`` except for a regular expression, which must match the whole path."""

    type: Literal["Exact", "PathPrefix", "RegularExpression"]
    value: str


class ValueMatch(Struct):
    """A header (``name`` in lower case) or query-parameter (``name`` as is) match."""

    name: str
    value: str
    type: Literal["Exact", "RegularExpression"] = "Exact"


class GRPCMethodMatch(Struct):
    """An empty ``service`` or ``method`` matches every one. At least one is set."""

    type: Literal["Exact", "RegularExpression"] = "Exact"
    service: str = ""
    method: str = ""


class Match(Struct):
    """Predicates that must all hold. ``path`` and ``query`` are for HTTP rules, ``grpc`` for gRPC."""

    path: PathMatch | None = None
    method: str = ""
    headers: tuple[ValueMatch, ...] = ()
    query: tuple[ValueMatch, ...] = ()
    grpc: GRPCMethodMatch | None = None
