from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from controller.translate.graph import NOTHING, Published
from controller.translate.tables import Change, Tables, diff
from gateway.routing_table.model import Certificate, Endpoint, Endpoints, Removed, Resources


def endpoints(key: str, port: int = 1) -> Endpoints:
    return Endpoints(key=key, endpoints=(Endpoint(address="10.0.0.1", port=port),))


def published(*resources: Endpoints) -> Published:
    return Published(resources=tuple(("t", "endpoints", resource) for resource in resources))


def test_resources_are_ordered_by_key() -> None:
    tables = Tables()
    tables.replace((0, "x"), NOTHING, published(endpoints("b"), endpoints("a")))
    tables.replace((0, "y"), NOTHING, published(endpoints("ab")))
    tables.settle()
    assert [one.key for one in tables.resources()["t"].endpoints] == ["a", "ab", "b"]


def test_a_resource_stays_while_one_cell_publishes_it() -> None:
    tables = Tables()
    both = published(endpoints("a"))
    tables.replace((0, "x"), NOTHING, both)
    tables.replace((0, "y"), NOTHING, both)
    tables.settle()
    tables.replace((0, "x"), both, NOTHING)
    assert not tables.settle()
    tables.replace((0, "y"), both, NOTHING)
    assert tables.settle() == {"t": Change(remove=Removed(endpoints=("a",)))}


def test_a_resource_that_comes_back_as_it_was_is_no_change() -> None:
    tables = Tables()
    old = published(endpoints("a"))
    tables.replace((0, "x"), NOTHING, old)
    tables.settle()
    tables.replace((0, "x"), old, NOTHING)
    tables.replace((0, "y"), NOTHING, published(endpoints("a")))
    assert not tables.settle()


def test_an_empty_table_is_listed_and_one_without_a_name_is_not() -> None:
    tables = Tables()
    tables.set_names(["empty"])
    assert tables.resources() == {"empty": Resources()}
    tables.set_names([])
    assert tables.resources() == {}


def test_tables_that_were_handed_out_never_change() -> None:
    tables = Tables()
    tables.replace((0, "x"), NOTHING, published(endpoints("a")))
    tables.settle()
    before = tables.resources()
    tables.replace((0, "y"), NOTHING, published(endpoints("b")))
    tables.settle()
    assert [one.key for one in before["t"].endpoints] == ["a"]


contents = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 3))


@given(contents, contents)
def test_a_difference_leads_from_one_table_to_the_other(old: dict[str, int], new: dict[str, int]) -> None:
    before = Resources(endpoints=tuple(endpoints(key, port) for key, port in sorted(old.items())))
    after = Resources(endpoints=tuple(endpoints(key, port) for key, port in sorted(new.items())))
    change = diff(before, after)
    patched = {one.key: one for one in before.endpoints}
    for key in change.remove.endpoints:
        del patched[key]
    patched |= {one.key: one for one in change.upsert.endpoints}
    assert tuple(patched[key] for key in sorted(patched)) == after.endpoints
    assert {one.key for one in change.upsert.endpoints} == {key for key in new if old.get(key) != new[key]}
    assert bool(change) == (before != after)


def test_a_difference_covers_every_kind() -> None:
    certificate = Certificate(key="Secret/a/b", chain="x", private_key="y")
    before, after = Resources(endpoints=(endpoints("a"),)), Resources(certificates=(certificate,))
    assert diff(before, after) == Change(Resources(certificates=(certificate,)), Removed(endpoints=("a",)))


def test_the_difference_turns_any_table_into_any_other() -> None:
    chance = random.Random(7)
    pool = {name: Endpoints(key=name) for name in "abcdefghijkl"}
    for _ in range(2_000):
        before = {name: pool[name] for name in sorted(pool) if chance.random() < 0.7}
        after = {name: one for name, one in before.items() if chance.random() < 0.9}
        after |= {name: Endpoints(key=name) for name in pool if chance.random() < 0.1}
        edited = (Endpoint(address="10.0.0.1", port=80),)
        after |= {name: Endpoints(key=name, endpoints=edited) for name in pool if chance.random() < 0.05}
        after = dict(sorted(after.items()))
        change = diff(Resources(endpoints=tuple(before.values())), Resources(endpoints=tuple(after.values())))
        kept = {name: one for name, one in before.items() if name not in change.remove.endpoints}
        assert dict(sorted((kept | {one.key: one for one in change.upsert.endpoints}).items())) == after
        assert all(before.get(one.key) != one for one in change.upsert.endpoints)
