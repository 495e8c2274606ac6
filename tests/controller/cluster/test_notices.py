"""What Events are told, and when."""

from __future__ import annotations

from controller.cluster.notices import Notices, Remark
from controller.kube.client import Api
from controller.kube.clock import SystemClock
from controller.kube.connection import Connection
from controller.kube.events import EventRecorder, Notice
from controller.resources import Gateway, ObjectMeta
from controller.resources.gateway import GatewaySpec, Listener
from controller.store import Key, Snapshot
from controller.translate import GatewayStatus, Status
from controller.translate.conditions import ConditionReason, ConditionType, fails, holds

EDGE = Key("Gateway", "default", "edge")
FINE = holds(ConditionType.ACCEPTED, ConditionReason.ACCEPTED, "fine", 1)
BAD = fails(ConditionType.ACCEPTED, ConditionReason.INVALID, "not fine", 1)


class Speaking:
    def __init__(self) -> None:
        self.conditions = (BAD,)
        self.remarks: list[Remark] = []
        listener = Listener(name="http", port=80, protocol="HTTP")
        self.snapshot = Snapshot(
            [
                Gateway(
                    metadata=ObjectMeta(name="edge", namespace="default", uid="u"),
                    spec=GatewaySpec(gateway_class_name="sekisho", listeners=(listener,)),
                )
            ]
        )
        recorder = EventRecorder(Api(Connection(server="http://127.0.0.1:1")), SystemClock())
        self.notices = Notices(recorder, self._status, lambda _key: self.remarks, lambda: self.snapshot)

    def _status(self, _key: Key) -> Status | None:
        return GatewayStatus(addresses=(), conditions=self.conditions, listeners=())

    def said(self) -> list[Notice]:
        return self.notices.collect()


def test_what_lasts_is_said_once() -> None:
    speaking = Speaking()
    speaking.notices.touched([EDGE])
    assert speaking.said() == [], "it may be over in a moment"
    assert [(notice.key, notice.uid, notice.reason) for notice in speaking.said()] == [(EDGE, "u", "Invalid")]
    speaking.notices.touched([EDGE])
    assert [*speaking.said(), *speaking.said()] == []


def test_what_is_over_in_a_moment_is_not_said() -> None:
    speaking = Speaking()
    speaking.notices.touched([EDGE])
    assert speaking.said() == []
    speaking.conditions = (FINE,)
    assert speaking.said() == []


def test_remarks_and_objects_that_are_gone() -> None:
    speaking = Speaking()
    speaking.conditions = (FINE,)
    speaking.remarks = [Remark("ProvisioningFailed", "refused")]
    speaking.notices.touched([EDGE, Key("Gateway", "default", "gone")])
    speaking.said()
    assert [(notice.reason, notice.message) for notice in speaking.said()] == [("ProvisioningFailed", "refused")]
