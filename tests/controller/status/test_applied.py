"""The golden pairs named ``answer-…`` hold the cases; here is what no pair can show."""

from __future__ import annotations

import pytest

from controller.status import answered, with_applied
from controller.store import Key, Snapshot
from controller.translate import ConditionType, GatewayStatus, translate
from gateway.routing_table.model import Applied, ListenerState, Rejection
from tests.translation import golden

GATEWAY = Key("Gateway", "default", "web")
SERVED = Applied(version="1", listeners=(ListenerState(key="default/web/http", bound=True),))


def _programmed(status: object) -> str:
    assert isinstance(status, GatewayStatus)
    return next(one.status for one in status.conditions if one.type == ConditionType.PROGRAMMED)


def test_only_what_the_answer_changes_is_returned() -> None:
    case = golden.read("class-implicit")
    translation = translate(Snapshot(case.resources), case.options)
    table = translation.tables["standalone"]
    changed = answered(translation.statuses, table, SERVED)
    assert set(changed) == {GATEWAY}
    assert answered({**translation.statuses, **changed}, table, SERVED) == {}


def test_the_statuses_given_stay_as_they_are() -> None:
    case = golden.read("class-implicit")
    translation = translate(Snapshot(case.resources), case.options)
    with_applied(translation.statuses, translation.tables["standalone"], SERVED)
    assert _programmed(translation.statuses[GATEWAY]) == "Unknown"


def test_what_is_not_in_the_table_is_not_programmed_by_any_answer() -> None:
    case = golden.read("certificate-secret-missing")
    translation = translate(Snapshot(case.resources), case.options)
    listeners = tuple(ListenerState(key=f"default/web/{name}", bound=True) for name in ("http", "https"))
    statuses = with_applied(
        translation.statuses, translation.tables["standalone"], Applied(version="1", listeners=listeners)
    )
    status = statuses[GATEWAY]
    assert isinstance(status, GatewayStatus)
    assert [
        next(one.status for one in listener.conditions if one.type == ConditionType.PROGRAMMED)
        for listener in status.listeners
    ] == ["False", "True"]


@pytest.mark.parametrize("kind", ["routes", "listeners", "gateways", "certificates", "backends", "endpoints"])
def test_a_rejection_of_something_unknown_harms_nobody(kind: str) -> None:
    case = golden.read("class-implicit")
    translation = translate(Snapshot(case.resources), case.options)
    rejection = Rejection(kind=kind, key="HTTPRoute/default/gone/0", reason="who knows")
    applied = Applied(version="1", listeners=SERVED.listeners, rejected=(rejection,))
    statuses = with_applied(translation.statuses, translation.tables["standalone"], applied)
    assert _programmed(statuses[GATEWAY]) == "True"


def test_each_table_has_its_own_answer() -> None:
    case = golden.read("gateways-apart")
    translation = translate(Snapshot(case.resources), case.options)
    applied = Applied(version="1", listeners=(ListenerState(key="default/a/http", bound=True),))
    statuses = with_applied(translation.statuses, translation.tables["default/a"], applied)
    assert _programmed(statuses[Key("Gateway", "default", "a")]) == "True"
    assert _programmed(statuses[Key("Gateway", "default", "b")]) == "Unknown"


def test_a_listener_tells_the_cause_and_not_what_follows_from_it() -> None:
    case = golden.read("certificate")
    translation = translate(Snapshot(case.resources), case.options)
    table = translation.tables["standalone"]
    (listener,) = [listener for listener in table.listeners if listener.certificates]
    applied = Applied(
        version="1",
        rejected=(
            Rejection(kind="certificates", key=listener.certificates[0], reason="its key is too short"),
            Rejection(kind="listeners", key=listener.key, reason="its certificate is not in the table"),
        ),
    )
    status = with_applied(translation.statuses, table, applied)[Key("Gateway", "default", "web")]
    assert isinstance(status, GatewayStatus)
    messages = [
        condition.message
        for listener_status in status.listeners
        for condition in listener_status.conditions
        if condition.type == ConditionType.PROGRAMMED and condition.status == "False"
    ]
    assert any("its key is too short" in message for message in messages)
    assert not any("not in the table" in message for message in messages)
