"""The rules of a route of any kind, wherever the route attaches.

Owns which module translates a kind's rules, and when a route as a whole is not usable. What a rule means is its
kind's module's; where a route attaches is ``route``'s and ``mesh_route``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, assert_never

from controller.resources import GRPCRoute, HTTPRoute, TCPRoute, TLSRoute, UDPRoute
from controller.store import Key
from controller.translate.backends import Referrer
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.graph import Reads
from controller.translate.grpc_route import translate_grpc_rule
from controller.translate.hostnames import hostname_problem
from controller.translate.http_route import translate_http_rule
from controller.translate.names import object_name, route_key
from controller.translate.rules import Rule, TranslatedRule
from controller.translate.stream_route import effective, translate_stream_rule
from gateway.routing_table import model

Route = HTTPRoute | GRPCRoute | TLSRoute | TCPRoute | UDPRoute
ROUTES: tuple[type[Route], ...] = (HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, UDPRoute)
BY_KIND = {type_.kind: type_ for type_ in ROUTES}
STREAMS = (TLSRoute, TCPRoute, UDPRoute)

Rules = tuple[TranslatedRule, ...]
Kind = Literal["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"]


def translate_rules(reads: Reads, referrer: Referrer, route: Route) -> Rules:
    """Every rule that can take effect."""
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


def hostnames_problem(hostnames: Sequence[str]) -> Problem | None:
    """Why hostnames are none, or None."""
    problem = next((text for text in map(hostname_problem, hostnames) if text), "")
    return Problem(ConditionReason.UNSUPPORTED_VALUE, problem) if problem else None


def verdict_on(rules: Rules) -> Problem | None:
    """Why the route as a whole is not accepted."""
    rejected = [f"rule {index}: {text}" for index, rule in enumerate(rules) for text in rule.rejected]
    if rejected:
        return Problem(ConditionReason.UNSUPPORTED_VALUE, "; ".join(rejected))
    if rules and all(rule.dropped for rule in rules):
        return Problem(rules[0].dropped[0].reason, "no rule is usable: " + dropped_rules(rules))
    return None


def dropped_rules(rules: Rules) -> str:
    """What is wrong with each rule that is not usable."""
    return "; ".join(
        f"rule {index}{f' ({rule.content.name})' if rule.content.name else ''}: {problem.message}"
        for index, rule in enumerate(rules)
        for problem in rule.dropped
    )


def kind_of(route: Route) -> Kind:
    """The kind, as the routing table says it."""
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


def table_route(
    route: Route, index: int, rule: TranslatedRule, attachments: tuple[model.Attachment, ...] = (), variant: str = ""
) -> model.Route:
    """One rule in the routing table."""
    key = Key(route.kind, route.metadata.namespace, route.metadata.name)
    return model.Route(
        key=route_key(key, index, variant),
        kind=kind_of(route),
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
