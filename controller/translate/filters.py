"""Filters of rules and of backend references.

Owns what makes a filter or a list of filters valid (Gateway API: ``HTTPRouteFilter``,
``HTTPRouteRule.filters``). The order of the list is kept: it is the order of execution. A filter
that cannot be applied is never skipped, except a mirror, whose loss no client can notice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from controller.resources import (
    CredentialInjection,
    GRPCRouteFilter,
    HTTPAuthConfig,
    HTTPCORSFilter,
    HTTPExternalAuthFilter,
    HTTPHeader,
    HTTPHeaderFilter,
    HTTPPathModifier,
    HTTPRequestMirrorFilter,
    HTTPRequestRedirectFilter,
    HTTPRouteFilter,
    HTTPURLRewriteFilter,
    LocalObjectReference,
)
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.credential_injection import credential_injection
from controller.translate.external_authorization import lowered
from controller.translate.hostnames import hostname_problem
from controller.translate.matches import METHODS
from controller.translate.rules import Rule
from gateway.routing_table import model
from gateway.routing_table.validate import FRAMING_HEADERS
from gateway.routing_table.validate.external import external_authorization

_ONCE = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "CORS")
_REPLACEMENT = re.compile(r"/[!\"$->@-~]*\Z")
_TOKEN = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+\Z")


def http_filters(rule: Rule, filters: Sequence[HTTPRouteFilter], *, prefix: bool) -> tuple[model.Filter, ...]:
    """Filters of an HTTPRoute; ``prefix``: all matches of the rule are of type PathPrefix."""
    _check_combination(rule, [filter_.type for filter_ in filters])
    translated = [_http_filter(rule, filter_, prefix=prefix) for filter_ in filters]
    return tuple(filter_ for filter_ in translated if filter_ is not None)


def share_filters(rule: Rule, filters: Sequence[HTTPRouteFilter], *, prefix: bool) -> tuple[model.Filter, ...]:
    """Filters of one of its backend references, which is chosen when everybody was asked who is to be asked."""
    if any(filter_.type == "ExternalAuth" for filter_ in filters):
        message = "the filter ExternalAuth stands at a backend, which is answered with 500: move it to the rule"
        rule.fail(Problem(ConditionReason.UNSUPPORTED_VALUE, message))
    rest = [filter_ for filter_ in filters if filter_.type != "ExternalAuth"]
    return http_filters(rule, rest, prefix=prefix)


def grpc_filters(rule: Rule, filters: Sequence[GRPCRouteFilter]) -> tuple[model.Filter, ...]:
    """Filters of a GRPCRoute."""
    _check_combination(rule, [filter_.type for filter_ in filters])
    translated = [_common_filter(rule, filter_) for filter_ in filters]
    return tuple(filter_ for filter_ in translated if filter_ is not None)


def _check_combination(rule: Rule, types: Sequence[str]) -> None:
    if len(types) < 2:
        return
    repeated = [type_ for type_ in _ONCE if types.count(type_) > 1]
    if repeated:
        rule.drop(f"the filter {repeated[0]} stands more than once", ConditionReason.INCOMPATIBLE_FILTERS)
    if "RequestRedirect" in types and "URLRewrite" in types:
        rule.drop("RequestRedirect and URLRewrite exclude each other", ConditionReason.INCOMPATIBLE_FILTERS)


def _http_filter(rule: Rule, filter_: HTTPRouteFilter, *, prefix: bool) -> model.Filter | None:
    match filter_.type:
        case "RequestRedirect" if filter_.request_redirect:
            return _redirect(rule, filter_.request_redirect, prefix=prefix)
        case "URLRewrite" if filter_.url_rewrite:
            return _rewrite(rule, filter_.url_rewrite, prefix=prefix)
        case "CORS" if filter_.cors:
            return _cors(rule, filter_.cors)
        case "ExternalAuth" if filter_.external_auth:
            return _external_auth(rule, filter_.external_auth)
        case "RequestRedirect" | "URLRewrite" | "CORS" | "ExternalAuth":
            rule.drop(f"the filter {filter_.type} has no settings")
            return None
        case _:
            return _common_filter(rule, filter_)


def _common_filter(rule: Rule, filter_: HTTPRouteFilter | GRPCRouteFilter) -> model.Filter | None:
    match filter_.type:
        case "RequestHeaderModifier" if filter_.request_header_modifier:
            set_, add, remove = _header_changes(rule, filter_.request_header_modifier)
            return model.RequestHeaderModifier(set=set_, add=add, remove=remove)
        case "ResponseHeaderModifier" if filter_.response_header_modifier:
            set_, add, remove = _header_changes(rule, filter_.response_header_modifier)
            return model.ResponseHeaderModifier(set=set_, add=add, remove=remove)
        case "RequestMirror" if filter_.request_mirror:
            return _mirror(rule, filter_.request_mirror)
        case "ExtensionRef" if filter_.extension_ref:
            return _extension(rule, filter_.extension_ref)
        case "RequestHeaderModifier" | "ResponseHeaderModifier" | "RequestMirror" | "ExtensionRef":
            rule.drop(f"the filter {filter_.type} has no settings")
        case _:
            rule.reject(f"filter type {filter_.type!r} is not known")
    return None


def _extension(rule: Rule, reference: LocalObjectReference) -> model.Filter | None:
    if (reference.group, reference.kind) == (CredentialInjection.group, CredentialInjection.kind):
        return credential_injection(rule, reference)
    group = f" of group {reference.group}" if reference.group else ""
    message = f"the filter ExtensionRef names {reference.kind} {reference.name}{group}, and no such kind is supported"
    rule.fail(Problem(ConditionReason.INVALID_KIND, message))
    return None


def _header_changes(
    rule: Rule, changes: HTTPHeaderFilter
) -> tuple[tuple[model.Header, ...], tuple[model.Header, ...], tuple[str, ...]]:
    set_, add = _headers(changes.set), _headers(changes.add)
    remove = tuple(dict.fromkeys(name.lower() for name in changes.remove))
    actions = Counter([*(header.name for header in set_), *(header.name for header in add), *remove])
    repeated = [name for name, count in actions.items() if count > 1]
    if repeated:
        rule.drop(f"the header {repeated[0]} has more than one action in a header modifier")
    malformed = [name for name in actions if not _TOKEN.match(name)]
    if malformed:
        rule.drop(f"{malformed[0]!r} is not a header name")
    framing = [name for name in actions if name in FRAMING_HEADERS]
    if framing:
        rule.drop(f"the header {framing[0]} cannot be modified: the gateway frames messages itself")
    if "host" in actions:
        rule.drop("the header Host cannot be modified here: use hostname of the filter URLRewrite")
    return set_, add, remove


def _headers(headers: Iterable[HTTPHeader]) -> tuple[model.Header, ...]:
    first: dict[str, model.Header] = {}
    for header in headers:
        name = header.name.lower()
        first.setdefault(name, model.Header(name=name, value=header.value))
    return tuple(first.values())


def _redirect(rule: Rule, redirect: HTTPRequestRedirectFilter, *, prefix: bool) -> model.RequestRedirect | None:
    path = _path_modifier(rule, redirect.path, prefix=prefix)
    _check_hostname(rule, redirect.hostname)
    match redirect.scheme or "":
        case "" | "http" | "https" as scheme:
            pass
        case _:
            rule.reject(f"redirect scheme {redirect.scheme!r} is not known")
            return None
    match redirect.status_code:
        case 301 | 302 | 303 | 307 | 308 as status:
            hostname = redirect.hostname or ""
            return model.RequestRedirect(scheme=scheme, hostname=hostname, path=path, port=redirect.port, status=status)
        case _:
            rule.reject(f"redirect statusCode {redirect.status_code} is none of 301, 302, 303, 307 and 308")
            return None


def _check_hostname(rule: Rule, hostname: str | None) -> None:
    problem = hostname_problem(hostname) if hostname else ""
    if problem:
        rule.drop(problem)


def _rewrite(rule: Rule, rewrite: HTTPURLRewriteFilter, *, prefix: bool) -> model.URLRewrite:
    _check_hostname(rule, rewrite.hostname)
    return model.URLRewrite(hostname=rewrite.hostname or "", path=_path_modifier(rule, rewrite.path, prefix=prefix))


def _path_modifier(rule: Rule, modifier: HTTPPathModifier | None, *, prefix: bool) -> model.PathModifier | None:
    if modifier is None:
        return None
    match modifier.type:
        case "ReplaceFullPath":
            return _replacement(rule, "ReplaceFullPath", modifier.replace_full_path or "")
        case "ReplacePrefixMatch":
            if not prefix:
                rule.drop("ReplacePrefixMatch needs every match of the rule to be of type PathPrefix")
            return _replacement(rule, "ReplacePrefixMatch", modifier.replace_prefix_match or "")
        case _:
            rule.reject(f"path modifier type {modifier.type!r} is not known")
            return None


def _replacement(rule: Rule, type_: Literal["ReplaceFullPath", "ReplacePrefixMatch"], value: str) -> model.PathModifier:
    if value and not _REPLACEMENT.match(value):
        rule.drop(f"the path {value!r} to put in place must start with '/' and hold no '?', '#' or space")
    return model.PathModifier(type=type_, value=value)


def _mirror(rule: Rule, mirror: HTTPRequestMirrorFilter) -> model.RequestMirror | None:
    if mirror.percent is not None and mirror.fraction is not None:
        rule.drop("the filter RequestMirror has both percent and fraction")
        return None
    resolved = rule.resolve(mirror.backend_ref)
    if resolved.backend is None or resolved.view.resource is None or resolved.view.problem is not None:
        return None
    rule.use(resolved.backend)
    numerator, denominator = 1, 1
    if mirror.percent is not None:
        numerator, denominator = mirror.percent, 100
    elif mirror.fraction is not None:
        numerator, denominator = mirror.fraction.numerator, mirror.fraction.denominator
    if numerator > denominator:
        rule.drop("the filter RequestMirror has a fraction larger than 1")
    return model.RequestMirror(backend=resolved.view.resource.key, numerator=numerator, denominator=denominator)


def _external_auth(rule: Rule, auth: HTTPExternalAuthFilter) -> model.ExternalAuth | None:
    unsupported = _unsupported(auth)
    if unsupported:
        message = f"the filter ExternalAuth {unsupported}: what it guards is answered with 500"
        rule.fail(Problem(ConditionReason.UNSUPPORTED_VALUE, message))
        return None
    settings = auth.http or HTTPAuthConfig()
    resolved = rule.resolve(auth.backend_ref)
    if resolved.backend is None or resolved.view.resource is None or resolved.view.problem is not None:
        problem = resolved.view.problem
        message = f"the filter ExternalAuth has nobody to ask: {problem.message if problem else 'no such backend'}"
        rule.fail(Problem(problem.reason if problem else ConditionReason.BACKEND_NOT_FOUND, message))
        return None
    rule.use(resolved.backend)
    provider = model.ExternalAuthorization(
        backend=resolved.view.resource.key,
        path_prefix=(settings.path or "").rstrip("/"),
        request_headers=lowered(settings.allowed_headers),
        upstream_headers=lowered(settings.allowed_response_headers) or ("*",),
        downstream_headers_on_deny=("*",),
    )
    wrong = next(iter(external_authorization(provider)), None)
    if wrong is not None:
        message = f"the filter ExternalAuth cannot be applied: {wrong}"
        rule.fail(Problem(ConditionReason.UNSUPPORTED_VALUE, message))
        return None
    return model.ExternalAuth(provider=provider)


def _unsupported(auth: HTTPExternalAuthFilter) -> str:
    if auth.protocol != "HTTP":
        return f"has protocol {auth.protocol}, and only HTTP is supported"
    if auth.forward_body is not None and auth.forward_body.max_size:
        return "has forwardBody, and the content of a request is not forwarded"
    return ""


def _cors(rule: Rule, cors: HTTPCORSFilter) -> model.CORS:
    unknown = [method for method in cors.allow_methods if method != "*" and method not in METHODS]
    if unknown:
        rule.reject(f"CORS allowMethods: method {unknown[0]!r} is not known")
    for field, values in (
        ("allowOrigins", cors.allow_origins),
        ("allowMethods", cors.allow_methods),
        ("allowHeaders", cors.allow_headers),
    ):
        if "*" in values and len(values) > 1:
            rule.drop(f"CORS {field}: '*' stands beside other values")
    for origin in cors.allow_origins:
        port = origin.rpartition(":")[2]
        if port.isdecimal() and not 0 < int(port) <= 65535:
            rule.drop(f"CORS allowOrigins: {origin} has a port that does not exist")
    return model.CORS(
        allow_origins=tuple(origin.lower() for origin in cors.allow_origins),
        allow_credentials=bool(cors.allow_credentials),
        allow_methods=cors.allow_methods,
        allow_headers=cors.allow_headers,
        expose_headers=cors.expose_headers,
        max_age_seconds=cors.max_age,
    )
