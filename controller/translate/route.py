"""Routes of every kind: where they attach, what they put in tables, and their status.

Owns ``RouteStatus`` (Gateway API: ``shared_types.go``) and the step from rules to the routing
table. What a rule means is its kind's module's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

import msgspec

from controller.resources import GRPCRoute, HTTPRoute, TCPRoute, TLSRoute, UDPRoute, XBackend
from controller.store import Key
from controller.translate.attachment import ParentMatch, attach
from controller.translate.backend_tls_policy import ANCESTORS
from controller.translate.backend_view import PLACEMENTS, Transport
from controller.translate.backends import Referrer
from controller.translate.graph import NOTHING, Collection, Published, Reads, Stage
from controller.translate.mesh_route_status import mesh_notices, service_statuses
from controller.translate.route_conditions import route_conditions
from controller.translate.route_rules import (
    BY_KIND,
    STREAMS,
    Route,
    Rules,
    hostnames_problem,
    table_route,
    translate_rules,
    verdict_on,
)
from controller.translate.stages import Rank
from controller.translate.statuses import RouteParentStatus, RouteStatus
from gateway.routing_table import model

ATTACHED = "attached"
"""Collection, by Gateway or ListenerSet and listener name: the accepted routes attached to it."""

_AS_IS = ("TCP", "UDP")
"""Transports that no policy of a Service and no client certificate of a Gateway has a say in."""


class _Group(msgspec.Struct, frozen=True):
    """Parents whose Gateways share a table and a client certificate, so that one set of rules serves them."""

    table: str
    referrer: Referrer


def _route(key: Key, reads: Reads) -> Published:
    route = reads.get(BY_KIND[key.kind], key.namespace, key.name)
    if route is None:
        return NOTHING
    hostnames = () if isinstance(route, TCPRoute | UDPRoute) else route.spec.hostnames
    services = service_statuses(reads, key, route)
    references = [reference for reference in route.spec.parent_refs if reference not in services]
    answers = [attach(reads, key, reference, hostnames) for reference in references]
    parents = [answer for answer in answers if isinstance(answer, ParentMatch)]
    notices = [answer for answer in answers if isinstance(answer, str) and answer]
    if not route.spec.parent_refs:
        notices.append("the route has no parentRefs, so no Gateway serves it")
    if services:
        notices += mesh_notices(reads, key, route, alone=not parents)
    transport = _transport(route, parents)
    passthrough = isinstance(route, TLSRoute) and not _all_terminate(parents)
    groups = [_group(key, parent, transport, passthrough=passthrough) for parent in parents]
    rules: dict[_Group, Rules] = {group: translate_rules(reads, group.referrer, route) for group in groups}
    first = next(iter(rules.values()), ())
    notices += [f"rule {index}: {notice}" for index, rule in enumerate(first) for notice in rule.notices]
    if (parents or services) and isinstance(route, STREAMS) and len(route.spec.rules) > 1:
        notices.append("only the first rule has an effect: nothing tells the connections of several rules apart")
    verdict = hostnames_problem(hostnames) or verdict_on(first)
    pairs = tuple(zip(parents, groups, strict=True))
    accepted = [pair for pair in pairs if pair[0].problem is None and verdict is None]
    generation = route.metadata.generation
    statuses = services | {
        parent.reference: RouteParentStatus(
            parent_ref=parent.reference,
            controller_name=reads.options.controller_name,
            conditions=route_conditions(parent.problem or verdict, rules[group], generation),
        )
        for parent, group in pairs
    }
    status = RouteStatus(parents=tuple(statuses[one] for one in route.spec.parent_refs if one in statuses))
    return Published(
        members=tuple(dict.fromkeys(_members(key, accepted, rules))),
        resources=tuple(
            (group.table, "routes", resource)
            for group, translated in rules.items()
            for resource in _resources(group, route, [parent for parent, its in accepted if its == group], translated)
        ),
        status=(key, status) if statuses else None,
        notices=tuple((key, notice) for notice in notices),
    )


def _transport(route: Route, parents: Iterable[ParentMatch]) -> Transport:
    match route:
        case HTTPRoute() | GRPCRoute():
            return ""
        case TLSRoute():
            attached = (one for parent in parents for one in parent.listeners)
            return "TLS" if any(one.listener.terminates_tls for one in attached) else "TCP"
        case TCPRoute():
            return "TCP"
        case UDPRoute():
            return "UDP"
        case _:
            assert_never(route)


def _all_terminate(parents: Iterable[ParentMatch]) -> bool:
    return all(one.listener.terminates_tls for parent in parents for one in parent.listeners)


def _group(route: Key, parent: ParentMatch, transport: Transport, *, passthrough: bool) -> _Group:
    view = parent.parent
    if transport in _AS_IS:
        return _Group(view.table, Referrer(route, transport=transport, passthrough=passthrough))
    return _Group(view.table, Referrer(route, view.client_certificate, view.variant, transport, passthrough))


def _members(
    key: Key, accepted: Sequence[tuple[ParentMatch, _Group]], rules: dict[_Group, Rules]
) -> Iterable[tuple[Collection, object]]:
    for parent, group in accepted:
        for attached in parent.listeners:
            yield (ATTACHED, (parent.owner, attached.listener.name)), key
        served = any(attached.listener.keys for attached in parent.listeners)
        for rule in rules[group]:
            for target in rule.targets:
                if group.referrer.transport not in _AS_IS or target.kind == XBackend.kind:
                    yield (ANCESTORS, target), parent.parent.gateway
            if served and not rule.dropped:
                for backend in rule.backends:
                    yield (PLACEMENTS, ""), (group.table, backend)


def _resources(group: _Group, route: Route, parents: Sequence[ParentMatch], rules: Rules) -> Iterable[model.Route]:
    hostnames: dict[str, tuple[str, ...]] = {}
    for parent in parents:
        for attached in parent.listeners:
            for listener in attached.listener.keys:
                hostnames[listener] = attached.hostnames
    if not hostnames:
        return
    attachments = tuple(model.Attachment(listener=listener, hostnames=hosts) for listener, hosts in hostnames.items())
    for index, rule in enumerate(rules):
        if rule.dropped:
            continue
        yield table_route(route, index, rule, attachments, group.referrer.variant)


def _publish(_key: Key, published: Published) -> Published:
    return published


ROUTE: Stage[Key, Published] = Stage(Rank.ROUTE, _route, _publish)
"""By route, of any kind."""
