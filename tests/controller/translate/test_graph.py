from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import pytest

from controller.resources import Namespace, ObjectMeta, Resource
from controller.store import Key, Snapshot
from controller.translate import Options
from controller.translate.graph import CellId, Graph, Published, Reads, Stage


def namespace(name: str, **labels: str) -> Namespace:
    return Namespace(metadata=ObjectMeta(name=name, labels=labels))


def team(name: str, reads: Reads) -> str:
    found = reads.get(Namespace, "", name)
    return found.metadata.labels.get("team", "") if found else ""


class Watch:
    """Counts computations, and keeps what is published."""

    def __init__(self) -> None:
        self.computed: list[tuple[int, str]] = []
        self.published: dict[CellId, Published] = {}

    def replace(self, cell: CellId, _old: Published, new: Published) -> None:
        self.published[cell] = new


class Pipeline:
    """Teams by namespace, a report by namespace, members by team, and a total that reads them."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.team: Stage[str, str] = Stage(0, self._counted(0, team), self._membership)
        self.report: Stage[str, str] = Stage(1, self._counted(1, self._report))
        self.total: Stage[str, int] = Stage(2, self._counted(2, self._total))
        self.graph = Graph(
            Options(regex_problem=lambda _pattern: None),
            [self.team, self.report, self.total],
            self._indexed,
            {},
            self.watch,
        )
        self.resources: dict[Key, Resource] = {}

    def put(self, *resources: Namespace) -> list[tuple[int, str]]:
        """Apply changes, and return what was computed."""
        self.watch.computed.clear()
        for resource in resources:
            self.resources[Key.of(resource)] = resource
            self.graph.set_root(self.team, resource.metadata.name, wanted=True)
        self.graph.update(Snapshot(self.resources.values()), [Key.of(resource) for resource in resources])
        return sorted(self.watch.computed)

    def delete(self, name: str) -> None:
        key = Key("Namespace", "", name)
        del self.resources[key]
        self.graph.set_root(self.team, name, wanted=False)
        self.graph.update(Snapshot(self.resources.values()), [key])

    def ask(self, stage: Stage[str, Any], key: str) -> None:
        self.graph.set_root(stage, key, wanted=True)
        self.graph.update(Snapshot(self.resources.values()), ())

    def value(self, stage: Stage[str, Any], key: str) -> object:
        return self.graph.value_of(stage, (stage.rank, key), reader=99)

    def _counted(self, rank: int, compute):  # type: ignore[no-untyped-def]
        def counted(key: str, reads: Reads) -> object:
            self.watch.computed.append((rank, key))
            return compute(key, reads)

        return counted

    def _report(self, name: str, reads: Reads) -> str:
        return f"{name} is of team {reads.result(self.team, name)}"

    def _total(self, name: str, reads: Reads) -> int:
        return len(reads.members("members", name))

    def _membership(self, name: str, of: str) -> Published:
        return Published(members=((("members", of), name),)) if of else Published()

    def _indexed(self, _index: str, _key: Hashable) -> Sequence[Key]:
        return ()


@pytest.fixture
def pipeline() -> Pipeline:
    pipeline = Pipeline()
    pipeline.put(namespace("a", team="red"), namespace("b", team="red"), namespace("c", team="blue"))
    for name in "abc":
        pipeline.ask(pipeline.report, name)
    pipeline.ask(pipeline.total, "red")
    return pipeline


def test_only_what_read_a_change_is_computed_again(pipeline: Pipeline) -> None:
    assert pipeline.put(namespace("a", team="green")) == [(0, "a"), (1, "a"), (2, "red")]
    assert pipeline.value(pipeline.report, "a") == "a is of team green"


def test_an_equal_result_ends_the_wave(pipeline: Pipeline) -> None:
    assert pipeline.put(namespace("a", team="red", unrelated="yes")) == [(0, "a")]


def test_a_collection_counts_its_members(pipeline: Pipeline) -> None:
    assert pipeline.value(pipeline.total, "red") == 2
    pipeline.put(namespace("c", team="red"))
    assert pipeline.value(pipeline.total, "red") == 3
    pipeline.delete("b")
    assert pipeline.value(pipeline.total, "red") == 2


def test_an_object_that_goes_takes_what_it_published(pipeline: Pipeline) -> None:
    pipeline.graph.set_root(pipeline.report, "a", wanted=False)
    pipeline.delete("a")
    assert pipeline.watch.published[0, "a"] == Published()


def test_a_cell_that_nothing_reads_any_more_is_forgotten(pipeline: Pipeline) -> None:
    pipeline.graph.set_root(pipeline.team, "a", wanted=False)
    pipeline.graph.set_root(pipeline.report, "a", wanted=False)
    pipeline.graph.update(Snapshot(pipeline.resources.values()), ())
    assert pipeline.put(namespace("b", team="blue")) == [(0, "b"), (1, "b"), (2, "red")]
    assert pipeline.value(pipeline.total, "red") == 0


def test_a_stage_must_not_read_a_later_one() -> None:
    late: Stage[str, str] = Stage(5, lambda key, _reads: key)
    early: Stage[str, str] = Stage(4, lambda key, reads: reads.result(late, key))
    graph = Graph(Options(regex_problem=lambda _pattern: None), [early, late], lambda _index, _key: (), {}, Watch())
    graph.set_root(early, "x", wanted=True)
    with pytest.raises(RuntimeError, match="stage 4 must not read stage 5"):
        graph.update(Snapshot(), ())
