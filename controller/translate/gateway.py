"""Gateways: from the object to the listeners of a table, and to what routes can attach to.

Owns whether a Gateway and each of its listeners, those of its ListenerSets among them, are served
(Gateway API: ``gateway_types.go``), and who gets a port in a merged table. Must not count routes or
write conditions: see ``gateway_status``.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import msgspec

from controller.resources import GATEWAY_GROUP, Gateway, GatewayParametersSpec
from controller.store import Key
from controller.translate.addresses import address_problem, bound_addresses
from controller.translate.authorization import policies_of
from controller.translate.backend_view import PLACEMENTS, BackendId
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.egress_policy import egress_policies_of
from controller.translate.frontend_tls import ClientValidations
from controller.translate.gateway_class import GATEWAY_CLASS
from controller.translate.graph import NOTHING, Published, Reads, Stage, TableResource
from controller.translate.implied_gateway import implied_gateway
from controller.translate.infrastructure_names import label_value
from controller.translate.listener_conflicts import with_conflicts
from controller.translate.listener_set import allowed_sets
from controller.translate.listeners import ParsedListener, parse_listeners
from controller.translate.names import listener_key, object_name
from controller.translate.options import STANDALONE_TABLE, Options
from controller.translate.outlets import Outlets, outlets_of
from controller.translate.parameters import find_parameters, gateway_settings
from controller.translate.peer_authentication import authenticating
from controller.translate.request_authentication import authentications_of
from controller.translate.secret_refs import Resolved, resolve_certificate
from controller.translate.stages import Rank
from controller.translate.ways_out import EGRESS_HTTP, EGRESS_PROXY, EGRESS_TLS
from gateway.routing_table import model

CLAIMS = "claims"
"""Collection: Gateways that want a socket of the merged table."""

AUTHORIZED = "authorized"
"""Collection, by key of an authorization policy: the Gateways that it applies to."""

GOVERNING = "governing"
"""Collection, by Gateway (``namespace/name``) or name of a sidecar's table: the AuthorizationPolicies for all of it."""

TOKENS_LOOKED_AT = "tokens-looked-at"
"""Collection, by key of a request authentication: the Gateways and workloads that it applies to."""

MUTUAL_TLS_PORTS = "mutual-tls-ports"
"""Collection, by namespace and name label of a Gateway's pods: ports of theirs that take the mesh's mutual TLS."""

TABLES = "tables"
"""Collection: names of the tables there are."""

Socket = tuple[str, int, str]
"""Address, port, and TCP or UDP."""
Age = tuple[datetime.datetime, str]

CROSSINGS = "crossings"
"""Collection: pairs of a table and a listener that passes mesh traffic of other networks through."""

WAYPOINT_INNER: Final = ("127.0.0.1", 15001)
"""The socket whose captured listeners take what comes out of a waypoint's tunnels."""

_Protocol = Literal["HTTP", "HTTPS", "TLS", "TCP", "UDP", "HBONE"]
_PROTOCOLS: dict[str, _Protocol] = {
    "HTTP": "HTTP",
    "HTTPS": "HTTPS",
    "TLS": "TLS",
    "TCP": "TCP",
    "UDP": "UDP",
    "HBONE": "HBONE",
    EGRESS_PROXY: "HTTP",
    EGRESS_HTTP: "HTTP",
    EGRESS_TLS: "TLS",
}


class ParsedGateway(msgspec.Struct, frozen=True):
    """A Gateway of ours by itself."""

    age: Age
    settings: model.Gateway
    layers: tuple[GatewayParametersSpec, ...]
    """Parameters of the class, then of the Gateway."""
    addresses: tuple[str, ...]
    listeners: tuple[ParsedListener, ...]
    """The Gateway's own."""
    sets: tuple[tuple[Key, tuple[ParsedListener, ...]], ...]
    """Those of the ListenerSets that it takes in."""
    problem: Problem | None
    """Why the Gateway as a whole is not accepted."""
    client_certificate: model.Certificate | None
    client_problem: Problem | None
    authorization: tuple[model.AuthorizationPolicy, ...] = ()
    """Decides about every request and connection."""
    governing: tuple[Key, ...] = ()
    """The objects among these."""
    outlets: Outlets = Outlets()
    asked: tuple[BackendId, ...] = ()
    """Backends of those whom its policies ask."""
    authentication: tuple[model.RequestAuthentication, ...] = ()
    """Looks at the tokens of every request."""


class Governed(NamedTuple):
    """A Gateway that an authorization policy applies to."""

    gateway: str
    streams: tuple[str, ...]
    """Names of listeners that carry connections."""
    without_identity: tuple[str, ...]
    """Names of listeners that know nobody's certificate."""
    place: str = ""
    """Key of :data:`GOVERNING`: policies there count wherever this one does. Empty where that is not known."""


class ServedListener(msgspec.Struct, frozen=True):
    """A listener after the ports have been given out. ``keys`` are its listeners in the table, if any."""

    parsed: ParsedListener
    problem: Problem | None
    keys: tuple[str, ...]


class ServedGateway(msgspec.Struct, frozen=True):
    """A Gateway of ours as the data plane is to serve it."""

    table: str
    parsed: ParsedGateway
    problem: Problem | None
    listeners: tuple[ServedListener, ...]
    """The Gateway's own."""
    sets: Mapping[Key, tuple[ServedListener, ...]]
    """Those of the ListenerSets that it takes in."""

    def every_listener(self) -> Iterator[ServedListener]:
        """The Gateway's own listeners and those of its ListenerSets."""
        yield from self.listeners
        for listeners in self.sets.values():
            yield from listeners

    def owned_by(self, owner: Key) -> tuple[ServedListener, ...] | None:
        """Listeners of the Gateway itself or of one ListenerSet; None for a set that does not belong to it."""
        return self.listeners if owner.kind == Gateway.kind else self.sets.get(owner)


def _parse(key: Key, reads: Reads) -> ParsedGateway | None:
    gateway = reads.get(Gateway, key.namespace, key.name) or implied_gateway(reads, key)
    if gateway is None:
        return None
    gateway_class = reads.result(GATEWAY_CLASS, gateway.spec.gateway_class_name)
    if not gateway_class.ours:
        return None
    layers = [gateway_class.parameters] if gateway_class.parameters else []
    problem = gateway_class.problem and Problem(
        gateway_class.problem.reason,
        f"GatewayClass {gateway.spec.gateway_class_name} is not accepted: {gateway_class.problem.message}",
    )
    infrastructure = gateway.spec.infrastructure
    if infrastructure and infrastructure.parameters_ref:
        found = find_parameters(reads, infrastructure.parameters_ref, key.namespace)
        if isinstance(found, Problem):
            problem = problem or found
        else:
            layers.append(found)
    addresses = _addresses(gateway, reads.options)
    if isinstance(addresses, Problem):
        problem = problem or addresses
        addresses = ()
    client = _client_certificate(reads, key, gateway)
    sets = allowed_sets(reads, key, gateway)
    validations = ClientValidations(reads, key, gateway)
    groups = (parse_listeners(reads, key, gateway.spec.listeners), *(parsed.listeners for _, parsed in sets))
    own, *others = with_conflicts([validations.apply(group) for group in groups])
    policies = policies_of(reads, key, gateway)
    known = Outlets(layers=tuple(layers), policies=egress_policies_of(reads, key))
    return ParsedGateway(
        age=(gateway.metadata.creation_timestamp, object_name(key)),
        settings=gateway_settings(object_name(key), layers),
        layers=tuple(layers),
        addresses=addresses,
        listeners=own,
        sets=tuple((owner, listeners) for (owner, _), listeners in zip(sets, others, strict=True)),
        problem=problem,
        client_certificate=client.certificate,
        client_problem=client.problem,
        authorization=tuple(parsed.policy for parsed in policies),
        governing=tuple(parsed.key for parsed in policies if parsed.key is not None),
        asked=tuple(dict.fromkeys(parsed.backend for parsed in policies if parsed.backend is not None)),
        authentication=authentications_of(reads, key, gateway),
        outlets=outlets_of(reads, key, gateway, known, [*own, *(one for group in others for one in group)]),
    )


def _addresses(gateway: Gateway, options: Options) -> tuple[str, ...] | Problem:
    if not options.provision:
        return bound_addresses(gateway.spec.addresses, options.address)
    return address_problem(gateway.spec.addresses) or (options.address,)


def _client_certificate(reads: Reads, key: Key, gateway: Gateway) -> Resolved:
    backend = gateway.spec.tls.backend if gateway.spec.tls else None
    if backend is None or backend.client_certificate_ref is None:
        return Resolved(None, None)
    reason = ConditionReason.INVALID_CLIENT_CERTIFICATE_REF
    return resolve_certificate(reads, key, GATEWAY_GROUP, backend.client_certificate_ref, reason)


def _publish_claims(key: Key, parsed: ParsedGateway | None) -> Published:
    if parsed is None or parsed.problem is not None:
        return NOTHING
    sockets = {
        (address, listener.bind_port, listener.transport)
        for group in (parsed.listeners, *(listeners for _, listeners in parsed.sets))
        for listener in group
        if listener.problem is None and listener.conflict is None
        for address in parsed.addresses
    }
    return Published(members=tuple(((CLAIMS, socket), (*parsed.age, key)) for socket in sorted(sockets)))


PARSED_GATEWAY: Stage[Key, ParsedGateway | None] = Stage(Rank.PARSED_GATEWAY, _parse, _publish_claims)


def _port(socket: Socket, reads: Reads) -> Key | None:
    claims: list[tuple[datetime.datetime, str, Key]] = list(reads.members(CLAIMS, socket))
    return min(claims)[2] if claims else None


PORT: Stage[Socket, Key | None] = Stage(Rank.PORT, _port)
"""Which Gateway gets a socket: the oldest, then the first by name."""


def _serve(key: Key, reads: Reads) -> ServedGateway | None:
    parsed = reads.result(PARSED_GATEWAY, key)
    if parsed is None:
        return None
    listeners = tuple(_serve_listener(key, parsed, listener, reads) for listener in parsed.listeners)
    problem = parsed.problem
    if problem is None and not any(listener.problem is None for listener in listeners):
        refused = [f"{one.parsed.name}: {one.problem.message}" for one in listeners if one.problem]
        refusals = "; ".join(dict.fromkeys(refused))
        problem = Problem(ConditionReason.LISTENERS_NOT_VALID, f"no listener is accepted ({refusals})")
    sets = {
        owner: tuple(_serve_listener(key, parsed, listener, reads) for listener in group)
        for owner, group in parsed.sets
    }
    if problem is not None:
        listeners = _withdrawn(listeners)
        sets = {owner: _withdrawn(group) for owner, group in sets.items()}
    return ServedGateway(_table(key, reads.options), parsed, problem, listeners, MappingProxyType(sets))


def _withdrawn(listeners: tuple[ServedListener, ...]) -> tuple[ServedListener, ...]:
    return tuple(msgspec.structs.replace(listener, keys=()) for listener in listeners)


def _table(key: Key, options: Options) -> str:
    return STANDALONE_TABLE if options.merge else object_name(key)


def _serve_listener(key: Key, gateway: ParsedGateway, listener: ParsedListener, reads: Reads) -> ServedListener:
    problem = listener.problem or listener.conflict
    if problem is None and gateway.problem is None and reads.options.merge:
        problem = _port_clash(key, gateway, listener, reads)
    if problem is not None or not listener.is_servable:
        return ServedListener(listener, problem, ())
    keys = [
        listener_key(key, listener.owner, listener.name, address if index else "")
        for index, address in enumerate(gateway.addresses)
    ]
    return ServedListener(listener, None, tuple(keys))


def _port_clash(key: Key, gateway: ParsedGateway, listener: ParsedListener, reads: Reads) -> Problem | None:
    for address in gateway.addresses:
        owner = reads.result(PORT, (address, listener.bind_port, listener.transport))
        if owner not in (key, None):
            message = (
                f"port {listener.bind_port} of {address} is that of {owner}, which goes before: use another port or"
                " address, or move the listener to that Gateway"
            )
            return Problem(ConditionReason.PORT_UNAVAILABLE, message)
    return None


def _publish_gateway(key: Key, served: ServedGateway | None) -> Published:
    if served is None:
        return NOTHING
    resources: list[tuple[str, str, TableResource]] = []
    for listener in served.every_listener():
        if not listener.keys:
            continue
        resources += [(served.table, "trust_bundles", bundle) for bundle in listener.parsed.trust_bundles]
        resources += [(served.table, "certificates", certificate) for certificate in listener.parsed.certificates]
        resources += [
            (served.table, "listeners", _table_listener(key, served.parsed, listener.parsed, table_key, address))
            for table_key, address in zip(listener.keys, served.parsed.addresses, strict=True)
        ]
    policies = served.parsed.authorization
    if resources:
        resources.append((served.table, "gateways", served.parsed.settings))
        resources += [(served.table, "authorization_policies", policy) for policy in policies]
        resources += [(served.table, "request_authentications", it) for it in served.parsed.authentication]
        deciding = {policy for _, _, resource in resources for policy in _egress_policies(resource)}
        egress = [one.policy for one in served.parsed.outlets.policies if one.policy.key in deciding]
        resources += [(served.table, "egress_policies", policy) for policy in egress]
    unique = {(table, kind, resource.key): (table, kind, resource) for table, kind, resource in resources}
    governed = _governed(key, served) if policies else None
    labelled = (key.namespace, label_value(key.name))
    return Published(
        members=(
            ((TABLES, ""), served.table),
            *(((PLACEMENTS, ""), (served.table, backend)) for backend in (served.parsed.asked if resources else ())),
            *(((AUTHORIZED, policy.key), governed) for policy in policies),
            *(((GOVERNING, object_name(key)), policy) for policy in served.parsed.governing),
            *(((TOKENS_LOOKED_AT, it.key), object_name(key)) for it in served.parsed.authentication),
            *(((MUTUAL_TLS_PORTS, labelled), port) for port in served.parsed.outlets.mutual_tls_ports()),
            *authenticating(served.parsed.outlets.authenticated, object_name(key)),
            *(((CROSSINGS, ""), (served.table, table_key)) for table_key in _crossings(served)),
        ),
        resources=tuple(unique.values()),
    )


def _crossings(served: ServedGateway) -> Iterator[str]:
    for listener in served.every_listener():
        if listener.parsed.auto_passthrough:
            yield from listener.keys


def _governed(key: Key, served: ServedGateway) -> Governed:
    outlets = served.parsed.outlets
    served_ones = [listener.parsed for listener in served.every_listener() if listener.problem is None]
    return Governed(
        gateway=object_name(key),
        streams=tuple(one.name for one in served_ones if one.protocol not in ("HTTP", "HTTPS", "HBONE")),
        without_identity=tuple(
            one.name
            for one in served_ones
            if one.client_validation is None and one.protocol != "HBONE" and not outlets.knows_peers(one)
        ),
        place=object_name(key),
    )


def _table_listener(
    gateway: Key, parsed: ParsedGateway, listener: ParsedListener, key: str, address: str
) -> model.Listener:
    tunnels = listener.protocol == "HBONE"
    return model.Listener(
        key=key,
        gateway=object_name(gateway),
        address=address,
        port=listener.port,
        bind_port=listener.bind_port,
        protocol="HTTPS"
        if listener.protocol == EGRESS_PROXY and listener.terminates_tls
        else _PROTOCOLS[listener.protocol],
        hostname=listener.hostname,
        certificates=tuple(certificate.key for certificate in listener.certificates),
        tls_mode="Passthrough" if listener.protocol == EGRESS_TLS else listener.tls_mode,
        client_validation=listener.client_validation,
        # Of tunnels, what is behind them is decided about: see ``waypoint``.
        authorization=() if tunnels else tuple(policy.key for policy in parsed.authorization),
        authentication=() if tunnels else tuple(it.key for it in parsed.authentication),
        inner="{}:{}".format(*WAYPOINT_INNER) if tunnels else "",
        egress=parsed.outlets.way_out(listener),
        routed_egress=parsed.outlets.routed(listener),
        mesh=parsed.outlets.mutual_tls(listener),
    )


def _egress_policies(resource: TableResource) -> tuple[str, ...]:
    """Keys of the egress policies that a listener asks."""
    outlet = (resource.egress or resource.routed_egress) if isinstance(resource, model.Listener) else None
    return outlet.policies if outlet else ()


GATEWAY: Stage[Key, ServedGateway | None] = Stage(Rank.GATEWAY, _serve, _publish_gateway)
