"""Random routing tables and requests for them, drawn from few words so that they often meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hypothesis import strategies as st

from gateway.routing_table import model

HOSTS = ("a.test", "b.test", "x.a.test", "y.x.a.test", "other.test")
HOSTNAMES = ("*", "a.test", "b.test", "*.test", "*.a.test", "*.x.a.test", "x.a.test")
SEGMENTS = ("a", "b", "ab", "c")
HEADER_NAMES = ("x-one", "x-two")
QUERY_NAMES = ("one", "two")
VALUES = ("1", "2", "12")
PATTERNS = ("1", "[12]", "1.*", ".+", "1|2")
METHODS = ("GET", "POST", "PUT")
SERVICES = ("s.One", "s.Two")
GRPC_METHODS = ("Get", "Put")


@dataclass(frozen=True)
class Question:
    """A request as a client words it."""

    method: str
    host: str
    target: str
    headers: tuple[tuple[str, str], ...]


paths = st.lists(st.sampled_from(SEGMENTS), max_size=3).map(lambda parts: "/" + "/".join(parts))
trailing = st.sampled_from(("", "/"))


def _value_matches(names: tuple[str, ...]) -> st.SearchStrategy[tuple[model.ValueMatch, ...]]:
    exact = st.builds(model.ValueMatch, name=st.sampled_from(names), value=st.sampled_from(VALUES))
    regular = st.builds(
        model.ValueMatch,
        name=st.sampled_from(names),
        value=st.sampled_from(PATTERNS),
        type=st.just("RegularExpression"),
    )
    return st.lists(exact | regular, max_size=2, unique_by=lambda match: match.name).map(tuple)


path_matches = st.one_of(
    st.builds(model.PathMatch, type=st.just("Exact"), value=paths),
    st.builds(model.PathMatch, type=st.just("PathPrefix"), value=st.builds(str.__add__, paths, trailing)),
    st.builds(
        model.PathMatch,
        type=st.just("RegularExpression"),
        value=st.sampled_from(("/a.*", "/[ab]/.*", "/.*b", "/a/[^/]+", ".*")),
    ),
)

http_matches = st.builds(
    model.Match,
    path=path_matches,
    method=st.sampled_from(("", "", *METHODS)),
    headers=_value_matches(HEADER_NAMES),
    query=_value_matches(QUERY_NAMES),
)

grpc_methods = st.one_of(
    st.builds(model.GRPCMethodMatch, service=st.sampled_from(SERVICES)),
    st.builds(model.GRPCMethodMatch, method=st.sampled_from(GRPC_METHODS)),
    st.builds(model.GRPCMethodMatch, service=st.sampled_from(SERVICES), method=st.sampled_from(GRPC_METHODS)),
    st.builds(model.GRPCMethodMatch, type=st.just("RegularExpression"), service=st.just("s\\.(One|Three)")),
)

grpc_matches = st.builds(model.Match, grpc=st.none() | grpc_methods, headers=_value_matches(HEADER_NAMES))


@st.composite
def routes(draw: st.DrawFn, listeners: tuple[str, ...], number: int) -> model.Route:
    """One rule; the redirect that it answers with names it."""
    kind: Literal["HTTPRoute", "GRPCRoute"] = draw(st.sampled_from(("HTTPRoute", "HTTPRoute", "GRPCRoute")))
    matches = draw(st.lists(http_matches if kind == "HTTPRoute" else grpc_matches, min_size=1, max_size=3))
    chosen = draw(st.lists(st.sampled_from(listeners), min_size=1, max_size=len(listeners), unique=True))
    hostnames = st.lists(st.sampled_from(HOSTNAMES), min_size=1, max_size=2, unique=True).map(tuple)
    return model.Route(
        key=f"{kind}/default/route-{number}/0",
        kind=kind,
        object=f"default/route-{number}",
        rule=0,
        created=draw(st.integers(0, 2)),
        attachments=tuple(model.Attachment(listener=name, hostnames=draw(hostnames)) for name in chosen),
        matches=tuple(matches),
        filters=(model.RequestRedirect(hostname=f"route-{number}.test", path=None),),
    )


@st.composite
def tables(draw: st.DrawFn, listeners: tuple[model.Listener, ...]) -> model.Resources:
    """Routes on these listeners."""
    keys = tuple(listener.key for listener in listeners)
    count = draw(st.integers(0, 12))
    return model.Resources(
        gateways=(model.Gateway(key="default/edge"),),
        listeners=listeners,
        routes=tuple(draw(routes(keys, number)) for number in range(count)),
    )


@st.composite
def questions(draw: st.DrawFn) -> Question:
    headers = draw(st.lists(st.tuples(st.sampled_from(HEADER_NAMES), st.sampled_from(VALUES)), max_size=3))
    if draw(st.booleans()) and draw(st.booleans()):
        path = f"/{draw(st.sampled_from(SERVICES))}/{draw(st.sampled_from(GRPC_METHODS))}"
        headers.append(("content-type", draw(st.sampled_from(("application/grpc", "application/grpc+proto")))))
        method = "POST"
    else:
        path = draw(paths) + draw(trailing)
        method = draw(st.sampled_from(METHODS))
    query = draw(st.lists(st.tuples(st.sampled_from(QUERY_NAMES), st.sampled_from(VALUES)), max_size=3))
    target = path + ("?" + "&".join(f"{name}={value}" for name, value in query) if query else "")
    return Question(method, draw(st.sampled_from(HOSTS)), target, tuple(headers))
