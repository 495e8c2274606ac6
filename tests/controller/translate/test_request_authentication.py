"""Keys that were fetched: they reach the table as a change of one resource, and what is wrong with them is said."""

from __future__ import annotations

from typing import Any

from controller.resources import Gateway, KeySet, RequestAuthentication, Resource
from controller.resources.parse import parse
from controller.store import Store
from controller.translate import STANDALONE_TABLE, Options, Translator
from controller.translate.jwks import key_set_problem
from controller.translate.request_authentication import key_locations
from tests.support.tokens import ALGORITHMS, Issuer, SigningKey

LOCATION = "https://issuer.example/keys"


def parsed(document: dict[str, Any]) -> Resource:
    resource = parse(document).resource
    assert resource is not None
    return resource


GATEWAY = parsed(
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": Gateway.kind,
        "metadata": {"name": "edge"},
        "spec": {"gatewayClassName": "sekisho", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
    }
)


def policy(**rule: Any) -> RequestAuthentication:
    spec = {"jwtRules": [{"issuer": "https://issuer.example", **rule}]}
    document = {
        "apiVersion": "security.istio.io/v1",
        "kind": RequestAuthentication.kind,
        "metadata": {"name": "tokens"},
        "spec": spec,
    }
    resource = parsed(document)
    assert isinstance(resource, RequestAuthentication)
    return resource


def test_fetched_keys_are_a_change_of_the_policy_alone() -> None:
    store, translator = Store(), Translator(Options(regex_problem=lambda _: None))

    def take(*resources: Resource) -> Any:
        changed = store.apply(resources)
        return translator.update(store.snapshot(), changed)

    first = take(GATEWAY, policy(jwksUri=LOCATION))
    [notice] = [text for texts in first.translation.notices.values() for text in texts]
    assert "not fetched yet" in notice
    issuer = Issuer()
    second = take(KeySet.at(LOCATION, issuer.jwks()))
    [change] = second.changes.values()
    assert [authentication.rules[0].keys for authentication in change.upsert.request_authentications] == [issuer.jwks()]
    assert not change.upsert.listeners
    assert not change.upsert.gateways
    assert second.translation.notices == {}
    third = take(KeySet.at(LOCATION, issuer.jwks(), "the server is down"))
    assert third.changes == {}
    [notice] = [text for texts in third.translation.notices.values() for text in texts]
    assert "the server is down; the keys from before count" in notice
    table = third.translation.tables[STANDALONE_TABLE]
    assert table.request_authentications[0].rules[0].keys == issuer.jwks()


def test_keys_are_looked_for_where_the_rule_or_its_issuer_says() -> None:
    assert key_locations([policy(jwksUri=LOCATION)]) == {LOCATION}
    assert key_locations([policy()]) == {"https://issuer.example/.well-known/openid-configuration"}
    assert key_locations([policy(jwks=Issuer().jwks())]) == frozenset()


def test_keys_of_every_algorithm_are_usable() -> None:
    for algorithm in ALGORITHMS:
        assert key_set_problem(Issuer(keys=[SigningKey.make(algorithm)]).jwks()) is None, algorithm
