"""Matches of HTTPRoute and GRPCRoute rules.

Owns the check of match types and regular expressions, and which of several entries for one name
counts: the first (Gateway API: ``HTTPHeaderMatch.name``). Precedence between matches is the router's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from controller.resources import GRPCMethodMatch, GRPCRouteMatch, HTTPPathMatch, HTTPRouteMatch
from controller.translate.rules import Rule
from gateway.routing_table import model

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
_FORBIDDEN_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F", "#")


class _NamedMatch(Protocol):
    @property
    def type(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> str: ...


def http_matches(rule: Rule, matches: Sequence[HTTPRouteMatch]) -> tuple[model.Match, ...]:
    """The matches of an HTTPRoute's rule."""
    return tuple(
        model.Match(
            path=_path(rule, match.path),
            method=_method(rule, match.method),
            headers=_values(rule, "header", match.headers, lower=True),
            query=_values(rule, "query parameter", match.query_params, lower=False),
        )
        for match in matches
    )


def grpc_matches(rule: Rule, matches: Sequence[GRPCRouteMatch]) -> tuple[model.Match, ...]:
    """The matches of a GRPCRoute's rule; none at all matches every request."""
    return tuple(
        model.Match(
            headers=_values(rule, "header", match.headers, lower=True),
            grpc=_grpc_method(rule, match.method) if match.method else None,
        )
        for match in matches
    ) or (model.Match(),)


def _path(rule: Rule, path: HTTPPathMatch) -> model.PathMatch | None:
    match path.type:
        case "Exact" | "PathPrefix" as literal:
            problem = path_problem(path.value)
            if problem:
                rule.drop(f"the path {path.value!r} {problem}")
            return model.PathMatch(type=literal, value=path.value)
        case "RegularExpression":
            rule.check_regex(path.value, "the path")
            return model.PathMatch(type="RegularExpression", value=path.value)
        case _:
            rule.reject(f"path match type {path.type!r} is not known")
            return None


def path_problem(path: str) -> str:
    """Why a literal path can match no request, or empty."""
    if not path.startswith("/"):
        return "does not start with '/'"
    part = next((part for part in _FORBIDDEN_IN_PATHS if part in path), "")
    if part:
        return f"contains {part!r}, which no normalised request has"
    return "ends with a dot segment, which no normalised request has" if path.endswith(("/.", "/..")) else ""


def _method(rule: Rule, method: str | None) -> str:
    if method is not None and method not in METHODS:
        rule.reject(f"method {method!r} is not known")
    return method or ""


def _values(rule: Rule, what: str, entries: Iterable[_NamedMatch], *, lower: bool) -> tuple[model.ValueMatch, ...]:
    found: dict[str, model.ValueMatch] = {}
    for entry in entries:
        name = entry.name.lower() if lower else entry.name
        type_ = _type(rule, f"{what} {entry.name}", entry.type)
        if name in found or type_ is None:
            continue
        if type_ == "RegularExpression":
            rule.check_regex(entry.value, f"{what} {entry.name}")
        elif lower and not entry.value.replace("\t", " ").isprintable():
            rule.drop(f"the value of {what} {entry.name} holds control characters")
        found[name] = model.ValueMatch(name=name, value=entry.value, type=type_)
    return tuple(found.values())


def _grpc_method(rule: Rule, method: GRPCMethodMatch) -> model.GRPCMethodMatch | None:
    type_ = _type(rule, "method", method.type)
    service, name = method.service or "", method.method or ""
    if not service and not name:
        rule.drop("a method match has neither service nor method")
        return None
    if type_ == "Exact" and ("/" in service or "/" in name):
        rule.drop("a gRPC service or method name has no '/'")
    if type_ == "RegularExpression":
        for part, pattern in (("the service", service), ("the method", name)):
            if pattern:
                rule.check_regex(pattern, part)
    return model.GRPCMethodMatch(type=type_ or "Exact", service=service, method=name)


def _type(rule: Rule, what: str, type_: str) -> Literal["Exact", "RegularExpression"] | None:
    match type_:
        case "Exact":
            return "Exact"
        case "RegularExpression":
            return "RegularExpression"
        case _:
            rule.reject(f"{what}: match type {type_!r} is not known")
            return None
