"""Listeners, one by one: protocol, kinds of route, hostname, TLS.

Owns what can be said of a listener without looking at the others (Gateway API: ``Listener``).
Must not know the Gateway's other listeners or other Gateways: see ``listener_conflicts`` and ``gateway``.
"""

from __future__ import annotations

import msgspec

from controller.resources import (
    GATEWAY_GROUP,
    FrontendTLSConfig,
    Gateway,
    Listener,
    ListenerTLSConfig,
    RouteGroupKind,
    RouteNamespaces,
)
from controller.store import Key
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.graph import Reads
from controller.translate.hostnames import hostname_problem
from controller.translate.secret_refs import resolve_certificate
from controller.translate.selectors import OPERATORS, unknown_operator
from gateway.routing_table import model

ROUTE_KINDS: dict[str, tuple[str, ...]] = {"HTTP": ("HTTPRoute", "GRPCRoute"), "HTTPS": ("HTTPRoute", "GRPCRoute")}
"""Kinds of route that may attach, by the protocols that are supported."""
_LATER = ("TLS", "TCP", "UDP")
_FROM = ("All", "Same", "Selector", "None")
_MAX_PORT = 65535


class ParsedListener(msgspec.Struct, frozen=True):
    """A listener with what it refers to."""

    name: str
    port: int
    bind_port: int
    protocol: str
    hostname: str
    kinds: tuple[RouteGroupKind, ...]
    namespaces: RouteNamespaces
    problem: Problem | None
    """Why it is not accepted."""
    ref_problems: tuple[Problem, ...]
    certificates: tuple[model.Certificate, ...]
    conflict: Problem | None = None
    overlap: str = ""
    """Message about TLS hostnames shared with another listener, or empty."""

    @property
    def is_servable(self) -> bool:
        """Whether a data plane could serve it, ports of other Gateways aside."""
        return self.problem is None and self.conflict is None and (self.protocol != "HTTPS" or bool(self.certificates))


def parse_listener(reads: Reads, key: Key, gateway: Gateway, listener: Listener) -> ParsedListener:
    """Everything about one listener of a Gateway."""
    kinds, kind_problems = _kinds(listener)
    certificates, certificate_problems = _certificates(reads, key, listener)
    bind_port = listener.port + reads.options.port_offset
    return ParsedListener(
        name=listener.name,
        port=listener.port,
        bind_port=bind_port,
        protocol=listener.protocol,
        hostname=listener.hostname or "",
        kinds=kinds,
        namespaces=listener.allowed_routes.namespaces,
        problem=_protocol_problem(listener)
        or _port_problem(listener.port, bind_port)
        or _hostname_problem(listener.hostname)
        or _tls_problem(listener, gateway)
        or _namespaces_problem(listener.allowed_routes.namespaces),
        ref_problems=certificate_problems + kind_problems,
        certificates=certificates,
    )


def _protocol_problem(listener: Listener) -> Problem | None:
    if listener.protocol in ROUTE_KINDS:
        return None
    supported = " and ".join(ROUTE_KINDS)
    later = " in this release" if listener.protocol in _LATER else ""
    return Problem(
        ConditionReason.UNSUPPORTED_PROTOCOL,
        f"protocol {listener.protocol} is not supported{later}: {supported} are",
    )


def _port_problem(port: int, bind_port: int) -> Problem | None:
    if bind_port <= _MAX_PORT:
        return None
    return Problem(
        ConditionReason.PORT_UNAVAILABLE,
        f"port {port} with the port offset {bind_port - port} is {bind_port}, beyond {_MAX_PORT}: choose a smaller one",
    )


def _hostname_problem(hostname: str | None) -> Problem | None:
    problem = hostname_problem(hostname) if hostname else ""
    return _unsupported(problem) if problem else None


def _tls_problem(listener: Listener, gateway: Gateway) -> Problem | None:
    tls = listener.tls
    if listener.protocol == "HTTP" and tls is not None:
        return _unsupported("tls is set on an HTTP listener: use protocol HTTPS, or remove tls")
    if listener.protocol != "HTTPS":
        return None
    if tls is not None and not _terminates(tls):
        return _unsupported(f"an HTTPS listener terminates TLS: tls.mode {tls.mode} is not possible")
    if gateway.spec.tls and gateway.spec.tls.frontend and _validates_clients(gateway.spec.tls.frontend, listener.port):
        return _unsupported(
            "client certificate validation (spec.tls.frontend) is not supported in this release, and the listener"
            " is not served without it"
        )
    return None


def _terminates(tls: ListenerTLSConfig) -> bool:
    return tls.mode in ("", "Terminate")


def _validates_clients(frontend: FrontendTLSConfig, port: int) -> bool:
    for override in frontend.per_port:
        if override.port == port:
            return override.tls.validation is not None
    return frontend.default.validation is not None


def _namespaces_problem(namespaces: RouteNamespaces) -> Problem | None:
    if namespaces.from_ not in _FROM:
        return _unsupported(f"allowedRoutes.namespaces.from {namespaces.from_!r} is none of {', '.join(_FROM)}")
    if namespaces.from_ != "Selector":
        return None
    if namespaces.selector is None:
        return _unsupported("allowedRoutes.namespaces.from is Selector but there is no selector")
    operator = unknown_operator(namespaces.selector)
    if operator:
        return _unsupported(f"the namespace selector's operator {operator!r} is none of {', '.join(sorted(OPERATORS))}")
    return None


def _unsupported(message: str) -> Problem:
    return Problem(ConditionReason.UNSUPPORTED_VALUE, message)


def _kinds(listener: Listener) -> tuple[tuple[RouteGroupKind, ...], tuple[Problem, ...]]:
    possible = ROUTE_KINDS.get(listener.protocol, ())
    wanted = listener.allowed_routes.kinds
    if not wanted:
        return tuple(RouteGroupKind(kind=kind) for kind in possible), ()
    kinds = tuple(kind for kind in wanted if kind.group == GATEWAY_GROUP and kind.kind in possible)
    problems = tuple(
        Problem(
            ConditionReason.INVALID_ROUTE_KINDS,
            f"{kind.kind} of group {kind.group!r} cannot attach to a listener of protocol {listener.protocol}",
        )
        for kind in wanted
        if kind not in kinds
    )
    return kinds, problems


def _certificates(
    reads: Reads, gateway: Key, listener: Listener
) -> tuple[tuple[model.Certificate, ...], tuple[Problem, ...]]:
    if listener.protocol != "HTTPS":
        return (), ()
    tls = listener.tls or ListenerTLSConfig()
    references = tls.certificate_refs
    if not _terminates(tls):
        return (), ()
    if not references:
        message = "an HTTPS listener needs a certificate: name a Secret in tls.certificateRefs"
        return (), (Problem(ConditionReason.INVALID_CERTIFICATE_REF, message),)
    resolved = [
        resolve_certificate(reads, gateway, GATEWAY_GROUP, reference, ConditionReason.INVALID_CERTIFICATE_REF)
        for reference in references
    ]
    certificates = {found.key: found for found in resolved if isinstance(found, model.Certificate)}
    return tuple(certificates.values()), tuple(found for found in resolved if isinstance(found, Problem))
