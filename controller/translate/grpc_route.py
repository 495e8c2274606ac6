"""Rules of GRPCRoutes.

Owns ``GRPCRouteRule`` (Gateway API: ``grpcroute_types.go``). Where a route attaches, and its status,
are common to all routes: see ``route``.
"""

from __future__ import annotations

from controller.resources import GRPCBackendRef, GRPCRouteRule
from controller.translate.filters import grpc_filters
from controller.translate.matches import grpc_matches
from controller.translate.rules import Content, Rule, TranslatedRule
from gateway.routing_table import model


def translate_grpc_rule(rule: Rule, source: GRPCRouteRule) -> TranslatedRule:
    """One rule."""
    if source.session_persistence is not None:
        rule.notice("sessionPersistence is not supported in this release and has no effect")
    return rule.finish(
        Content(
            name=source.name or "",
            matches=grpc_matches(rule, source.matches),
            filters=grpc_filters(rule, source.filters),
            backends=tuple(_backend(rule, reference) for reference in source.backend_refs),
        )
    )


def _backend(rule: Rule, reference: GRPCBackendRef) -> model.WeightedBackend:
    part = rule.backend()
    filters = grpc_filters(part, reference.filters)
    return part.share(reference.weight, rule.resolve(reference), filters)
