"""The data plane's word on listeners, as Ingresses feel it.

Owns what an Ingress says of a listener that takes its rules and does not work. A Gateway speaks for its own
listeners; those that Ingresses have opened, and those of an implied Gateway, have nobody else to speak for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from controller.resources import Ingress
from controller.store import Key
from controller.translate import IngressStatus
from controller.translate.conditions import ConditionReason, ConditionType, fails
from controller.translate.names import route_of
from gateway.routing_table.model import Applied, Resources

_OURS = f"{Ingress.kind}/"


def ingress_with_refusal(status: IngressStatus, message: str) -> IngressStatus:
    """The status of an Ingress with a refusal; the condition is for reports and Events, as all of an Ingress's."""
    generation = status.conditions[0].observed_generation
    refused = fails(ConditionType.DATA_PLANE, ConditionReason.REJECTED, message, generation)
    return msgspec.structs.replace(status, conditions=(*status.conditions, refused))


def failing_listeners(table: Resources, applied: Applied) -> Iterator[tuple[Key, str]]:
    """Ingresses, each with what is wrong with a listener that takes its rules."""
    failures = _failures(table, applied)
    if not failures:
        return
    for route in table.routes:
        if route.key.startswith(_OURS):
            for attachment in route.attachments:
                if attachment.listener in failures:
                    yield route_of(route.key)[0], failures[attachment.listener]


def _failures(table: Resources, applied: Applied) -> Mapping[str, str]:
    """What is wrong with listeners, by their keys."""
    failures = {
        state.key: state.error or f"listener {state.key} is not bound" for state in applied.listeners if not state.bound
    }
    refused = {(item.kind, item.key): item.reason for item in applied.rejected}
    if not refused:
        return failures
    for listener in table.listeners:
        needs = [("listeners", listener.key), *(("certificates", key) for key in listener.certificates)]
        reason = next((refused[need] for need in needs if need in refused), "")
        if reason:
            failures[listener.key] = f"the data plane refused listener {listener.key}: {reason}"
    return failures
