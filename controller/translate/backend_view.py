"""A backend as routes see it: the values that the modules for each kind of backend produce.

Owns the identity and the result type shared by Services and XBackends.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from controller.store import Key
from controller.translate.conditions import Problem
from gateway.routing_table import model
from gateway.routing_table.reasons import Reason

PLACEMENTS = "placements"
"""Collection: (table, backend) pairs that some route or policy needs."""

Transport = Literal["", "TLS", "TCP", "UDP"]
"""What carries connections; empty where the gateway speaks HTTP. ``TLS``: what arrived over TLS, and is sent on
over TLS if a policy says so."""


class BackendId(NamedTuple):
    """One port of a Service or XBackend, as one client presents itself to it."""

    target: Key
    port: int
    client_certificate: Key | None = None
    """The Secret to present where the backend speaks TLS."""
    variant: str = ""
    transport: Transport = ""


class BackendView(msgspec.Struct, frozen=True):
    """A backend, or why there is none.

    With ``problem`` and a resource, the backend stands in the table and answers every request
    itself (its ``failure``); with ``problem`` alone, ``failure`` is for whoever refers to it.
    """

    resource: model.Backend | None = None
    trust_bundles: tuple[model.TrustBundle, ...] = ()
    certificates: tuple[model.Certificate, ...] = ()
    problem: Problem | None = None
    failure: model.Failure | None = None


def failing(problem: Problem, code: Reason) -> BackendView:
    """No backend: its share of the traffic is answered with 500."""
    return BackendView(problem=problem, failure=internal_error(code, problem.message))


def internal_error(code: Reason, message: str) -> model.Failure:
    """What a configuration error is answered with (Gateway API: 500, which is UNAVAILABLE in gRPC)."""
    return model.Failure(status=500, code=code.value, message=message)
