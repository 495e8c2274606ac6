from __future__ import annotations

from controller.kube.client import Api
from controller.kube.events import EventRecorder, Notice, notices_of
from controller.store import Key
from controller.translate.conditions import ConditionReason, ConditionType, holds
from controller.translate.statuses import GatewayClassStatus
from tests.controller.kube.test_status_merge import REFUSED, gateway_status, route_status
from tests.support.fake_apiserver import FakeApiServer
from tests.support.kube import Object, SetClock

KEY = Key("HTTPRoute", "shop", "a")


def events(server: FakeApiServer, namespace: str = "shop") -> list[Object]:
    return [document for key, document in server.objects.items() if key[:2] == ("/events", namespace)]


def test_what_fails_is_said_and_what_holds_is_not() -> None:
    status = route_status("edge", condition=REFUSED)
    assert [(item.reason, item.message) for item in notices_of(KEY, "u", status)] == [
        ("NoMatchingParent", "Accepted: no such listener")
    ]
    assert not list(notices_of(KEY, "u", route_status("edge")))
    assert not list(notices_of(Key("Gateway", "shop", "g"), "u", gateway_status("http")))


def test_a_condition_that_is_bad_news_when_true_is_said_then() -> None:
    conflict = holds(ConditionType.CONFLICTED, ConditionReason.HOSTNAME_CONFLICT, "two of one name", 1)
    (notice,) = notices_of(KEY, "u", GatewayClassStatus(conditions=(conflict,)))
    assert notice.reason == "HostnameConflict"


async def test_a_thing_is_said_once_while_it_holds_and_counted_when_it_comes_back(
    server: FakeApiServer, api: Api
) -> None:
    recorder = EventRecorder(api, SetClock())
    notice = Notice(KEY, "uid", "BackendNotFound", "ResolvedRefs: no Service shop/x")
    for holding in ([notice, notice], [notice], [notice]):
        await recorder.write(recorder.fresh({KEY: holding}))
    (event,) = events(server)
    assert (event["count"], event["type"], event["reason"]) == (1, "Warning", "BackendNotFound")
    assert event["involvedObject"]["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert event["involvedObject"]["uid"] == "uid"
    await recorder.write(recorder.fresh({KEY: []}))
    await recorder.write(recorder.fresh({KEY: [notice]}))
    (event,) = events(server)
    assert event["count"] == 2


async def test_another_leader_does_not_say_it_twice(server: FakeApiServer, api: Api) -> None:
    notice = Notice(KEY, "uid", "BackendNotFound", "no Service")
    for _ in range(2):
        recorder = EventRecorder(api, SetClock())
        await recorder.write(recorder.fresh({KEY: [notice]}))
    assert len(events(server)) == 1


async def test_an_event_that_the_server_dropped_is_made_again(server: FakeApiServer, api: Api) -> None:
    recorder = EventRecorder(api, SetClock())
    notice = Notice(KEY, "uid", "BackendNotFound", "no Service")
    await recorder.write([notice])
    server.objects.clear()
    await recorder.write([notice])
    assert len(events(server)) == 1


async def test_events_of_cluster_scoped_objects_go_to_the_default_namespace(server: FakeApiServer, api: Api) -> None:
    await EventRecorder(api, SetClock()).write([Notice(Key("GatewayClass", "", "c"), "uid", "InvalidParameters", "x")])
    assert len(events(server, "default")) == 1


async def test_events_that_cannot_be_written_are_let_go(server: FakeApiServer, api: Api) -> None:
    server.fail(403)
    recorder = EventRecorder(api, SetClock())
    await recorder.write([Notice(KEY, "uid", "A", "a"), Notice(KEY, "uid", "B", "b")])
    assert [event["reason"] for event in events(server)] == ["B"]
