"""Questions about requests: who asks, and from where."""

from __future__ import annotations

import pytest

from gateway.admin.explain import Question, QuestionError, checked, question_from_query, with_sources

URL = "https://shop.example.com/"


@pytest.mark.parametrize(
    "identity", ["cart", "spiffe://", "spiffe://a", "spiffe://A/ns/b", "spiffe://a/../b", "spiffe://a//b"]
)
def test_an_identity_is_a_spiffe_id(identity: str) -> None:
    with pytest.raises(QuestionError, match="SPIFFE"):
        checked(Question(url=URL, from_=identity))


@pytest.mark.parametrize("source", ["localhost", "10.0.0.0/8", "fe80::1%eth0"])
def test_a_source_is_an_address(source: str) -> None:
    with pytest.raises(QuestionError, match="not an IP address"):
        checked(Question(url=URL, source=source))


def test_a_query_tells_who_asks_and_from_where() -> None:
    identity = "spiffe://cluster.local/ns/shop/sa/cart"
    question = question_from_query([("url", URL), ("from", identity), ("source", "2001:db8::1")])
    assert (question.from_, question.source) == (identity, "2001:db8::1")


def test_policies_are_told_with_the_place_they_were_read_from() -> None:
    answer = b'{"route": null, "authorization": {"policies": [{"policy": "shop/a"}, {"policy": "shop/b"}]}}'
    explained = with_sources(answer, {"AuthorizationPolicy/shop/a": "shop.yaml:3"})
    assert [tried["source"] for tried in explained["authorization"]["policies"]] == ["shop.yaml:3", ""]
