"""A Secret that vanishes while it is served takes no traffic away, and is not kept for longer than it is used."""

from __future__ import annotations

from typing import Any

import pytest

from controller.kept_secrets import KeptSecrets
from controller.pipeline import ObjectPipeline
from controller.resources import KeptSecret, Secret, parse
from controller.sources import Change
from controller.store import Key
from controller.translate import STANDALONE_TABLE, GatewayStatus, Options
from gateway.agent.compiled import regex_problem
from tests.support.certificates import Issued, shared_authority
from tests.support.manifests import Manifest, gateway, gateway_class, http_listener, https_listener, tls_secret

GATEWAY = Key("Gateway", "default", "edge")
SECRET = Key("Secret", "default", "shop")


class World:
    def __init__(self) -> None:
        self.pipeline = ObjectPipeline(Options(regex_problem=regex_problem), KeptSecrets())
        self.put(gateway_class(), gateway(http_listener(80), https_listener(443, "shop")))

    def put(self, *manifests: Manifest) -> None:
        self.pipeline.take([Change(upserts=tuple(_parsed(item) for item in manifests))])

    def remove(self, key: Key) -> None:
        self.pipeline.take([Change(deletes=(key,))])

    @property
    def served(self) -> list[str]:
        table = self.pipeline.translation.tables[STANDALONE_TABLE]
        return [certificate.chain for certificate in table.certificates]

    @property
    def resolved(self) -> tuple[str, str]:
        status = self.pipeline.translation.statuses[GATEWAY]
        assert isinstance(status, GatewayStatus)
        (listener,) = [listener for listener in status.listeners if listener.name == "https"]
        (condition,) = [item for item in listener.conditions if item.type == "ResolvedRefs"]
        return condition.status, condition.message

    @property
    def stored(self) -> Secret | None:
        return self.pipeline.snapshot.get(Secret, SECRET.namespace, SECRET.name)


def _parsed(document: Manifest) -> Any:
    return parse(document).resource


@pytest.fixture(scope="module")
def issued() -> Issued:
    return shared_authority().issue("shop.example.com")


@pytest.fixture
def world(issued: Issued) -> World:
    made = World()
    made.put(tls_secret("shop", issued))
    assert made.served == [issued.chain]
    return made


def test_a_deleted_secret_is_served_on_and_the_status_says_so(world: World, issued: Issued) -> None:
    world.remove(SECRET)
    assert world.served == [issued.chain]
    status, message = world.resolved
    assert status == "False"
    assert message.startswith("Secret default/shop does not exist; the certificate it held before keeps being served")


def test_a_spoiled_secret_is_served_as_it_was(world: World, issued: Issued) -> None:
    other = shared_authority().issue("shop.example.com")
    world.put(tls_secret("shop", Issued(chain=issued.chain, private_key=other.private_key)))
    assert world.served == [issued.chain]
    assert "does not belong to the certificate" in world.resolved[1]
    world.remove(SECRET)
    assert world.served == [issued.chain]
    assert "does not exist" in world.resolved[1]


def test_a_secret_that_comes_back_is_served_at_once(world: World) -> None:
    world.remove(SECRET)
    again = shared_authority().issue("shop.example.com")
    world.put(tls_secret("shop", again))
    assert world.served == [again.chain]
    assert world.resolved == ("True", "all references are resolved")
    assert not isinstance(world.stored, KeptSecret)


def test_what_nothing_refers_to_is_not_kept(world: World) -> None:
    world.remove(SECRET)
    world.put(gateway(http_listener(80)))
    assert world.served == []
    world.put(gateway(http_listener(80), https_listener(443, "shop")))
    assert world.served == [], "removing the reference withdraws the certificate"
    assert world.stored is None


def test_a_spoiled_secret_stands_for_itself_once_nothing_refers_to_it(world: World, issued: Issued) -> None:
    world.put(tls_secret("shop", Issued(chain="no certificate", private_key=issued.private_key)))
    assert isinstance(world.stored, KeptSecret)
    world.put(gateway(http_listener(80)))
    world.put(gateway(http_listener(80), https_listener(443, "shop")))
    assert type(world.stored) is Secret
    assert world.stored.data["tls.crt"] == b"no certificate"
    assert world.served == []


def test_a_secret_that_was_never_served_is_gone_when_it_is_deleted(world: World, issued: Issued) -> None:
    world.put(tls_secret("other", issued))
    world.remove(Key("Secret", "default", "other"))
    assert world.pipeline.snapshot.get(Secret, "default", "other") is None


def test_no_value_of_a_kept_secret_is_in_its_representation(world: World) -> None:
    world.remove(SECRET)
    assert "PRIVATE" not in repr(world.stored)
