from __future__ import annotations

import pytest

from gateway.routing_table import describe
from gateway.routing_table.model import (
    CORS,
    Failure,
    Filter,
    GRPCMethodMatch,
    Header,
    Match,
    PathMatch,
    PathModifier,
    RequestHeaderModifier,
    RequestMirror,
    RequestRedirect,
    ResponseHeaderModifier,
    URLRewrite,
    ValueMatch,
    WeightedBackend,
)


@pytest.mark.parametrize(
    ("match", "words"),
    [
        (Match(), "/*"),
        (Match(path=PathMatch(type="Exact", value="/cart")), "/cart"),
        (Match(path=PathMatch(type="PathPrefix", value="/")), "/*"),
        (Match(path=PathMatch(type="PathPrefix", value="/cart")), "/cart/*"),
        (Match(path=PathMatch(type="RegularExpression", value="/v[0-9]+")), "~/v[0-9]+"),
        (
            Match(
                method="GET",
                headers=(ValueMatch(name="x-canary", value="1"),),
                query=(ValueMatch(name="beta", value="y.*", type="RegularExpression"),),
            ),
            "GET /* [x-canary=1] ?beta~y.*",
        ),
        (Match(grpc=GRPCMethodMatch(service="shop.Cart")), "/shop.Cart/*"),
        (Match(grpc=GRPCMethodMatch(method="Add", type="RegularExpression")), "~/*/Add"),
    ],
)
def test_a_match_in_words(match: Match, words: str) -> None:
    assert describe.match(match) == words


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (
            RequestHeaderModifier(set=(Header(name="x-a", value="1"),), remove=("x-b",)),
            "request headers: set x-a, remove x-b",
        ),
        (ResponseHeaderModifier(add=(Header(name="x-a", value="1"),)), "response headers: add x-a"),
        (RequestRedirect(scheme="https", status=301), "redirect 301 to https://"),
        (RequestRedirect(), "redirect 302 to the same place"),
        (
            URLRewrite(hostname="inner", path=PathModifier(type="ReplacePrefixMatch", value="/v2")),
            "rewrite to inner/v2/*",
        ),
        (RequestMirror(backend="Service/a/b/80", numerator=1, denominator=10), "mirror 1/10 to Service/a/b/80"),
        (CORS(allow_origins=("https://a.example",)), "CORS for https://a.example"),
    ],
)
def test_a_filter_in_words(step: Filter, words: str) -> None:
    assert describe.filter_(step) == words


def test_a_backend_s_share_is_in_percent_and_a_failure_says_what_is_answered() -> None:
    assert describe.backend(WeightedBackend(backend="Service/a/b/80", weight=1), 1) == "Service/a/b/80"
    assert describe.backend(WeightedBackend(backend="Service/a/b/80", weight=1), 3) == "Service/a/b/80 33.3%"
    failure = Failure(status=500, code="backend_not_found", message="Service a/b does not exist")
    words = describe.backend(WeightedBackend(weight=1, failure=failure), 2)
    assert words == "none (answers 500: Service a/b does not exist) 50%"
