"""Statuses through edits and answers of one Gateway's table, with another Gateway beside it."""

from __future__ import annotations

import pytest

from controller.resources import Resource, parse
from controller.status import Answers, Programmed
from controller.store import Key, Store
from controller.translate import (
    Condition,
    ConditionReason,
    ConditionType,
    GatewayStatus,
    Options,
    RouteStatus,
    Translator,
)
from controller.translate.conditions import holds
from gateway.routing_table.model import Applied, ListenerState, Rejection, Resources
from tests.support.kube import Object, gateway, gateway_class, http_route, service

EDGE = Key("Gateway", "default", "edge")
ROUTE = Key("HTTPRoute", "default", "a")
REFUSAL = Rejection(kind="routes", key="HTTPRoute/default/a/0", reason="too clever")


class Cluster:
    """Objects, their translation, and the answers to it."""

    def __init__(self, standing: Programmed | None = None) -> None:
        self.standing = dict(standing or {})
        self.store = Store()
        self.translator = Translator(
            Options(regex_problem=lambda _pattern: None, merge=False, implicit_class=False, address="0.0.0.0")
        )
        self.answers = Answers(lambda _key: self.standing)
        for document in (gateway_class(), gateway(), http_route("a"), service()):
            self.put(document)

    def put(self, document: Object) -> None:
        resource = parse(document).resource
        assert isinstance(resource, Resource)
        changed = self.store.apply([resource])
        self.update = self.translator.update(self.store.snapshot(), changed)
        for name in self.update.changes:
            self.answers.expect(name)

    @property
    def table(self) -> Resources:
        return self.update.translation.tables["default/edge"]

    def answer(self, *rejected: Rejection, bound: bool = True, error: str = "") -> set[Key]:
        states = tuple(
            ListenerState(key=item.key, bound=bound, error="" if bound else "taken") for item in self.table.listeners
        )
        applied = Applied(version="v", rejected=rejected, listeners=states, error=error)
        touched = self.answers.answer("default/edge", self.table, applied)
        for key in touched & self.update.translation.statuses.keys():
            self.answers.status(key, self.update.translation.statuses[key])
        return touched

    def programmed(self) -> Condition:
        status = self.answers.status(EDGE, self.update.translation.statuses[EDGE])
        assert isinstance(status, GatewayStatus)
        return next(one for one in status.conditions if one.type == ConditionType.PROGRAMMED)

    def refusals(self) -> list[str]:
        status = self.answers.status(ROUTE, self.update.translation.statuses[ROUTE])
        assert isinstance(status, RouteStatus)
        return [
            one.message
            for parent in status.parents
            for one in parent.conditions
            if one.type == ConditionType.DATA_PLANE
        ]


def edited(*ports: int) -> Object:
    document = gateway()
    document["spec"]["listeners"] = [{"name": f"p{port}", "port": port, "protocol": "HTTP"} for port in ports]
    return document


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_nothing_is_programmed_before_the_first_answer(cluster: Cluster) -> None:
    assert cluster.programmed().status == "Unknown"
    assert EDGE in cluster.answer()
    assert cluster.programmed().status == "True"


def test_what_was_said_of_a_generation_holds_of_it_until_the_next_is_answered(cluster: Cluster) -> None:
    cluster.answer()
    cluster.put(edited(80, 81))
    assert (cluster.programmed().status, cluster.programmed().observed_generation) == ("True", 1)
    assert EDGE in cluster.answer()
    assert (cluster.programmed().status, cluster.programmed().observed_generation) == ("True", 2)


def test_an_edit_that_the_data_plane_does_not_serve_is_said_once_it_answers(cluster: Cluster) -> None:
    cluster.answer()
    cluster.put(edited(81))
    cluster.answer(bound=False)
    assert cluster.programmed().status == "False"


def test_an_answer_that_says_nothing_new_touches_only_who_waited_for_it(cluster: Cluster) -> None:
    cluster.answer()
    cluster.put(http_route("b"))
    assert cluster.answer() == set()
    cluster.put(http_route("c"))
    cluster.programmed()
    assert cluster.answer() == {EDGE}


def test_what_stood_in_the_status_before_this_process_holds_until_an_answer() -> None:
    condition = holds(ConditionType.PROGRAMMED, ConditionReason.PROGRAMMED, "as before", 1)
    cluster = Cluster({"": condition})
    assert cluster.programmed() == condition
    cluster.answer(bound=False)
    assert cluster.programmed().status == "False"


def test_nothing_holds_for_ever(cluster: Cluster) -> None:
    cluster.answer(REFUSAL)
    assert cluster.answers.lapse("default/edge") >= {EDGE, ROUTE}
    assert cluster.programmed().status == "Unknown"
    assert cluster.refusals() == []


def test_what_was_said_of_an_object_does_not_hold_for_another_of_its_name(cluster: Cluster) -> None:
    cluster.answer()
    cluster.put(edited(80, 81))
    cluster.answers.forget(EDGE)
    assert cluster.programmed().status == "Unknown"


def test_a_refusal_stays_while_an_answer_is_awaited_and_goes_with_the_edit_that_mends_it(cluster: Cluster) -> None:
    assert ROUTE in cluster.answer(REFUSAL)
    assert "too clever" in cluster.refusals()[0]
    cluster.put(http_route("b"))
    assert cluster.refusals()
    cluster.put(http_route("a", hostnames=["a.example.com"]))
    assert cluster.refusals() == []
    cluster.answer(REFUSAL)
    assert cluster.refusals()
    assert ROUTE in cluster.answer()
    assert cluster.refusals() == []


def test_a_table_that_is_gone_takes_its_refusals_along(cluster: Cluster) -> None:
    cluster.answer(REFUSAL)
    assert cluster.answers.remove("default/edge") >= {EDGE, ROUTE}
    assert cluster.refusals() == []
    assert cluster.answers.remove("default/edge") == set()


def test_a_table_that_was_refused_whole_is_not_programmed(cluster: Cluster) -> None:
    cluster.answer(error="format 9 is not known")
    assert cluster.programmed().status == "False"
    assert "format 9" in cluster.programmed().message


def test_who_takes_over_goes_on_from_what_stands_now(cluster: Cluster) -> None:
    assert cluster.programmed().status == "Unknown"
    cluster.answers.lapse("default/edge")
    cluster.standing[""] = holds(ConditionType.PROGRAMMED, ConditionReason.PROGRAMMED, "another replica wrote it", 1)
    assert cluster.programmed().status == "Unknown"
    cluster.answers.read_again()
    assert cluster.programmed().status == "True"
    cluster.answer(bound=False)
    cluster.answers.read_again()
    assert cluster.programmed().status == "False", "its own gateways' answer is newer"
