"""What keeps a Gateway's objects from standing is said where nothing serves the Gateway."""

from __future__ import annotations

import pytest

from controller.status.provisioning import with_provisioning
from controller.translate import Condition, ConditionReason, ConditionType, GatewayStatus
from controller.translate.conditions import fails, holds, pending

ACCEPTED = holds(ConditionType.ACCEPTED, ConditionReason.ACCEPTED, "fine", 3)


def status(programmed: Condition) -> GatewayStatus:
    return GatewayStatus(addresses=(), conditions=(ACCEPTED, programmed), listeners=())


@pytest.mark.parametrize(
    "programmed",
    [
        pending("nobody has answered", 3),
        fails(ConditionType.PROGRAMMED, ConditionReason.ADDRESS_NOT_ASSIGNED, "no Service", 3),
    ],
)
def test_a_gateway_that_nothing_serves_says_why(programmed: Condition) -> None:
    told = with_provisioning(status(programmed), ["the Service is refused", "so is the Deployment"])
    message = "the Service is refused; so is the Deployment"
    expected = fails(ConditionType.PROGRAMMED, ConditionReason.PROVISIONING_FAILED, message, 3)
    assert told.conditions == (ACCEPTED, expected)


@pytest.mark.parametrize(
    "programmed",
    [
        holds(ConditionType.PROGRAMMED, ConditionReason.PROGRAMMED, "it is served", 3),
        fails(ConditionType.PROGRAMMED, ConditionReason.INVALID, "the data plane refused it", 3),
    ],
)
def test_what_the_data_plane_says_stays(programmed: Condition) -> None:
    before = status(programmed)
    assert with_provisioning(before, ["the budget is refused"]) == before


def test_without_problems_nothing_changes() -> None:
    before = status(pending("nobody has answered", 3))
    assert with_provisioning(before, ()) is before
