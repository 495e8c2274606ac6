"""Rules of HTTPRoutes.

Owns ``HTTPRouteRule`` (Gateway API: ``httproute_types.go``). Where a route attaches, and its status,
are common to all routes: see ``route``.
"""

from __future__ import annotations

from controller.resources import HTTPBackendRef, HTTPRouteRetry, HTTPRouteRule, HTTPRouteTimeouts, duration_ms
from controller.translate.conditions import ConditionReason
from controller.translate.filters import http_filters, share_filters
from controller.translate.matches import http_matches
from controller.translate.rules import Content, Rule, TranslatedRule
from gateway.routing_table import model

MAX_RETRIES = 100
"""Most retries of one request that a gateway makes."""


def translate_http_rule(rule: Rule, source: HTTPRouteRule) -> TranslatedRule:
    """One rule."""
    prefix = all(match.path.type == "PathPrefix" for match in source.matches)
    if source.backend_refs and any(filter_.type == "RequestRedirect" for filter_ in source.filters):
        rule.drop("a rule that redirects cannot have backendRefs", ConditionReason.INCOMPATIBLE_FILTERS)
    if source.session_persistence is not None:
        rule.notice("sessionPersistence is not supported in this release and has no effect")
    return rule.finish(
        Content(
            name=source.name or "",
            matches=http_matches(rule, source.matches),
            filters=http_filters(rule, source.filters, prefix=prefix),
            backends=tuple(_backend(rule, reference, prefix=prefix) for reference in source.backend_refs),
            timeouts=_timeouts(rule, source.timeouts) if source.timeouts else model.Timeouts(),
            retry=_retry(rule, source.retry) if source.retry else None,
        )
    )


def _backend(rule: Rule, reference: HTTPBackendRef, *, prefix: bool) -> model.WeightedBackend:
    part = rule.backend()
    filters = share_filters(part, reference.filters, prefix=prefix)
    return part.share(reference.weight, rule.resolve(reference), filters)


def _timeouts(rule: Rule, timeouts: HTTPRouteTimeouts) -> model.Timeouts:
    request = duration_ms(timeouts.request) if timeouts.request else 0
    backend_request = duration_ms(timeouts.backend_request) if timeouts.backend_request else 0
    if request and backend_request > request:
        rule.drop(f"timeouts.backendRequest ({timeouts.backend_request}) exceeds timeouts.request ({timeouts.request})")
    return model.Timeouts(request_ms=request, backend_request_ms=backend_request)


def _retry(rule: Rule, retry: HTTPRouteRetry) -> model.Retry:
    defaults = model.Retry()
    if retry.attempts and retry.attempts > MAX_RETRIES:
        rule.notice(f"retry.attempts is {retry.attempts}: at most {MAX_RETRIES} retries are made")
    return model.Retry(
        codes=tuple(sorted(set(retry.codes))),
        attempts=min(retry.attempts or defaults.attempts, MAX_RETRIES),
        backoff_ms=duration_ms(retry.backoff) if retry.backoff else defaults.backoff_ms,
    )
