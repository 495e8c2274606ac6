"""What to write into an object's status, given what stands there.

Owns whose part of a status is whose. Of routes, policies and backends, the entries that carry our
controller's name are ours and all others are left as they are; of Gateways and GatewayClasses, the conditions
of the types we know; of an Ingress, the addresses, since its class has one controller. Pure.
``lastTransitionTime`` is kept while a condition's status stays the same (Kubernetes API conventions, "Typical
status properties"), and does not count as a difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, assert_never, cast

import msgspec

from controller.resources import BackendTLSPolicy
from controller.translate.conditions import ConditionType
from controller.translate.statuses import (
    BackendStatus,
    GatewayClassStatus,
    GatewayStatus,
    IngressStatus,
    ListenerSetStatus,
    PolicyStatus,
    RouteStatus,
    Status,
)

_OUR_CONDITIONS: Final = frozenset(str(item) for item in ConditionType)
_MAX_MESSAGE: Final = 32_768
_MOST_ENTRIES: Final = {"parents": 32, "ancestors": 16}

Object = dict[str, Any]


def merge(current: Object, wanted: Status | None, kind: str, *, controller_name: str, now: str) -> Object | None:
    """The fields of the status to write, or None if it already says ``wanted``; None wanted: nothing of ours."""
    fields = (
        _withdrawn(current, kind, controller_name, now)
        if wanted is None
        else _fields(current, wanted, controller_name, now)
    )
    return None if all(_same(current.get(name), value) for name, value in fields.items()) else fields


def has_entries(kind: str) -> bool:
    """Whether several controllers share the status of a kind, each with entries of its own."""
    return bool(_entries_field(kind))


def _withdrawn(current: Object, kind: str, controller_name: str, now: str) -> Object:
    name = _entries_field(kind)
    return {} if not name or name not in current else _entries(current, name, [], controller_name, now)


def _fields(current: Object, wanted: Status, controller_name: str, now: str) -> Object:
    match wanted:
        case GatewayClassStatus():
            plain = _plain(wanted)
            conditions = _conditions(current.get("conditions"), plain["conditions"], now)
            return {"conditions": conditions, "supportedFeatures": plain["supportedFeatures"]}
        case GatewayStatus():
            plain = _plain(wanted)
            # A patch with null removes the field, which counts only where a Gateway takes sets in.
            sets = plain.get("attachedListenerSets")
            return {"addresses": plain["addresses"], "attachedListenerSets": sets, **_listeners(current, plain, now)}
        case ListenerSetStatus():
            return _listeners(current, _plain(wanted), now)
        case RouteStatus() | BackendStatus():
            return _entries(current, "parents", _plain(wanted)["parents"], controller_name, now)
        case PolicyStatus():
            return _entries(current, "ancestors", _plain(wanted)["ancestors"], controller_name, now)
        case IngressStatus():
            return _addresses(current, _plain(wanted)["loadBalancer"]["ingress"])
        case _:
            assert_never(wanted)


def _addresses(current: Object, ingress: list[Object]) -> Object:
    """Of an Ingress; the API keeps no empty list, so none is asked for where there is none."""
    present = _mapping(current.get("loadBalancer")).get("ingress")
    return {"loadBalancer": {"ingress": ingress or None}} if ingress or present else {}


def _plain(status: Status) -> Object:
    """As JSON has it, without the fields that were not given."""
    return cast("Object", _without_none(msgspec.to_builtins(status)))


def _without_none(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_none(item) for name, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list | tuple) else value


def _entries_field(kind: str) -> str:
    """The list of entries by controller of a kind's status; empty for kinds that have one owner."""
    if kind.endswith("Route") or kind == "XBackend":
        return "parents"
    # Of the policies the Gateway API's alone: nothing is written to Istio's, and nothing of ours stands in them.
    return "ancestors" if kind == BackendTLSPolicy.kind else ""


def _listeners(current: Object, plain: Object, now: str) -> Object:
    """Of a Gateway or a ListenerSet."""
    before = {item.get("name"): item for item in _objects(current.get("listeners"))}
    listeners = []
    for listener in plain["listeners"]:
        old = _mapping(before.get(listener["name"])).get("conditions")
        listeners.append({**listener, "conditions": _conditions(old, listener["conditions"], now)})
    conditions = _conditions(current.get("conditions"), plain["conditions"], now)
    return {"conditions": conditions, "listeners": listeners}


def _entries(current: Object, name: str, ours: Sequence[Object], controller_name: str, now: str) -> Object:
    """Everybody else's entries where they are, ours renewed; what the API has no room for is left out."""
    present = _objects(current.get(name))
    others = [entry for entry in present if entry.get("controllerName") != controller_name]
    reference = "ancestorRef" if name == "ancestors" else "parentRef"
    before = {_identity(entry.get(reference)): entry for entry in present if entry not in others}
    renewed = {}
    for entry in ours[: max(0, _MOST_ENTRIES[name] - len(others))]:
        identity = _identity(entry[reference])
        old = _mapping(before.get(identity)).get("conditions")
        renewed[identity] = {**entry, "conditions": _conditions(old, entry["conditions"], now)}
    result: list[Object] = []
    for entry in present:
        if entry in others:
            result.append(entry)
        elif (found := renewed.pop(_identity(entry.get(reference)), None)) is not None:
            result.append(found)
    return {name: [*result, *renewed.values()]}


def _identity(reference: object) -> tuple[Any, ...]:
    fields = _mapping(reference)
    names = ("group", "kind", "namespace", "name", "sectionName", "port")
    return tuple(fields.get(name) for name in names)


def _conditions(current: object, wanted: Sequence[Object], now: str) -> list[Object]:
    """The wanted conditions with their times, and those of types that are not ours."""
    before = {item.get("type"): item for item in _objects(current)}
    result = []
    for condition in wanted:
        old = _mapping(before.get(condition["type"]))
        since = old.get("lastTransitionTime") if old.get("status") == condition["status"] else None
        message = condition["message"][:_MAX_MESSAGE]
        result.append({**condition, "message": message, "lastTransitionTime": since or now})
    named = {condition["type"] for condition in wanted}
    return result + [item for item in _objects(current) if item.get("type") not in named | _OUR_CONDITIONS]


def _same(one: object, other: object) -> bool:
    """Equal but for times, and for the order of conditions; a missing list is an empty one."""
    return _comparable(one or []) == _comparable(other or [])


def _comparable(value: object) -> object:
    if isinstance(value, dict):
        return {name: _comparable(item) for name, item in value.items() if name != "lastTransitionTime"}
    if isinstance(value, list):
        items = [_comparable(item) for item in value]
        typed = [item for item in items if isinstance(item, dict) and isinstance(item.get("type"), str)]
        if typed and len(typed) == len(items):
            return sorted(typed, key=lambda item: str(item["type"]))
        return items
    return value


def _objects(value: object) -> list[Object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
