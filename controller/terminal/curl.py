"""Curl lines that work: made from the table, and kept only where the engine says they reach a route.

Pure but for the question to the engine, which is passed in.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from msgspec import Struct

from gateway.admin.explain import Question
from gateway.routing_table.model import Listener, Match, Resources, Route

Explain = Callable[[Question], dict[str, Any]]

_MOST_QUESTIONS: Final = 20
_MOST_ROUTES: Final = 200
_MAX_LINES: Final = 3
_KINDS: Final[tuple[str, ...]] = ("http", "https", "grpc")


class CurlLine(Struct, frozen=True, kw_only=True):
    """A command, and what it shows."""

    command: str
    shows: str
    kind: str
    """``grpc``, ``https`` or ``http``: lines of different kinds are preferred."""


class _Target(Struct, frozen=True):
    """A host and path on a listener, and what a request must carry besides."""

    listener: Listener
    hostname: str
    path: str
    match: Match
    route: Route
    speaks_websocket: bool


def curl_lines(
    table: Resources, explain: Explain, *, authority: Path | None = None, most: int = _MAX_LINES
) -> tuple[CurlLine, ...]:
    """At most ``most`` lines, of as many kinds and routes as there are. ``authority`` verifies HTTPS listeners."""
    candidates = [(_line(target, authority), target) for target in sorted(_targets(table), key=_complexity)]
    chosen: list[CurlLine] = []
    for wanted in _plan({line.kind for line, _ in candidates}, most):
        shown = {line.shows for line in chosen}
        fitting = [pair for pair in candidates if pair[0].kind == wanted and pair[0] not in chosen]
        fitting.sort(key=lambda pair: pair[0].shows in shown)
        for line, target in fitting[:_MOST_QUESTIONS]:
            if _reaches(target, explain):
                chosen.append(line)
                break
    return tuple(chosen)


def _plan(kinds: set[str], most: int) -> list[str]:
    """Which kind each line is of: one of each first, then whatever there is."""
    present = [kind for kind in _KINDS if kind in kinds]
    return (present * most)[:most]


def _complexity(target: _Target) -> tuple[bool, int]:
    """Plain requests to plain backends first."""
    predicates = len(target.match.headers) + len(target.match.query) + bool(target.match.method)
    return target.speaks_websocket, predicates + bool(target.route.filters and not target.route.backends)


def _targets(table: Resources) -> Iterator[_Target]:
    listeners = {listener.key: listener for listener in table.listeners}
    endpoints = {item.key for item in table.endpoints if item.endpoints}
    websockets = {backend.key for backend in table.backends if backend.protocol == "WS"}
    for route in table.routes[:_MOST_ROUTES]:
        if route.failure is not None or not _serves(route, endpoints):
            continue
        speaks_websocket = any(share.backend in websockets for share in route.backends)
        for attachment in route.attachments:
            listener = listeners.get(attachment.listener)
            if listener is None:
                continue
            for match in route.matches[:2]:
                path = _path(match)
                if path is not None and _can_be_sent(match):
                    hostname = _hostname(attachment.hostnames[0])
                    yield _Target(listener, hostname, path, match, route, speaks_websocket)


def _serves(route: Route, endpoints: Iterable[str]) -> bool:
    if not route.backends:
        return bool(route.filters)
    return all(share.failure is None and share.backend in endpoints for share in route.backends if share.weight)


def _path(match: Match) -> str | None:
    if match.grpc is not None:
        if match.grpc.type == "RegularExpression":
            return None
        return f"/{match.grpc.service or 'example.Service'}/{match.grpc.method or 'Method'}"
    if match.path is None:
        return "/"
    return None if match.path.type == "RegularExpression" else match.path.value


def _can_be_sent(match: Match) -> bool:
    return all(value.type == "Exact" for value in (*match.headers, *match.query))


def _hostname(pattern: str) -> str:
    if pattern == "*":
        return ""
    return f"www.{pattern.removeprefix('*.')}" if pattern.startswith("*.") else pattern


def dialled(listener: Listener) -> str:
    """The address a client on this machine uses."""
    address = ip_address(listener.address)
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return str(address) if address.version == 4 else f"[{address}]"


def _is_local_name(target: _Target) -> bool:
    """Names under ``.localhost`` need no DNS and no option, where curl's own idea of them fits."""
    under_localhost = target.hostname == "localhost" or target.hostname.endswith(".localhost")
    return under_localhost and dialled(target.listener) in {"127.0.0.1", "[::1]"}


def _url(target: _Target, host: str) -> str:
    scheme = target.listener.protocol.lower()
    port = target.listener.bind_port
    shown = "" if (scheme, port) in {("http", 80), ("https", 443)} else f":{port}"
    query = "&".join(f"{quote(item.name)}={quote(item.value)}" for item in target.match.query)
    return f"{scheme}://{host}{shown}{target.path}{'?' + query if query else ''}"


def _question(target: _Target) -> Question:
    headers = [(header.name, header.value) for header in target.match.headers]
    if target.route.kind == "GRPCRoute":
        headers += [("content-type", "application/grpc"), ("te", "trailers")]
    method = target.match.method or ("POST" if target.route.kind == "GRPCRoute" else "GET")
    return Question(
        url=_url(target, target.hostname or dialled(target.listener)), method=method, headers=tuple(headers)
    )


def _reaches(target: _Target, explain: Explain) -> bool:
    answer = explain(_question(target))
    return answer.get("decision") == "route" and answer.get("route") == target.route.key


def _line(target: _Target, authority: Path | None) -> CurlLine:
    listener = target.listener
    words = ["curl"]
    if listener.protocol == "HTTPS":
        words += ["--cacert", str(authority)] if authority is not None else ["--insecure"]
    host = target.hostname
    if not host:
        host = dialled(listener)
    elif not _is_local_name(target):
        if listener.protocol == "HTTPS":
            words += ["--resolve", f"{host}:{listener.bind_port}:{dialled(listener)}"]
        else:
            words += ["-H", f"Host: {host}"]
            host = dialled(listener)
    for header in target.match.headers:
        words += ["-H", f"{header.name}: {header.value}"]
    if target.route.kind == "GRPCRoute":
        return _grpc_line(target, words, host)
    if target.match.method not in {"", "GET"}:
        words += ["--head"] if target.match.method == "HEAD" else ["-X", target.match.method]
    command = shlex.join([*words, _url(target, host)])
    return CurlLine(command=command, shows=target.route.key, kind=listener.protocol.lower())


def _grpc_line(target: _Target, words: list[str], host: str) -> CurlLine:
    """An empty message: it reaches the method, and ``grpc-status`` is in the trailers that ``-i`` prints."""
    if target.listener.protocol == "HTTP":
        words = [*words, "--http2-prior-knowledge"]
    words = [*words, "-si", "-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary", "@-"]
    command = f"printf '\\0\\0\\0\\0\\0' | {shlex.join([*words, '--output', '-', _url(target, host)])}"
    return CurlLine(command=command, shows=target.route.key, kind="grpc")
