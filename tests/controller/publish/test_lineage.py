from __future__ import annotations

import gc
import random

from controller.publish.lineage import Lineage
from gateway.routing_table import wire
from gateway.routing_table.discovery import version_of
from gateway.routing_table.model import Delta, Resources, Snapshot
from tests.support import small_tables as tables


def update(lineage: Lineage, base: str, *refused: str) -> Snapshot | Delta:
    message = lineage.message(base, [("routes", key) for key in refused])
    decoded, rejected = wire.decode_update(message.data)
    assert rejected == ()
    assert message.version == decoded.version == lineage.version
    return decoded


def with_routes(*names: str) -> Resources:
    return tables.resources(*(tables.route(name, f"/{name}") for name in names))


def test_equal_tables_have_one_version_whatever_their_order_and_history() -> None:
    one, other = Lineage(), Lineage()
    one.take(with_routes("a", "b"))
    other.take(with_routes("c"))
    other.take(with_routes("b", "a", "c"))
    assert one.version != other.version

    assert other.take(with_routes("b", "a"))
    assert one.version == other.version == version_of(with_routes("a", "b"))


def test_a_table_that_is_equal_is_no_new_version() -> None:
    lineage = Lineage()
    assert lineage.take(with_routes("a"))
    assert not lineage.take(with_routes("a"))


def test_who_holds_nothing_known_gets_everything() -> None:
    lineage = Lineage()
    lineage.take(with_routes("a"))
    lineage.take(with_routes("a", "b"))

    assert update(lineage, "") == Snapshot(version=lineage.version, resources=with_routes("a", "b"))
    assert isinstance(update(lineage, "0123456789"), Snapshot)


def test_several_changes_are_one_delta() -> None:
    lineage = Lineage()
    lineage.take(with_routes("a", "b"))
    base = lineage.version
    lineage.take(with_routes("a", "b", "c"))
    lineage.take(with_routes("a", "d"))

    delta = update(lineage, base)

    assert isinstance(delta, Delta)
    assert [route.object for route in delta.upsert.routes] == ["default/d"]
    assert [key.split("/")[2] for key in delta.remove.routes] == ["b", "c"]
    assert not delta.upsert.listeners


def test_what_was_refused_comes_again_as_it_is_now() -> None:
    lineage = Lineage()
    lineage.take(with_routes("a", "b", "c"))
    base = lineage.version
    lineage.take(with_routes("a", "b"))

    delta = update(lineage, base, "HTTPRoute/default/a/0", "HTTPRoute/default/c/0")

    assert isinstance(delta, Delta)
    assert [route.object for route in delta.upsert.routes] == ["default/a"]
    assert delta.remove.routes == ("HTTPRoute/default/c/0",)


def test_old_versions_are_forgotten_in_the_end() -> None:
    lineage = Lineage()
    lineage.take(with_routes("a"))
    oldest = lineage.version
    for number in range(300):
        lineage.take(with_routes("a", f"n{number}"))

    assert isinstance(update(lineage, oldest), Snapshot)


def test_gateways_at_one_version_share_the_bytes_which_nobody_keeps() -> None:
    lineage = Lineage()
    lineage.take(with_routes("a"))
    base = lineage.version
    lineage.take(with_routes("b"))

    message = lineage.message(base)
    assert lineage.message(base) is message
    assert "redacted" in repr(message)
    del message
    gc.collect()
    assert not lineage._messages


def test_any_way_through_the_versions_ends_in_the_same_table() -> None:
    chance = random.Random(7)
    names = [f"r{number}" for number in range(12)]
    for _ in range(50):
        lineage = Lineage()
        held: list[tuple[str, Resources]] = []
        for _ in range(chance.randrange(2, 8)):
            lineage.take(with_routes(*sorted(chance.sample(names, chance.randrange(1, 12)))))
            assert lineage.table is not None
            held.append((lineage.version, lineage.table))
        for version, table in held:
            match update(lineage, version):
                case Snapshot(resources=resources):
                    result = resources
                case Delta() as delta:
                    assert delta.base == version
                    result = wire.apply_delta(table, delta)
            assert version_of(result) == lineage.version
