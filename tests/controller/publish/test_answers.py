from __future__ import annotations

import dataclasses

from controller.publish.answers import Standing, united
from gateway.routing_table.model import Applied, ListenerState, Rejection


def holding(gateway: str, version: str, *refused: str, bound: bool = True, error: str = "") -> Standing:
    rejected = tuple(Rejection(kind="routes", key=key, reason=f"{gateway} cannot") for key in refused)
    listeners = (ListenerState(key="l", bound=bound, error="" if bound else f"{gateway}: taken"),)
    return Standing(gateway, Applied(version=version, rejected=rejected, listeners=listeners, error=error))


def test_nobody_has_answered() -> None:
    assert united("2", [], without_late=False) is None
    assert united("2", [Standing("a", None)], without_late=True) is None
    assert united("2", [holding("a", "1")], without_late=True) is None


def test_one_that_may_still_answer_is_waited_for() -> None:
    standings = [holding("a", "2"), holding("b", "1")]
    assert united("2", standings, without_late=False) is None
    late = united("2", standings, without_late=True)
    assert late is not None
    assert late.version == "2"


def test_what_any_refuses_is_refused_and_a_listener_is_bound_when_it_is_everywhere() -> None:
    standings = [holding("a", "2", "y"), holding("b", "2", "x", "y", bound=False), holding("c", "2")]

    answer = united("2", standings, without_late=False)

    assert answer is not None
    assert [(item.key, item.reason) for item in answer.rejected] == [("x", "b cannot"), ("y", "a cannot")]
    assert [(item.bound, item.error) for item in answer.listeners] == [(False, "b: taken")]


def test_a_table_refused_as_a_whole_is_an_answer_to_that_version_alone() -> None:
    refusing = dataclasses.replace(holding("a", "1", error="no memory"), refused="2")
    answer = united("2", [refusing], without_late=False)
    assert answer is not None
    assert answer.error == "no memory"
    assert united("3", [refusing], without_late=True) is None
