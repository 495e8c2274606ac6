"""Routes of every kind: where they attach, what they put in tables, and their status.

Owns ``RouteStatus`` (Gateway API: ``shared_types.go``) and the step from rules to the routing
table. What a rule means is its kind's module's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, assert_never

import msgspec

from controller.resources import GRPCRoute, HTTPRoute, TCPRoute, TLSRoute, UDPRoute
from controller.store import Key
from controller.translate.attachment import ParentMatch, attach
from controller.translate.backend_tls_policy import ANCESTORS
from controller.translate.backend_view import Transport
from controller.translate.backends import PLACEMENTS, Referrer
from controller.translate.conditions import (
    Condition,
    ConditionReason,
    ConditionType,
    Problem,
    fails,
    first_of,
    holds,
)
from controller.translate.graph import NOTHING, Collection, Published, Reads, Stage
from controller.translate.grpc_route import translate_grpc_rule
from controller.translate.hostnames import hostname_problem
from controller.translate.http_route import translate_http_rule
from controller.translate.names import object_name, route_key
from controller.translate.rules import Rule, TranslatedRule
from controller.translate.stages import Rank
from controller.translate.statuses import RouteParentStatus, RouteStatus
from controller.translate.stream_route import effective, translate_stream_rule
from gateway.routing_table import model

ATTACHED = "attached"
"""Collection, by Gateway or ListenerSet and listener name: the accepted routes attached to it."""

Route = HTTPRoute | GRPCRoute | TLSRoute | TCPRoute | UDPRoute
ROUTES: tuple[type[Route], ...] = (HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, UDPRoute)
_BY_KIND = {type_.kind: type_ for type_ in ROUTES}
_STREAMS = (TLSRoute, TCPRoute, UDPRoute)
_AS_IS = ("TCP", "UDP")
"""Transports that no policy and no client certificate has a say in."""

Rules = tuple[TranslatedRule, ...]


class _Group(msgspec.Struct, frozen=True):
    """Parents whose Gateways share a table and a client certificate, so that one set of rules serves them."""

    table: str
    referrer: Referrer


def _route(key: Key, reads: Reads) -> Published:
    route = reads.get(_BY_KIND[key.kind], key.namespace, key.name)
    if route is None:
        return NOTHING
    hostnames = () if isinstance(route, TCPRoute | UDPRoute) else route.spec.hostnames
    answers = [attach(reads, key, reference, hostnames) for reference in route.spec.parent_refs]
    parents = [answer for answer in answers if isinstance(answer, ParentMatch)]
    notices = [answer for answer in answers if isinstance(answer, str) and answer]
    if not answers:
        notices.append("the route has no parentRefs, so no Gateway serves it")
    if not parents:
        return Published(notices=tuple((key, notice) for notice in notices))
    transport = _transport(route, parents)
    groups = [_group(key, parent, transport) for parent in parents]
    rules: dict[_Group, Rules] = {group: _translate(reads, group.referrer, route) for group in groups}
    first = next(iter(rules.values()))
    notices += [f"rule {index}: {notice}" for index, rule in enumerate(first) for notice in rule.notices]
    if isinstance(route, _STREAMS) and len(route.spec.rules) > 1:
        notices.append("only the first rule has an effect: nothing tells the connections of several rules apart")
    verdict = _hostnames_problem(hostnames) or _verdict(first)
    pairs = tuple(zip(parents, groups, strict=True))
    accepted = [pair for pair in pairs if pair[0].problem is None and verdict is None]
    generation = route.metadata.generation
    return Published(
        members=tuple(dict.fromkeys(_members(key, accepted, rules))),
        resources=tuple(
            (group.table, "routes", resource)
            for group, translated in rules.items()
            for resource in _resources(group, route, [parent for parent, its in accepted if its == group], translated)
        ),
        status=(
            key,
            RouteStatus(
                parents=tuple(
                    RouteParentStatus(
                        parent_ref=parent.reference,
                        controller_name=reads.options.controller_name,
                        conditions=_conditions(parent.problem or verdict, rules[group], generation),
                    )
                    for parent, group in pairs
                )
            ),
        ),
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


def _group(route: Key, parent: ParentMatch, transport: Transport) -> _Group:
    view = parent.parent
    if transport in _AS_IS:
        return _Group(view.table, Referrer(route, transport=transport))
    return _Group(view.table, Referrer(route, view.client_certificate, view.variant, transport))


def _translate(reads: Reads, referrer: Referrer, route: Route) -> Rules:
    match route:
        case HTTPRoute():
            return tuple(translate_http_rule(Rule(reads, referrer), rule) for rule in route.spec.rules)
        case GRPCRoute():
            return tuple(translate_grpc_rule(Rule(reads, referrer), rule) for rule in route.spec.rules)
        case TLSRoute() | TCPRoute() | UDPRoute():
            rules = effective(route.spec.rules)
            return tuple(translate_stream_rule(Rule(reads, referrer), rule) for rule in rules)
        case _:
            assert_never(route)


def _hostnames_problem(hostnames: Sequence[str]) -> Problem | None:
    problem = next((text for text in map(hostname_problem, hostnames) if text), "")
    return Problem(ConditionReason.UNSUPPORTED_VALUE, problem) if problem else None


def _verdict(rules: Rules) -> Problem | None:
    """Why the route as a whole is not accepted."""
    rejected = [f"rule {index}: {text}" for index, rule in enumerate(rules) for text in rule.rejected]
    if rejected:
        return Problem(ConditionReason.UNSUPPORTED_VALUE, "; ".join(rejected))
    if rules and all(rule.dropped for rule in rules):
        return Problem(rules[0].dropped[0].reason, "no rule is usable: " + _dropped(rules))
    return None


def _dropped(rules: Rules) -> str:
    return "; ".join(
        f"rule {index}{f' ({rule.content.name})' if rule.content.name else ''}: {problem.message}"
        for index, rule in enumerate(rules)
        for problem in rule.dropped
    )


def _conditions(problem: Problem | None, rules: Rules, generation: int) -> tuple[Condition, ...]:
    accepted = (
        fails(ConditionType.ACCEPTED, problem.reason, problem.message, generation)
        if problem
        else holds(ConditionType.ACCEPTED, ConditionReason.ACCEPTED, "the route is attached", generation)
    )
    unresolved = tuple(one for rule in rules for one in rule.unresolved)
    resolved = (
        fails(ConditionType.RESOLVED_REFS, *first_of(unresolved), generation)
        if unresolved
        else holds(
            ConditionType.RESOLVED_REFS, ConditionReason.RESOLVED_REFS, "all references are resolved", generation
        )
    )
    if problem or not any(rule.dropped for rule in rules):
        return accepted, resolved
    message = f"Dropped Rule: {_dropped(rules)}"
    partly = holds(ConditionType.PARTIALLY_INVALID, ConditionReason.UNSUPPORTED_VALUE, message, generation)
    return accepted, resolved, partly


def _members(
    key: Key, accepted: Sequence[tuple[ParentMatch, _Group]], rules: dict[_Group, Rules]
) -> Iterable[tuple[Collection, object]]:
    for parent, group in accepted:
        for attached in parent.listeners:
            yield (ATTACHED, (parent.owner, attached.listener.name)), key
        served = any(attached.listener.keys for attached in parent.listeners)
        for rule in rules[group]:
            for target in () if group.referrer.transport in _AS_IS else rule.targets:
                yield (ANCESTORS, target), parent.parent.gateway
            if served and not rule.dropped:
                for backend in rule.backends:
                    yield (PLACEMENTS, ""), (group.table, backend)


def _resources(group: _Group, route: Route, parents: Sequence[ParentMatch], rules: Rules) -> Iterable[model.Route]:
    key = group.referrer.route
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
        yield model.Route(
            key=route_key(key, index, group.referrer.variant),
            kind=_kind(route),
            object=object_name(key),
            rule=index,
            created=int(route.metadata.creation_timestamp.timestamp()),
            name=rule.content.name,
            attachments=attachments,
            matches=rule.content.matches,
            filters=rule.content.filters,
            backends=rule.content.backends,
            timeouts=rule.content.timeouts,
            retry=rule.content.retry,
            failure=rule.content.failure,
        )


def _kind(route: Route) -> Literal["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"]:
    match route:
        case HTTPRoute():
            return "HTTPRoute"
        case GRPCRoute():
            return "GRPCRoute"
        case TLSRoute():
            return "TLSRoute"
        case TCPRoute():
            return "TCPRoute"
        case UDPRoute():
            return "UDPRoute"
        case _:
            assert_never(route)


def _publish(_key: Key, published: Published) -> Published:
    return published


ROUTE: Stage[Key, Published] = Stage(Rank.ROUTE, _route, _publish)
"""By route, of any kind."""
