"""Gateways: from the object to the listeners of a table, and to what routes can attach to.

Owns whether a Gateway and each of its listeners are served (Gateway API: ``gateway_types.go``), and
who gets a port in a merged table. Must not count routes or write conditions: see ``gateway_status``.
"""

from __future__ import annotations

import datetime
from collections import Counter
from typing import NamedTuple

import msgspec

from controller.resources import GATEWAY_GROUP, Gateway, RouteGroupKind, RouteNamespaces
from controller.store import Key
from controller.translate.addresses import bound_addresses
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.gateway_class import GATEWAY_CLASS
from controller.translate.graph import NOTHING, Published, Reads, Stage, TableResource
from controller.translate.listener_conflicts import with_conflicts
from controller.translate.listeners import ParsedListener, parse_listener
from controller.translate.names import listener_key, object_name
from controller.translate.options import STANDALONE_TABLE, Options
from controller.translate.parameters import find_parameters, gateway_settings
from controller.translate.secret_refs import resolve_certificate
from controller.translate.stages import Rank
from gateway.routing_table import model

CLAIMS = "claims"
"""Collection: Gateways that want an (address, port) of the merged table."""

TABLES = "tables"
"""Collection: names of the tables there are."""

Socket = tuple[str, int]
Age = tuple[datetime.datetime, str]


class ParsedGateway(msgspec.Struct, frozen=True):
    """A Gateway of ours by itself."""

    age: Age
    settings: model.Gateway
    addresses: tuple[str, ...]
    listeners: tuple[ParsedListener, ...]
    problem: Problem | None
    """Why the Gateway as a whole is not accepted."""
    client_certificate: model.Certificate | None
    client_problem: Problem | None


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


class ParentListener(msgspec.Struct, frozen=True):
    """What a route needs to know of a listener."""

    name: str
    port: int
    hostname: str
    kinds: tuple[RouteGroupKind, ...]
    namespaces: RouteNamespaces
    keys: tuple[str, ...]


class Parent(msgspec.Struct, frozen=True):
    """What a route needs to know of a Gateway of ours: the listeners that its reference selects.

    ``client_certificate`` is presented to backends over TLS; ``variant`` sets its copies of routes
    and backends apart in a merged table.
    """

    table: str
    listeners: tuple[ParentListener, ...]
    client_certificate: Key | None = None
    variant: str = ""


def _parse(key: Key, reads: Reads) -> ParsedGateway | None:
    gateway = reads.get(Gateway, key.namespace, key.name)
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
    addresses = bound_addresses(gateway.spec.addresses, reads.options.address)
    if isinstance(addresses, Problem):
        problem = problem or addresses
        addresses = ()
    client = _client_certificate(reads, key, gateway)
    return ParsedGateway(
        age=(gateway.metadata.creation_timestamp, object_name(key)),
        settings=gateway_settings(object_name(key), layers),
        addresses=addresses,
        listeners=_parse_listeners(reads, key, gateway),
        problem=problem,
        client_certificate=client if isinstance(client, model.Certificate) else None,
        client_problem=client if isinstance(client, Problem) else None,
    )


def _parse_listeners(reads: Reads, key: Key, gateway: Gateway) -> tuple[ParsedListener, ...]:
    uses = Counter(listener.name for listener in gateway.spec.listeners)
    listeners = []
    for listener in gateway.spec.listeners:
        parsed = parse_listener(reads, key, gateway, listener)
        if uses[listener.name] > 1:
            message = f"{uses[listener.name]} listeners are named {listener.name}: give each a name of its own"
            parsed = msgspec.structs.replace(parsed, problem=Problem(ConditionReason.UNSUPPORTED_VALUE, message))
        listeners.append(parsed)
    return with_conflicts(listeners)


def _client_certificate(reads: Reads, key: Key, gateway: Gateway) -> model.Certificate | Problem | None:
    backend = gateway.spec.tls.backend if gateway.spec.tls else None
    if backend is None or backend.client_certificate_ref is None:
        return None
    reason = ConditionReason.INVALID_CLIENT_CERTIFICATE_REF
    return resolve_certificate(reads, key, GATEWAY_GROUP, backend.client_certificate_ref, reason)


def _publish_claims(key: Key, parsed: ParsedGateway | None) -> Published:
    if parsed is None or parsed.problem is not None:
        return NOTHING
    sockets = {
        (address, listener.bind_port)
        for listener in parsed.listeners
        if listener.problem is None and listener.conflict is None
        for address in parsed.addresses
    }
    return Published(members=tuple(((CLAIMS, socket), (*parsed.age, key)) for socket in sorted(sockets)))


PARSED_GATEWAY: Stage[Key, ParsedGateway | None] = Stage(Rank.PARSED_GATEWAY, _parse, _publish_claims)


def _port(socket: Socket, reads: Reads) -> Key | None:
    claims: list[tuple[datetime.datetime, str, Key]] = list(reads.members(CLAIMS, socket))
    return min(claims)[2] if claims else None


PORT: Stage[Socket, Key | None] = Stage(Rank.PORT, _port)
"""Which Gateway gets an (address, port): the oldest, then the first by name."""


def _serve(key: Key, reads: Reads) -> ServedGateway | None:
    parsed = reads.result(PARSED_GATEWAY, key)
    if parsed is None:
        return None
    listeners = tuple(_serve_listener(key, parsed, listener, reads) for listener in parsed.listeners)
    problem = parsed.problem
    if problem is None and not any(listener.problem is None for listener in listeners):
        refusals = "; ".join(f"{one.parsed.name}: {one.problem.message}" for one in listeners if one.problem)
        problem = Problem(ConditionReason.LISTENERS_NOT_VALID, f"no listener is accepted ({refusals})")
    if problem is not None:
        listeners = tuple(msgspec.structs.replace(listener, keys=()) for listener in listeners)
    return ServedGateway(_table(key, reads.options), parsed, problem, listeners)


def _table(key: Key, options: Options) -> str:
    return STANDALONE_TABLE if options.merge else object_name(key)


def _serve_listener(key: Key, gateway: ParsedGateway, listener: ParsedListener, reads: Reads) -> ServedListener:
    problem = listener.problem or listener.conflict
    if problem is None and gateway.problem is None and reads.options.merge:
        problem = _port_clash(key, gateway, listener, reads)
    if problem is not None or not listener.is_servable:
        return ServedListener(listener, problem, ())
    keys = [
        listener_key(key, listener.name, address if index else "") for index, address in enumerate(gateway.addresses)
    ]
    return ServedListener(listener, None, tuple(keys))


def _port_clash(key: Key, gateway: ParsedGateway, listener: ParsedListener, reads: Reads) -> Problem | None:
    for address in gateway.addresses:
        owner = reads.result(PORT, (address, listener.bind_port))
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
    for listener in served.listeners:
        if not listener.keys:
            continue
        resources += [(served.table, "certificates", certificate) for certificate in listener.parsed.certificates]
        resources += [
            (served.table, "listeners", _table_listener(key, listener.parsed, table_key, address))
            for table_key, address in zip(listener.keys, served.parsed.addresses, strict=True)
        ]
    if resources:
        resources.append((served.table, "gateways", served.parsed.settings))
    unique = {(table, kind, resource.key): (table, kind, resource) for table, kind, resource in resources}
    return Published(members=(((TABLES, ""), served.table),), resources=tuple(unique.values()))


def _table_listener(gateway: Key, listener: ParsedListener, key: str, address: str) -> model.Listener:
    return model.Listener(
        key=key,
        gateway=object_name(gateway),
        address=address,
        port=listener.port,
        bind_port=listener.bind_port,
        protocol="HTTPS" if listener.protocol == "HTTPS" else "HTTP",
        hostname=listener.hostname,
        certificates=tuple(certificate.key for certificate in listener.certificates),
    )


GATEWAY: Stage[Key, ServedGateway | None] = Stage(Rank.GATEWAY, _serve, _publish_gateway)


class ParentSelector(NamedTuple):
    """What a parent reference selects: a Gateway, or its listeners of one name, or port, or both."""

    gateway: Key
    section_name: str = ""
    port: int = 0

    def selects(self, listener: ParsedListener) -> bool:
        """Whether a listener is meant."""
        return self.section_name in ("", listener.name) and self.port in (0, listener.port)


def _parent(selector: ParentSelector, reads: Reads) -> Parent | None:
    served = reads.result(GATEWAY, selector.gateway)
    if served is None:
        return None
    listeners = tuple(
        ParentListener(
            name=listener.parsed.name,
            port=listener.parsed.port,
            hostname=listener.parsed.hostname,
            kinds=listener.parsed.kinds,
            namespaces=listener.parsed.namespaces,
            keys=listener.keys,
        )
        for listener in served.listeners
        if selector.selects(listener.parsed)
    )
    client = served.parsed.client_certificate
    if client is None:
        return Parent(served.table, listeners)
    kind, namespace, name = client.key.split("/")
    variant = object_name(selector.gateway) if reads.options.merge else ""
    return Parent(served.table, listeners, Key(kind, namespace, name), variant)


PARENT: Stage[ParentSelector, Parent | None] = Stage(Rank.PARENT, _parent)
"""None for a Gateway that is not ours. A route sees no more than its reference selects."""
