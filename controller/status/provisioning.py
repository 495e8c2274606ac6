"""What keeps a Gateway's objects from standing, as its status says it.

Owns ``Programmed`` False for ``ProvisioningFailed``, where nothing serves the Gateway. While the data plane serves it,
the same is only said in Events: a budget that the cluster refuses takes no traffic away.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from controller.translate import GatewayStatus
from controller.translate.conditions import Condition, ConditionReason, ConditionType, fails

_UNKNOWN_YET = frozenset({ConditionReason.PENDING, ConditionReason.ADDRESS_NOT_ASSIGNED})


def with_provisioning(status: GatewayStatus, problems: Sequence[str]) -> GatewayStatus:
    """The status with ``problems`` of its Deployment, Service and the rest taken in."""
    if not problems:
        return status
    return msgspec.structs.replace(
        status, conditions=tuple(_condition(condition, "; ".join(problems)) for condition in status.conditions)
    )


def _condition(condition: Condition, message: str) -> Condition:
    if condition.type != ConditionType.PROGRAMMED or condition.reason not in _UNKNOWN_YET:
        return condition
    generation = condition.observed_generation
    return fails(ConditionType.PROGRAMMED, ConditionReason.PROVISIONING_FAILED, message, generation)
