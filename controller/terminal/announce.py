"""What `sekisho up` says at its start, and one line for each change afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from rich.text import Text

from controller.terminal.curl import CurlLine
from controller.terminal.ways_out import write_ways_out
from controller.terminal.writer import Writer, counted, grid, text
from gateway import __version__
from gateway.admin.explain import object_of_route
from gateway.admin.status import Problem
from gateway.routing_table import describe
from gateway.routing_table.describe_egress import way_out
from gateway.routing_table.model import Listener, ListenerState, Resources, Route

_MAX_ROUTES = 12
_MAX_PROBLEMS = 20
_MAX_KINDS = 8
_SOURCES_FROM_WIDTH = 100
"""In a narrower terminal, routes are shown without the files that they are from."""
_WHOLE_TARGET = 40
"""Up to this length, no target of a route is broken over lines; a sentence about a failure may be."""


class Started(Struct, frozen=True, kw_only=True):
    """Everything that is said at the start."""

    table: Resources
    listeners: tuple[ListenerState, ...]
    version: str
    milliseconds: float
    paths: tuple[str, ...]
    sources: Mapping[str, str]
    """``file:line`` by object key."""
    problems: tuple[Problem, ...]
    curl: tuple[CurlLine, ...]
    admin_url: str
    notice: str = ""
    left_alone: Mapping[str, int] = {}
    """How many objects of kinds that a gateway has nothing to do with."""


class Changed(Struct, frozen=True, kw_only=True):
    """One change of the manifests, and what became of it."""

    files: tuple[str, ...]
    before: Resources
    after: Resources
    version: str
    milliseconds: float
    problems: tuple[Problem, ...]
    """Those that are new with this change."""
    solved: int = 0
    """How many are gone with it."""


def announce(writer: Writer, started: Started) -> None:
    """The whole start, in one piece."""
    _title(writer, started)
    if started.notice:
        problems(writer, (Problem(message=started.notice, severity="warning"),))
    _listening(writer, started)
    _routes(writer, started)
    write_ways_out(writer, started.table)
    problem_section(writer, started.problems)
    left_alone(writer, started.left_alone)
    _try(writer, started.curl)
    _closing(writer, started)


def _title(writer: Writer, started: Started) -> None:
    facts = f"table v{started.version}, {counted(len(started.table.listeners), 'listener')}, "
    facts += f"{counted(len(started.table.routes), 'route')}, {started.milliseconds:.0f} ms"
    if writer.styled:
        writer.line()
        writer.line((" 関 ", "seal"), " ", ("Sekisho", "title"), f" {__version__}  ", (facts, "soft"))
    else:
        writer.line(f"sekisho {__version__}: {facts}")


def _listening(writer: Writer, started: Started) -> None:
    if not started.table.listeners:
        writer.line(("nothing is listening: no Gateway of class sekisho has a usable listener", "warn"))
        return
    states = {state.key: state for state in started.listeners}
    if not writer.styled:
        for listener in started.table.listeners:
            writer.line(_listener_sentence(listener, states.get(listener.key)))
        return
    writer.heading("Listening")
    rows = [_listener_row(listener, states.get(listener.key)) for listener in started.table.listeners]
    writer.block(grid(rows))


def _listener_sentence(listener: Listener, state: ListenerState | None) -> str:
    where = f"{describe.listener_url(listener)} {_for_whom(listener)} ({listener.key})"
    if state is not None and state.bound:
        return f"listening on {where}"
    return f"NOT listening on {where}: {_bind_error(state)}"


def _for_whom(listener: Listener) -> str:
    way = way_out(listener)
    return f"as a {way}" if way else f"for {listener.hostname or 'every host'}"


def _listener_row(listener: Listener, state: ListenerState | None) -> list[Text]:
    bound = state is not None and state.bound
    return [
        text(("●" if bound else "✗", "good" if bound else "bad"), " ", describe.listener_url(listener)),
        text(way_out(listener) or listener.hostname or "every host"),
        text((listener.key, "soft")) if bound else text((_bind_error(state), "bad")),
    ]


def _bind_error(state: ListenerState | None) -> str:
    """The cause alone: the address is beside it, and the remedy is among the problems."""
    if state is None or not state.error:
        return "the engine did not report on it"
    return state.error.rpartition(": ")[2]


def _routes(writer: Writer, started: Started) -> None:
    shown = sorted(started.table.routes, key=_hosts)[:_MAX_ROUTES]
    if writer.styled and shown:
        writer.heading("Routes")
        rows: list[list[Text]] = []
        last_host = ""
        for route in shown:
            host = ", ".join(_hosts(route))
            source = _within(started.sources.get(object_of_route(route.key), route.key), started.paths)
            rows.append(_route_row(route, "" if host == last_host else host, source))
            last_host = host
        columns = 4 if writer.width >= _SOURCES_FROM_WIDTH else 3
        widest = max(len(line) for row in rows for line in row[2].plain.splitlines())
        writer.block(grid([row[:columns] for row in rows], whole={2} if widest <= _WHOLE_TARGET else ()))
    for route in () if writer.styled else shown:
        target = "; ".join(describe.backends(route)) or _answer(route)
        matches = " or ".join(_matches(route))
        source = started.sources.get(object_of_route(route.key), "")
        writer.line(f"route {', '.join(_hosts(route))} {matches} -> {target} ({f'{route.key} {source}'.strip()})")
    hidden = len(started.table.routes) - len(shown)
    if hidden > 0:
        writer.line((f"  and {counted(hidden, 'more route')}; see {started.admin_url}", "soft"))


def _hosts(route: Route) -> list[str]:
    names = dict.fromkeys(name for attachment in route.attachments for name in attachment.hostnames)
    return ["every host" if name == "*" else name for name in names] or ["no host"]


def _within(place: str, paths: Iterable[str]) -> str:
    """``shop.yaml:4`` for a file of a watched folder, whose name the last line has."""
    file, _, line = place.rpartition(":")
    for path in paths:
        if file != path and Path(file).is_relative_to(path):
            return f"{Path(file).relative_to(path)}:{line}"
    return place


def _route_row(route: Route, host: str, source: str) -> list[Text]:
    broken = route.failure is not None or any(share.failure is not None for share in route.backends)
    targets = describe.backends(route) or (_answer(route),)
    return [
        text((host, "title")),
        text("\n".join(_matches(route)[:4])),
        text(("→ ", "soft"), ("\n→ ".join(targets), "bad" if broken else "")),
        text((source, "where")),
    ]


def _matches(route: Route) -> tuple[str, ...]:
    """What a route takes; a route of connections or datagrams takes each that its listener has."""
    return tuple(describe.match(match) for match in route.matches) or ("everything",)


def _answer(route: Route) -> str:
    return "; ".join(describe.filter_(step) for step in route.filters) or "answers 500: no backend"


def problem_section(writer: Writer, found: Sequence[Problem]) -> None:
    """All problems under their heading, where there are any."""
    if found and writer.styled:
        writer.heading("Problems")
    problems(writer, found)


def problems(writer: Writer, found: Iterable[Problem]) -> None:
    """One line each: where, what, and the remedy."""
    listed = list(found)
    for problem in listed[:_MAX_PROBLEMS]:
        style = "bad" if problem.severity == "error" else "warn"
        place = ": ".join(part for part in (problem.source, problem.object) if part)
        remedy = f" → {problem.remedy}" if problem.remedy else ""
        if writer.styled:
            mark = "✗" if problem.severity == "error" else "!"
            writer.line(
                "  ", (mark, style), " ", (place, "title"), " " if place else "", problem.message, (remedy, "good")
            )
        else:
            writer.line(f"{problem.severity}: {place}{': ' if place else ''}{problem.message}{remedy}")
    if len(listed) > _MAX_PROBLEMS:
        writer.line((f"  and {counted(len(listed) - _MAX_PROBLEMS, 'more problem')}; see sekisho status", "soft"))


def left_alone(writer: Writer, kinds: Mapping[str, int]) -> None:
    """``3 objects of other kinds left alone: Deployment, Job``, where there are any."""
    if not kinds:
        return
    shown = ", ".join(sorted(kinds)[:_MAX_KINDS]) + (", …" if len(kinds) > _MAX_KINDS else "")
    if writer.styled:
        writer.line()
    writer.line((f"{counted(sum(kinds.values()), 'object')} of other kinds left alone: {shown}", "soft"))


def _try(writer: Writer, lines: Sequence[CurlLine]) -> None:
    if not lines:
        return
    if writer.styled:
        writer.heading("Try")
    for line in lines:
        writer.line(*(("  ", (line.command, "command")) if writer.styled else (f"try: {line.command}",)))


def _closing(writer: Writer, started: Started) -> None:
    watched = ", ".join(_shown_path(path) for path in started.paths)
    if writer.styled:
        writer.line()
        watching = f"watching {watched}, Ctrl-C to stop"
        writer.line(("Admin  ", "head"), started.admin_url, ("   " + watching, "soft"))
        writer.line()
    else:
        writer.line(f"admin page at {started.admin_url}")
        writer.line(f"watching {watched}")


def _shown_path(path: str) -> str:
    if path == "-":
        return "standard input (read once)"
    return path + "/" if Path(path).is_dir() and not path.endswith("/") else path


def announce_change(writer: Writer, changed: Changed) -> None:
    """``reloaded shop.yaml: +1 route, v7, 4 ms``, then what is newly wrong."""
    what = change_in_words(changed.before, changed.after)
    files = ", ".join(changed.files) or "manifests"
    solved = f", {counted(changed.solved, 'problem')} solved" if changed.solved else ""
    writer.line(
        ("↻ " if writer.styled else "", "good"),
        "reloaded ",
        (files, "title"),
        f": {what}{solved}, v{changed.version}",
        (f", {changed.milliseconds:.0f} ms", "soft"),
    )
    problems(writer, changed.problems)


_NOUNS = {
    "gateways": "gateway",
    "listeners": "listener",
    "authorization_policies": "authorization policy",
    "request_authentications": "request authentication",
    "egress_policies": "egress policy",
    "routes": "route",
    "backends": "backend",
    "endpoints": "endpoint set",
    "certificates": "certificate",
    "trust_bundles": "trust bundle",
}


def change_in_words(before: Resources, after: Resources) -> str:
    """``+1 route, ~2 backends``: added, removed and changed, by kind."""
    words: list[str] = []
    for kind, noun in _NOUNS.items():
        old, new = getattr(before, kind), getattr(after, kind)
        if old is new:
            continue
        held, wanted = {item.key: item for item in old}, {item.key: item for item in new}
        counts = (
            ("+", len(wanted.keys() - held.keys())),
            ("-", len(held.keys() - wanted.keys())),
            ("~", sum(held[key] != wanted[key] for key in held.keys() & wanted.keys())),
        )
        words += [f"{sign}{counted(count, noun)}" for sign, count in counts if count]
    return ", ".join(words) or "no change to the traffic"
