from __future__ import annotations

import msgspec
import pytest

from gateway.routing_table import wire
from gateway.routing_table.model import Applied, Delta, Rejection, Removed, Resources, Snapshot
from tests.support import small_tables as tables


def update(**fields: object) -> bytes:
    return msgspec.json.encode({"type": "snapshot", "format": 1, "version": "1", "resources": {}, **fields})


def test_a_snapshot_reads_as_it_was_written() -> None:
    snapshot = Snapshot(version="3", resources=tables.resources())
    assert wire.decode_update(wire.encode(snapshot)) == (snapshot, ())


def test_a_delta_reads_as_it_was_written() -> None:
    delta = Delta(version="4", base="3", upsert=tables.resources(), remove=Removed(routes=("HTTPRoute/a/b/0",)))
    assert wire.decode_update(wire.encode(delta)) == (delta, ())


def test_an_answer_reads_as_it_was_written() -> None:
    applied = Applied(version="4", rejected=(Rejection(kind="routes", key="a", reason="b"),))
    assert wire.decode_applied(wire.encode(applied)) == applied


def test_the_format_is_always_on_the_wire() -> None:
    assert b'"format":1' in wire.encode(Snapshot(version="1", resources=Resources()))
    assert b'"format":1' in wire.encode(Delta(version="1", base="0"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a routing table update"),
        (b"[]", "not a routing table update"),
        (update(format=2), "format 2 is not supported"),
        (update(type="patch"), "patch"),
        (update(colour="red"), "colour"),
        (update(resources={"filters": []}), "filters"),
        (b"\xff", "not a routing table update"),
    ],
)
def test_a_message_that_cannot_be_understood_is_refused_as_a_whole(data: bytes, reason: str) -> None:
    with pytest.raises(wire.WireError, match=reason):
        wire.decode_update(data)


def test_an_unknown_field_costs_the_resource_that_holds_it_alone() -> None:
    good = msgspec.to_builtins(tables.route("good"))
    strange = {**msgspec.to_builtins(tables.route("strange")), "weather": "fine"}
    decoded, rejected = wire.decode_update(update(resources={"routes": [strange, good]}))
    assert isinstance(decoded, Snapshot)
    assert decoded.resources.routes == (tables.route("good"),)
    assert [(item.kind, item.key) for item in rejected] == [("routes", tables.route("strange").key)]
    assert "weather" in rejected[0].reason


def test_a_resource_without_a_key_is_named_by_its_place() -> None:
    _, rejected = wire.decode_update(update(resources={"gateways": [{"key": "a/b"}, {"hops": 1}]}))
    assert [item.key for item in rejected] == ["#1"]


def test_a_rejection_never_quotes_a_private_key() -> None:
    bad = {"key": "Secret/a/b", "chain": 7, "private_key": tables.PRIVATE_KEY, "extra": tables.PRIVATE_KEY}
    _, rejected = wire.decode_update(update(resources={"certificates": [bad]}))
    assert len(rejected) == 1
    assert "nobody-may-see-this" not in repr(rejected)


def test_a_delta_replaces_adds_and_removes() -> None:
    before = tables.resources(tables.route("a"), tables.route("b"))
    delta = Delta(
        version="2",
        base="1",
        upsert=Resources(routes=(tables.route("b", "/new"), tables.route("c"))),
        remove=Removed(routes=(tables.route("a").key, "HTTPRoute/default/never-there/0")),
    )
    after = wire.apply_delta(before, delta)
    assert after.routes == (tables.route("b", "/new"), tables.route("c"))
    assert after.listeners is before.listeners


def test_what_a_delta_brings_and_removes_is_gone() -> None:
    delta = Delta(
        version="2",
        base="1",
        upsert=Resources(routes=(tables.route("a"),)),
        remove=Removed(routes=(tables.route("a").key,)),
    )
    assert wire.apply_delta(Resources(), delta).routes == ()


def test_a_policy_that_is_refused_in_a_delta_is_withdrawn() -> None:
    policies = [
        {"key": "a/unknown", "unless": 1},
        {"key": "a/twice"},
        {"key": "a/twice", "action": "DENY"},
        {"key": "a/bad", "rules": [{"sources": [{}]}]},
    ]
    message = {
        "type": "delta",
        "format": 1,
        "version": "2",
        "base": "1",
        "upsert": {"authorization_policies": policies},
        "remove": {"authorization_policies": ["a/old"]},
    }
    update, rejected = wire.decode_update(msgspec.json.encode(message))
    assert isinstance(update, Delta)
    assert update.remove.authorization_policies == ("a/old", "a/bad", "a/unknown")
    assert [policy.key for policy in update.upsert.authorization_policies] == ["a/twice"]
    assert len(rejected) == 3
