"""Rules on routes: matches, backends, timeouts and retries."""

from __future__ import annotations

from typing import Final, assert_never

from gateway.routing_table.model import (
    Attachment,
    Failure,
    GRPCMethodMatch,
    Match,
    PathMatch,
    Retry,
    Route,
    ValueMatch,
    WeightedBackend,
)
from gateway.routing_table.validate.filters import filters, share_filters
from gateway.routing_table.validate.names import (
    MAX_UNSIGNED_8,
    MAX_UNSIGNED_32,
    Problems,
    at,
    bounded,
    duration,
    each,
    graphic,
    header_name,
    header_value,
    key,
    path,
    pattern_hostname,
    text_bounded,
    token,
    within,
)

_MAX_ATTACHMENTS: Final = 4096
_MAX_HOSTNAMES: Final = 4096
_MAX_MATCHES: Final = 1024
_MAX_VALUE_MATCHES: Final = 64
_MAX_BACKENDS: Final = 1024
_MAX_WEIGHT: Final = 1_000_000
_MAX_RETRIES: Final = 100
_MAX_VALUE_BYTES: Final = 8192
_MAX_PATTERN_BYTES: Final = 1024


def route(it: Route) -> Problems:
    """One rule."""
    yield from at("rule", within(it.rule, 0, MAX_UNSIGNED_32))
    yield from at("rank", within(it.rank, 0, MAX_UNSIGNED_8))
    yield from at("attachments", bounded(len(it.attachments), _MAX_ATTACHMENTS, "attachments"))
    yield from each("attachments", it.attachments, _attachment)
    yield from _matches(it)
    yield from filters(it.filters)
    yield from at("backends", bounded(len(it.backends), _MAX_BACKENDS, "backends"))
    yield from each("backends", it.backends, _weighted_backend)
    yield from at("timeouts.request_ms", duration(it.timeouts.request_ms))
    yield from at("timeouts.backend_request_ms", duration(it.timeouts.backend_request_ms))
    if it.retry is not None:
        yield from at("retry", _retry(it.retry))
    if it.failure is not None:
        yield from at("failure", failure(it.failure))


def _attachment(it: Attachment) -> Problems:
    yield from at("listener", key(it.listener))
    yield from at("hostnames", bounded(len(it.hostnames), _MAX_HOSTNAMES, "hostnames"))
    if not it.hostnames:
        yield "hostnames: the list is empty; write '*' for every host"
    yield from each("hostnames", it.hostnames, lambda name: iter(()) if name == "*" else pattern_hostname(name))


def _matches(it: Route) -> Problems:
    match it.kind:
        case "HTTPRoute" | "GRPCRoute":
            if not it.matches:
                yield "matches: the list is empty; write one match without predicates to match every request"
            yield from at("matches", bounded(len(it.matches), _MAX_MATCHES, "matches"))
            yield from each("matches", it.matches, _http_match if it.kind == "HTTPRoute" else _grpc_match)
        case "TLSRoute":
            yield from _no_requests(it)
        case "TCPRoute" | "UDPRoute":
            yield from _no_requests(it)
            if any(attachment.hostnames != ("*",) for attachment in it.attachments):
                yield f"attachments: a {it.kind} sees no hostname; write '*' alone"
        case _:
            assert_never(it.kind)


def _no_requests(it: Route) -> Problems:
    """What looks at requests has no place in a rule that carries connections."""
    if it.matches:
        yield f"matches: a {it.kind} matches no requests; leave the list empty"
    if it.filters or any(share.filters for share in it.backends):
        yield f"filters: a {it.kind} filters no requests; leave the list empty"
    if it.retry is not None:
        yield f"retry: a {it.kind} retries no requests; leave it out"


def _http_match(it: Match) -> Problems:
    if it.grpc is not None:
        yield "grpc: an HTTPRoute has no gRPC match; use a GRPCRoute"
    if it.path is not None:
        yield from at("path.value", _path_match(it.path))
    if it.method:
        yield from at("method", token(it.method))
    yield from _headers(it)
    yield from at("query", bounded(len(it.query), _MAX_VALUE_MATCHES, "query parameters"))
    yield from each("query", it.query, _query)


def _path_match(it: PathMatch) -> Problems:
    return _pattern(it.value) if it.type == "RegularExpression" else path(it.value)


def _pattern(text: str) -> Problems:
    yield from text_bounded(text, _MAX_PATTERN_BYTES)


def _query(it: ValueMatch) -> Problems:
    if not it.name:
        yield "name: the name is empty; name the query parameter"
    yield from at("name", text_bounded(it.name, _MAX_VALUE_BYTES))
    yield from at("value", _value(it))


def _grpc_match(it: Match) -> Problems:
    for field, present in (("path", it.path), ("method", it.method), ("query", it.query)):
        if present:
            yield f"{field}: a GRPCRoute has no such match; use 'grpc' and 'headers', or an HTTPRoute"
    if it.grpc is not None:
        yield from at("grpc", _grpc_method(it.grpc))
    yield from _headers(it)


def _grpc_method(it: GRPCMethodMatch) -> Problems:
    if not it.service and not it.method:
        yield "service: both service and method are empty; name one, or leave the match out"
    judge = _pattern if it.type == "RegularExpression" else _grpc_name
    yield from at("service", judge(it.service))
    yield from at("method", judge(it.method))


def _grpc_name(text: str) -> Problems:
    yield from text_bounded(text, _MAX_VALUE_BYTES)
    if not graphic(text) or "/" in text:
        yield f"{text!r} cannot be a gRPC name; write it as in the proto file, without '/'"


def _headers(it: Match) -> Problems:
    yield from at("headers", bounded(len(it.headers), _MAX_VALUE_MATCHES, "headers"))
    yield from each("headers", it.headers, _header)


def _header(it: ValueMatch) -> Problems:
    yield from at("name", header_name(it.name))
    yield from at("value", _value(it))
    if it.type == "Exact":
        yield from at("value", header_value(it.value))


def _value(it: ValueMatch) -> Problems:
    return text_bounded(it.value, _MAX_VALUE_BYTES) if it.type == "Exact" else _pattern(it.value)


def _weighted_backend(it: WeightedBackend) -> Problems:
    yield from at("weight", bounded(it.weight, _MAX_WEIGHT, "shares"))
    yield from share_filters(it.filters)
    if it.failure is not None:
        yield from at("failure", failure(it.failure))
    else:
        yield from at("backend", key(it.backend))


def _retry(it: Retry) -> Problems:
    yield from at("attempts", bounded(it.attempts, _MAX_RETRIES, "retries"))
    yield from at("backoff_ms", duration(it.backoff_ms))
    yield from each("codes", it.codes, _error_status)


def failure(it: Failure) -> Problems:
    """What is answered in place of something."""
    yield from at("status", _error_status(it.status))
    if not it.code:
        yield "code: the reason code is empty; name one"


def _error_status(status: int) -> Problems:
    yield from within(status, 400, 599)
