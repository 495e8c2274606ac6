"""Every golden pair, and what must hold of each of them besides."""

from __future__ import annotations

import pytest

from controller.store import Key, Snapshot
from controller.translate import Translator, diff, translate
from controller.translate.tables import KINDS
from gateway.routing_table import wire
from gateway.routing_table.model import Resources
from gateway.routing_table.model import Snapshot as TableSnapshot
from gateway.routing_table.validate import dangling, problem
from tests.translation import golden

NAMES = golden.names()


@pytest.fixture(params=NAMES)
def case(request: pytest.FixtureRequest) -> golden.Case:
    return golden.read(request.param)


def test_there_are_enough_pairs() -> None:
    assert len(NAMES) >= 85


def test_no_output_is_without_an_input() -> None:
    outputs = {path.name.removesuffix(".out.yaml") for path in golden.DIRECTORY.glob("*.out.yaml")}
    assert outputs <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_output_is_as_kept(name: str, pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("--update-golden", default=False):
        golden.write(name)
    assert golden.render(golden.outcome(golden.read(name))) == golden.expected(name)


def test_every_resource_is_one_that_a_gateway_takes(case: golden.Case) -> None:
    for table in translate(Snapshot(case.resources), case.options).tables.values():
        for kind in KINDS:
            for resource in getattr(table, kind):
                assert problem(resource) is None, resource
        assert dangling(table) == ()


def test_tables_survive_the_wire(case: golden.Case) -> None:
    for table in translate(Snapshot(case.resources), case.options).tables.values():
        snapshot = TableSnapshot(version="1", resources=table)
        assert wire.decode_update(wire.encode(snapshot)) == (snapshot, ())


def test_order_of_objects_does_not_matter(case: golden.Case) -> None:
    forwards = translate(Snapshot(case.resources), case.options)
    backwards = translate(Snapshot(case.resources[::-1]), case.options)
    assert forwards == backwards


def test_objects_one_by_one_come_to_the_same(case: golden.Case) -> None:
    translator = Translator(case.options)
    snapshot = Snapshot()
    before = translator.update(snapshot, ()).translation
    for resource in case.resources:
        key = Key.of(resource)
        snapshot = snapshot.changed({key: resource})
        update = translator.update(snapshot, [key])
        for table, change in update.changes.items():
            assert change == diff(
                before.tables.get(table, Resources()), update.translation.tables.get(table, Resources())
            )
        before = update.translation
    assert before == translate(snapshot, case.options)


def test_and_go_without_a_trace(case: golden.Case) -> None:
    snapshot = Snapshot(case.resources)
    translator = Translator(case.options)
    translator.update(snapshot, snapshot.keys())
    empty = translator.update(Snapshot(), list(snapshot.keys())).translation
    assert empty == translate(Snapshot(), case.options)
    assert not translator._graph._cells
    assert not translator._graph._dependents
    assert not translator._graph._collections
