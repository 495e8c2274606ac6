"""The store: identity, suppression of what changes nothing, metadata, and snapshots that never change."""

from __future__ import annotations

import datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.resources import ConfigMap, Namespace, ObjectMeta, Resource, Secret
from controller.store import Key, Snapshot, Store

NOON = datetime.datetime(2026, 1, 31, 12, 0, 0, 999_999, tzinfo=datetime.UTC)


class Clock:
    """Goes on by one second each time it is looked at."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime.datetime:
        self.now += datetime.timedelta(seconds=1)
        return self.now


def config_map(name: str, text: str = "a", *, namespace: str = "shop", **metadata: object) -> ConfigMap:
    meta = msgspec.convert({"name": name, "namespace": namespace, **metadata}, ObjectMeta)
    return ConfigMap(metadata=meta, data={"text": text})


def key(name: str, namespace: str = "shop") -> Key:
    return Key("ConfigMap", namespace, name)


@pytest.fixture
def store() -> Store:
    return Store(Clock())


def only(store: Store) -> Resource:
    (resource,) = store.snapshot().resources()
    return resource


def test_keys_name_objects() -> None:
    assert Key.of(config_map("a")) == ("ConfigMap", "shop", "a")
    assert Key.of(Namespace(metadata=ObjectMeta(name="shop"))) == Key("Namespace", "", "shop")
    assert str(key("a")) == "ConfigMap shop/a"
    assert str(Key("Namespace", "", "shop")) == "Namespace shop"


def test_changed_keys_are_those_whose_object_is_another(store: Store) -> None:
    assert store.apply([config_map("a"), config_map("b")]) == {key("a"), key("b")}
    assert store.apply([config_map("a"), config_map("b", "other")]) == {key("b")}
    assert store.apply([], [key("a"), key("missing"), Key("Teapot", "", "x")]) == {key("a")}
    assert list(store.snapshot().keys()) == [key("b")]


def test_nothing_changed_is_the_same_snapshot(store: Store) -> None:
    store.apply([config_map("a")])
    before = store.snapshot()
    assert store.apply([config_map("a")], [key("missing")]) == frozenset()
    assert store.snapshot() is before


def test_snapshots_are_read_by_type_and_name(store: Store) -> None:
    secret = Secret(metadata=ObjectMeta(name="a", namespace="shop"))
    store.apply([config_map("b"), config_map("a"), config_map("z", namespace="bar"), secret])
    snapshot = store.snapshot()
    found = snapshot.get(ConfigMap, "shop", "a")
    assert found is not None
    assert found.data == {"text": "a"}
    assert snapshot.find(key("a")) is found
    assert snapshot.get(ConfigMap, "shop", "z") is None
    assert snapshot.get(Namespace, "", "shop") is None
    assert [item.metadata.name for item in snapshot.all(ConfigMap)] == ["z", "a", "b"]
    assert snapshot.all(Namespace) == ()
    assert len(snapshot) == 4
    assert key("a") in snapshot
    assert key("q") not in snapshot
    assert snapshot.find(Key("Teapot", "", "x")) is None


def test_a_snapshot_does_not_change_with_the_store(store: Store) -> None:
    store.apply([config_map("a")])
    before = store.snapshot()
    store.apply([config_map("a", "other"), config_map("b")])
    kept = before.get(ConfigMap, "shop", "a")
    assert kept is not None
    assert kept.data == {"text": "a"}
    assert len(before) == 1


def test_untouched_kinds_are_shared_between_snapshots(store: Store) -> None:
    store.apply([config_map("a"), Namespace(metadata=ObjectMeta(name="shop"))])
    before = store.snapshot().all(Namespace)
    store.apply([config_map("a", "other")])
    assert store.snapshot().all(Namespace) is before


def test_the_generation_counts_changes_of_content(store: Store) -> None:
    generations = []
    for text, labels in (("a", {}), ("b", {}), ("b", {"x": "y"}), ("c", {"x": "y"})):
        store.apply([config_map("a", text, labels=labels)])
        generations.append(only(store).metadata.generation)
    assert generations == [1, 2, 2, 3]


def test_metadata_that_is_given_is_kept(store: Store) -> None:
    given_time = "2020-01-01T00:00:00Z"
    store.apply([config_map("a", uid="u-1", generation=7, creationTimestamp=given_time)])
    metadata = only(store).metadata
    assert (metadata.uid, metadata.generation, metadata.creation_timestamp.year) == ("u-1", 7, 2020)
    store.apply([config_map("a", "other")])
    metadata = only(store).metadata
    assert (metadata.uid, metadata.generation, metadata.creation_timestamp.year) == ("u-1", 8, 2020)


def test_the_creation_time_is_when_an_object_was_first_seen(store: Store) -> None:
    store.apply([config_map("a"), config_map("b")])
    first = {item.metadata.creation_timestamp for item in store.snapshot().all(ConfigMap)}
    assert first == {NOON.replace(second=1, microsecond=0)}
    store.apply([config_map("a", "other"), config_map("c")])
    times = {item.metadata.name: item.metadata.creation_timestamp for item in store.snapshot().all(ConfigMap)}
    assert times["a"] == times["b"] < times["c"]


def test_the_uid_is_the_same_in_every_run() -> None:
    uids = set()
    for text in ("a", "b"):
        store = Store(Clock())
        store.apply([config_map("a", text)])
        uids.add(only(store).metadata.uid)
    assert len(uids) == 1
    assert uids != {""}


def test_deleted_and_put_at_once_is_a_replacement(store: Store) -> None:
    store.apply([config_map("a")])
    assert store.apply([config_map("a")], [key("a")]) == frozenset()
    assert store.apply([config_map("a", "b")], [key("a")]) == {key("a")}
    assert only(store).metadata.generation == 2


def test_the_last_of_several_versions_counts(store: Store) -> None:
    store.apply([config_map("a")])
    assert store.apply([config_map("a", "b"), config_map("a")]) == frozenset()
    assert store.apply([config_map("a", "b"), config_map("a", "c")]) == {key("a")}


NAMES = st.sampled_from("abcdefghijklmnopqrstuvwxyz")
CHANGES = st.tuples(
    st.lists(st.builds(config_map, NAMES, st.sampled_from(["x", "y"])), max_size=60),
    st.lists(st.builds(key, NAMES), max_size=5),
)


def stripped(snapshot: Snapshot) -> dict[Key, Resource]:
    return {
        Key.of(item): msgspec.structs.replace(
            item, metadata=ObjectMeta(name=item.metadata.name, namespace=item.metadata.namespace)
        )
        for item in snapshot.resources()
    }


@given(st.lists(CHANGES, max_size=12))
def test_any_sequence_of_changes_ends_where_one_load_ends(
    changes: list[tuple[list[ConfigMap], list[Key]]],
) -> None:
    store = Store(Clock())
    expected: dict[Key, Resource] = {}
    for upserts, deletes in changes:
        before = store.snapshot()
        changed = store.apply(upserts, deletes)
        for gone in deletes:
            expected.pop(gone, None)
        expected.update({Key.of(item): item for item in upserts})
        after = store.snapshot()
        every = {*before.keys(), *after.keys()}
        assert changed == {name for name in every if before.find(name) != after.find(name)}
    snapshot = store.snapshot()
    assert stripped(snapshot) == expected
    assert Snapshot(snapshot.resources()) == snapshot
    assert [Key.of(item) for item in snapshot.all(ConfigMap)] == sorted(expected)
    fresh = Store(Clock())
    fresh.apply(expected.values())
    assert stripped(fresh.snapshot()) == stripped(snapshot)


def test_snapshots_of_different_content_differ() -> None:
    assert Snapshot([config_map("a")]) != Snapshot([config_map("a", "b")])
    assert Snapshot([config_map("a")]) != Snapshot()
    assert Snapshot() == Snapshot([])
    assert Snapshot() != object()
