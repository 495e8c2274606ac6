"""The order of a change, with gateways and the API server as the test has them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import pytest

from controller.cluster.changes import LAPSE_SECONDS, Arrived, Changes
from controller.cluster.statuses import Statuses, standing
from controller.cluster.telemetry import Telemetry
from controller.kube.cache import Seen
from controller.kube.status_writer import Wanted
from controller.pipeline import ObjectPipeline, Taken
from controller.resources import Resource, parse
from controller.sources import Change
from controller.store import Key
from controller.translate import GatewayStatus, Options
from gateway.routing_table.model import Applied, ListenerState, Resources
from tests.support.kube import Object, gateway, gateway_class, http_route, service

EDGE = Key("Gateway", "default", "edge")


class Gateways:
    """Answer what the test says."""

    def __init__(self) -> None:
        self.tables: Mapping[str, Resources] = {}
        self.answers: dict[str, Applied] = {}

    def set_tables(self, tables: Mapping[str, Resources]) -> None:
        changed = [name for name in tables if self.tables.get(name) is not tables[name]]
        self.tables = tables
        for name in changed:
            self.answers.pop(name, None)

    def answer(self, table: str) -> Applied | None:
        return self.answers.get(table)


class Running:
    def __init__(self) -> None:
        self.gateways = Gateways()
        self.telemetry = Telemetry()
        self.wanted: dict[Key, Wanted | None] = {}
        self.touched: set[Key] = set()
        self.taken: list[Taken] = []
        self.now = time.monotonic()
        self.statuses = Statuses(lambda _key: None, self.wanted.update, self._touch)
        options = Options(regex_problem=lambda _pattern: None, merge=False, implicit_class=False, address="0.0.0.0")
        self.changes = Changes(
            ObjectPipeline(options),
            self.gateways,
            self.statuses,
            self.telemetry,
            self.taken.append,
            monotonic=lambda: self.now,
        )

    def _touch(self, keys: Iterable[Key]) -> None:
        self.touched.update(keys)

    async def put(self, *documents: Object, deletes: tuple[Key, ...] = ()) -> None:
        resources = [parse(document).resource for document in documents]
        upserts = tuple(resource for resource in resources if isinstance(resource, Resource))
        await self.changes.take([Arrived(Change(upserts, deletes), self.now)])

    def answer(self) -> None:
        states = tuple(
            ListenerState(key=item.key, bound=True) for item in self.gateways.tables["default/edge"].listeners
        )
        self.gateways.answers["default/edge"] = Applied(version="v", listeners=states)
        self.changes.told("default/edge")

    def programmed(self) -> str:
        wanted = self.wanted[EDGE]
        assert wanted is not None
        assert isinstance(wanted.status, GatewayStatus)
        return next(one.status for one in wanted.status.conditions if one.type == "Programmed")

    def sample(self, name: str) -> float:
        return self.telemetry.registry.get_sample_value(f"sekisho_controller_{name}") or 0.0


@pytest.fixture
async def running() -> Running:
    made = Running()
    await made.put(gateway_class(), gateway(), http_route("a"), service())
    return made


async def test_routes_are_accepted_without_a_gateway(running: Running) -> None:
    wanted = running.wanted[Key("HTTPRoute", "default", "a")]
    assert wanted is not None
    assert wanted.status is not None
    assert running.programmed() == "Unknown"
    assert running.taken[0].snapshot.find(EDGE) is not None


async def test_programmed_follows_the_answer(running: Running) -> None:
    running.answer()
    assert running.programmed() == "True"
    await running.put(http_route("b"))
    assert running.programmed() == "True"


async def test_the_way_of_a_change_to_its_answer_is_measured(running: Running) -> None:
    running.answer()
    assert running.sample("propagation_seconds_count") == 0, "nobody was connected when it changed"
    await running.put(http_route("b"))
    running.now += 0.02
    await running.put(http_route("c"))
    running.now += 0.02
    running.answer()
    assert running.sample("propagation_seconds_count") == 1
    assert running.sample("propagation_seconds_sum") == pytest.approx(0.04)


async def test_a_table_without_gateways_is_not_said_to_be_served_for_long(running: Running) -> None:
    running.answer()
    del running.gateways.answers["default/edge"]
    running.changes.told("default/edge")
    running.now += LAPSE_SECONDS - 1
    running.changes.lapse_once()
    assert running.programmed() == "True"
    running.now += 2
    running.changes.lapse_once()
    assert running.programmed() == "Unknown"
    running.answer()
    assert running.programmed() == "True"


async def test_a_gateway_that_goes_is_no_concern_any_more(running: Running) -> None:
    running.answer()
    await running.put(deletes=(EDGE,))
    assert running.wanted[EDGE] is None
    assert running.gateways.tables == {}
    running.changes.told("default/edge")


async def test_a_gateway_made_anew_is_not_programmed_by_its_predecessor(running: Running) -> None:
    running.answer()
    other = gateway()
    other["metadata"]["uid"] = "another"
    other["spec"]["listeners"][0]["port"] = 81
    await running.put(other)
    assert running.programmed() == "Unknown"
    running.answer()
    assert running.programmed() == "True"


async def test_a_large_change_is_taken_over_too(running: Running) -> None:
    await running.put(*(http_route(f"r{number}") for number in range(100)))
    assert len(running.gateways.tables["default/edge"].routes) == 101
    assert running.sample("changed_objects_total") == 104


def test_programmed_is_read_from_a_status_whatever_stands_in_it() -> None:
    good = b'{"conditions": [{"type": "Programmed", "status": "True", "reason": "Programmed", "message": "m"}]}'
    assert standing(Seen("v1", "1", "u", good))[""].status == "True"
    for status in (b"", b"[]", b"{", b'{"conditions": [{"type": "Programmed", "status": 7}], "listeners": [1]}'):
        assert standing(Seen("v1", "1", "u", status)) == {}
    assert standing(None) == {}
