"""Listeners, one by one: protocol, kinds of route, hostname, TLS.

Owns what can be said of a listener without looking at the others (Gateway API: ``Listener``).
Must not know other listeners or other Gateways: see ``listener_conflicts`` and ``gateway``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

from controller.resources import GATEWAY_GROUP, Listener, ListenerTLSConfig, RouteGroupKind, RouteNamespaces
from controller.store import Key
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.graph import Reads
from controller.translate.hostnames import hostname_problem
from controller.translate.secret_refs import resolve_certificate
from controller.translate.selectors import OPERATORS, unknown_operator
from controller.translate.ways_out import EGRESS_PROXY, WAYS
from gateway.routing_table import model

ROUTE_KINDS: dict[str, tuple[str, ...]] = {
    "HTTP": ("HTTPRoute", "GRPCRoute"),
    "HTTPS": ("HTTPRoute", "GRPCRoute"),
    "TLS": ("TLSRoute",),
    "TCP": ("TCPRoute",),
    "UDP": ("UDPRoute",),
    "HBONE": (),
    **dict.fromkeys(WAYS, ()),
}
"""Kinds of route that may attach, by the protocols that are supported."""
RESERVED_PORTS = {15021: "health and metrics", 9901: "administration"}
"""TCP ports that every gateway in a cluster listens on itself, and what for."""
CERTIFICATES_OPTION, CERTIFICATES_OF_INGRESSES = "sekisho.dev/certificates", "Ingress"
"""Key and value in ``tls.options``: what an API server asks for where there are no certificateRefs."""
PROTOCOL_OPTION, AUTO_PASSTHROUGH = "gateway.istio.io/listener-protocol", "auto-passthrough"
"""Key and value in ``tls.options``: mesh traffic of other networks is passed through to whomever it names."""
_WITHOUT_HOSTNAME = ("TCP", "UDP", "HBONE", *WAYS)
_MODES = ("Terminate", "Passthrough")
_FROM = ("All", "Same", "Selector", "None")
_MAX_PORT = 65535


class ParsedListener(msgspec.Struct, frozen=True):
    """A listener with what it refers to. ``owner`` is the Gateway or ListenerSet that has it."""

    owner: Key
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
    tls_mode: Literal["Terminate", "Passthrough"] = "Terminate"
    has_tls: bool = False
    """Its ``tls`` is set."""
    auto_passthrough: bool = False
    """Mesh traffic of other networks goes through it, besides what TLSRoutes say."""
    client_validation: model.ClientValidation | None = None
    trust_bundles: tuple[model.TrustBundle, ...] = ()
    conflict: Problem | None = None
    overlap: str = ""
    """Message about TLS hostnames shared with another listener, or empty."""

    @property
    def is_servable(self) -> bool:
        """Whether a data plane could serve it, ports of other Gateways aside."""
        return self.problem is None and self.conflict is None and (bool(self.certificates) or not self.terminates_tls)

    @property
    def terminates_tls(self) -> bool:
        """Whether clients speak TLS with the gateway itself."""
        if self.protocol == EGRESS_PROXY:
            return self.has_tls
        return self.protocol == "HTTPS" or (self.protocol == "TLS" and self.tls_mode == "Terminate")

    @property
    def transport(self) -> Literal["TCP", "UDP"]:
        """What its port is a port of."""
        return "UDP" if self.protocol == "UDP" else "TCP"


def parse_listeners(reads: Reads, owner: Key, listeners: Sequence[Listener]) -> tuple[ParsedListener, ...]:
    """Everything about each listener of a Gateway or ListenerSet."""
    uses = Counter(listener.name for listener in listeners)
    parsed = []
    for listener in listeners:
        one = _parse_listener(reads, owner, listener)
        if uses[listener.name] > 1:
            message = f"{uses[listener.name]} listeners are named {listener.name}: give each a name of its own"
            one = msgspec.structs.replace(one, problem=Problem(ConditionReason.UNSUPPORTED_VALUE, message))
        parsed.append(one)
    return tuple(parsed)


def _parse_listener(reads: Reads, owner: Key, listener: Listener) -> ParsedListener:
    kinds, kind_problems = _kinds(listener)
    certificates, certificate_problems = _certificates(reads, owner, listener)
    bind_port = listener.port + reads.options.port_offset
    hostname = "" if listener.protocol in _WITHOUT_HOSTNAME else listener.hostname or ""
    return ParsedListener(
        owner=owner,
        name=listener.name,
        port=listener.port,
        bind_port=bind_port,
        protocol=listener.protocol,
        hostname=hostname,
        kinds=kinds,
        namespaces=listener.allowed_routes.namespaces,
        problem=_protocol_problem(reads, listener)
        or _port_problem(listener.port, bind_port)
        or _reserved_problem(reads, listener)
        or _hostname_problem(hostname)
        or _tls_problem(listener)
        or _namespaces_problem(listener.allowed_routes.namespaces),
        ref_problems=certificate_problems + kind_problems,
        certificates=certificates,
        has_tls=listener.tls is not None,
        auto_passthrough=passes_mesh_through(listener) and reads.options.mesh,
        tls_mode="Passthrough" if listener.protocol == "TLS" and not _terminates(listener.tls) else "Terminate",
    )


def _protocol_problem(reads: Reads, listener: Listener) -> Problem | None:
    if listener.protocol == "HBONE" and not reads.options.mesh:
        message = "protocol HBONE is for waypoints, and there is no mesh: start the controller with --mesh"
        return Problem(ConditionReason.UNSUPPORTED_PROTOCOL, message)
    if listener.protocol in ROUTE_KINDS:
        return None
    return Problem(
        ConditionReason.UNSUPPORTED_PROTOCOL,
        f"protocol {listener.protocol} is not supported: {', '.join(ROUTE_KINDS)} are",
    )


def _port_problem(port: int, bind_port: int) -> Problem | None:
    if bind_port <= _MAX_PORT:
        return None
    return Problem(
        ConditionReason.PORT_UNAVAILABLE,
        f"port {port} with the port offset {bind_port - port} is {bind_port}, beyond {_MAX_PORT}: choose a smaller one",
    )


def _reserved_problem(reads: Reads, listener: Listener) -> Problem | None:
    if not reads.options.provision or listener.protocol == "UDP" or listener.port not in RESERVED_PORTS:
        return None
    message = f"port {listener.port} is the gateway's own, for its {RESERVED_PORTS[listener.port]}: choose another one"
    return Problem(ConditionReason.PORT_UNAVAILABLE, message)


def _hostname_problem(hostname: str) -> Problem | None:
    problem = hostname_problem(hostname) if hostname else ""
    return _unsupported(problem) if problem else None


def _tls_problem(listener: Listener) -> Problem | None:
    tls = listener.tls
    match listener.protocol:
        case "HTTPS":
            if not _terminates(tls):
                mode = tls.mode if tls else ""
                return _unsupported(f"an HTTPS listener terminates TLS: tls.mode {mode} is not possible")
        case protocol if protocol == EGRESS_PROXY:
            if not _terminates(tls):
                return _unsupported("a forward proxy ends its clients' TLS itself: set tls.mode Terminate")
        case "TLS":
            if tls is None or tls.mode not in ("", *_MODES):
                mode = repr(tls.mode) if tls else "none"
                return _unsupported(f"a TLS listener needs tls.mode {' or '.join(_MODES)}, and has {mode}")
        case _:
            if tls is not None:
                return _unsupported(
                    f"tls is set on a listener of protocol {listener.protocol}: use HTTPS or TLS, or remove tls"
                )
    return None


def _terminates(tls: ListenerTLSConfig | None) -> bool:
    return tls is None or tls.mode in ("", "Terminate")


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


def has_certificates_of_ingresses(listener: Listener) -> bool:
    """Whether an HTTPS listener without certificate opens its port for hosts of Ingresses, which have their own."""
    options = listener.tls.options if listener.tls else {}
    return listener.protocol == "HTTPS" and options.get(CERTIFICATES_OPTION) == CERTIFICATES_OF_INGRESSES


def passes_mesh_through(listener: Listener) -> bool:
    """Whether a TLS listener is an east-west gateway's."""
    tls = listener.tls
    if listener.protocol != "TLS" or tls is None or tls.mode != "Passthrough":
        return False
    return tls.options.get(PROTOCOL_OPTION) == AUTO_PASSTHROUGH


def unused_options(listener: Listener) -> list[str]:
    """Keys of ``tls.options`` that nothing reads."""
    options = listener.tls.options if listener.tls else {}
    used = {CERTIFICATES_OPTION} if has_certificates_of_ingresses(listener) else set()
    used |= {PROTOCOL_OPTION} if passes_mesh_through(listener) else set()
    return sorted(options.keys() - used)


def _wants_certificates(listener: Listener) -> bool:
    if listener.protocol == EGRESS_PROXY:
        return listener.tls is not None
    return listener.protocol in ("HTTPS", "TLS") and _terminates(listener.tls)


def _certificates(
    reads: Reads, owner: Key, listener: Listener
) -> tuple[tuple[model.Certificate, ...], tuple[Problem, ...]]:
    if not _wants_certificates(listener):
        return (), ()
    references = listener.tls.certificate_refs if listener.tls else ()
    if not references:
        if has_certificates_of_ingresses(listener):
            return (), ()
        message = "a listener that terminates TLS needs a certificate: name a Secret in tls.certificateRefs"
        return (), (Problem(ConditionReason.INVALID_CERTIFICATE_REF, message),)
    resolved = [
        resolve_certificate(reads, owner, GATEWAY_GROUP, reference, ConditionReason.INVALID_CERTIFICATE_REF)
        for reference in references
    ]
    certificates = {found.certificate.key: found.certificate for found in resolved if found.certificate is not None}
    return tuple(certificates.values()), tuple(found.problem for found in resolved if found.problem is not None)
