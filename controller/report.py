"""From translation's statuses to the status report: objects, conditions and problems with file and line.

Owns which condition is a problem worth a line of its own. Incremental: an object whose status did
not change is not looked at again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, assert_never

from msgspec import Struct

from controller.resources import ParentReference
from controller.resources import Problem as SourceProblem
from controller.store import Key
from controller.translate import (
    BackendStatus,
    Condition,
    GatewayClassStatus,
    GatewayStatus,
    IngressStatus,
    ListenerSetStatus,
    PolicyStatus,
    RouteStatus,
    Status,
)
from gateway.admin.status import Condition as ReportedCondition
from gateway.admin.status import ObjectStatus, Part, Problem

_ORDER: Final = {
    kind: rank
    for rank, kind in enumerate(
        (
            "GatewayClass",
            "Gateway",
            "ListenerSet",
            "HTTPRoute",
            "GRPCRoute",
            "TLSRoute",
            "TCPRoute",
            "UDPRoute",
            "BackendTLSPolicy",
            "XBackend",
            "Ingress",
        )
    )
}
_PORT_REMEDY: Final = "add for example --port-offset 8000 to move every port, or free this one"
_ADDRESS_REMEDY: Final = "ask for an address of this machine (`ip address` lists them)"
_NOT_OURS: Final = "is not an address of this machine"
"""How the data plane says that the machine does not have the address."""
_SUMMARIES: Final = frozenset({"ListenersNotValid", "ListenersNotResolved"})
"""Reasons that only point to the listeners, which speak for themselves."""
_CONSEQUENCE: Final = "Programmed"
"""Follows from the other conditions of the same thing: no news where one of those fails already."""


ListenerUrls = Mapping[str, tuple[str, ...]]
"""Where clients reach the listeners of one Gateway, by their names."""
_NO_URLS: Final[ListenerUrls] = {}


class _Entry(Struct, frozen=True):
    """An object as it was reported last, and what that was made from."""

    status: Status
    place: str
    urls: ListenerUrls
    reported: ObjectStatus
    problems: tuple[Problem, ...]


class Report:
    """Objects and problems now. One for each pipeline."""

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry] = {}
        self._other: tuple[Problem, ...] = ()
        self._notices: tuple[Problem, ...] = ()

    def update(
        self,
        statuses: Mapping[Key, Status],
        places: Mapping[Key, str],
        source_problems: Iterable[SourceProblem],
        notices: Mapping[Key, tuple[str, ...]],
        urls: Mapping[Key, ListenerUrls],
    ) -> None:
        """Takes over the state of everything. ``urls``: for each Gateway that has listeners in a table."""
        # Sorting thousands of keys costs more than all the rest, and few changes add or remove an object.
        same = statuses.keys() == self._entries.keys()
        order = tuple(self._entries) if same else sorted(statuses, key=_rank)
        self._entries = {
            key: self._entry(key, statuses[key], places.get(key, ""), urls.get(key, _NO_URLS)) for key in order
        }
        warnings = (
            Problem(message=text, object=str(key), source=places.get(key, ""), severity="warning")
            for key, texts in notices.items()
            for text in texts
        )
        found = tuple(source_problems)
        self._other = (*(_from_source(problem) for problem in found if problem.severity != "notice"), *warnings)
        self._notices = tuple(_from_source(problem) for problem in found if problem.severity == "notice")

    def _entry(self, key: Key, status: Status, place: str, urls: ListenerUrls) -> _Entry:
        known = self._entries.get(key)
        same = known is not None and known.place == place and known.urls == urls
        if known is not None and same and (known.status is status or known.status == status):
            return known
        reported = object_status(key, status, place, urls)
        return _Entry(status, place, urls, reported, tuple(_problems(str(key), reported)))

    @property
    def objects(self) -> tuple[ObjectStatus, ...]:
        """Every object that has a status, in the order in which they depend on each other."""
        return tuple(entry.reported for entry in self._entries.values())

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What could not be read first, then what could not be honoured."""
        return (*self._other, *(problem for entry in self._entries.values() for problem in entry.problems))

    @property
    def left_alone(self) -> dict[str, int]:
        """How many objects there are of each kind that a gateway has nothing to do with."""
        return dict(Counter(notice.object.partition(" ")[0] for notice in self._notices))

    @property
    def notices(self) -> tuple[Problem, ...]:
        """The same objects one by one, for whoever wonders about one of them."""
        return self._notices

    def sources(self) -> dict[str, str]:
        """``file:line`` by the object's key in the report."""
        return {entry.reported.key: entry.place for entry in self._entries.values() if entry.place}


def _rank(key: Key) -> tuple[int, Key]:
    return _ORDER.get(key.kind, len(_ORDER)), key


def _from_source(problem: SourceProblem) -> Problem:
    message = f"{problem.field}: {problem.message}" if problem.field else problem.message
    return Problem(
        message=message,
        object=problem.object,
        source=problem.place,
        remedy=problem.remedy,
        severity=problem.severity,
    )


def object_status(key: Key, status: Status, place: str, urls: ListenerUrls = _NO_URLS) -> ObjectStatus:
    """One object with its parts."""
    conditions, parts = _conditions_and_parts(status, urls)
    return ObjectStatus(
        kind=key.kind, namespace=key.namespace, name=key.name, source=place, conditions=conditions, parts=parts
    )


def _conditions_and_parts(status: Status, urls: ListenerUrls) -> tuple[tuple[ReportedCondition, ...], tuple[Part, ...]]:
    match status:
        case GatewayClassStatus() | IngressStatus():
            return _reported(status.conditions), ()
        case GatewayStatus() | ListenerSetStatus():
            return _reported(status.conditions), tuple(
                Part(
                    name=item.name,
                    conditions=_reported(item.conditions),
                    attached_routes=item.attached_routes,
                    urls=urls.get(item.name, ()),
                )
                for item in status.listeners
            )
        case RouteStatus():
            return (), tuple(_part(item.parent_ref, item.conditions) for item in status.parents)
        case PolicyStatus() | BackendStatus():
            return (), tuple(_part(item.ancestor_ref, item.conditions) for item in status.ancestors)
        case _:
            assert_never(status)


def _part(parent: ParentReference, conditions: Iterable[Condition]) -> Part:
    namespace = f"{parent.namespace}/" if parent.namespace else ""
    section = f"/{parent.section_name}" if parent.section_name else ""
    port = f":{parent.port}" if parent.port else ""
    return Part(name=f"{parent.kind} {namespace}{parent.name}{section}{port}", conditions=_reported(conditions))


def _reported(conditions: Iterable[Condition]) -> tuple[ReportedCondition, ...]:
    return tuple(
        ReportedCondition(
            type=str(item.type),
            status=item.status,
            reason=str(item.reason),
            message=item.message,
            observed_generation=item.observed_generation,
        )
        for item in conditions
    )


def _problems(name: str, item: ObjectStatus) -> Iterator[Problem]:
    about = "listener " if item.kind in ("Gateway", "ListenerSet") else ""
    parts = [
        problem for part in item.parts for problem in _of_conditions(name, item, part.conditions, f"{about}{part.name}")
    ]
    yield from _of_conditions(name, item, item.conditions, "", explained=bool(parts))
    yield from parts


def _of_conditions(
    name: str,
    item: ObjectStatus,
    conditions: Iterable[ReportedCondition],
    part: str,
    *,
    explained: bool = False,
) -> Iterator[Problem]:
    failing = [condition for condition in conditions if not condition.fine and condition.status != "Unknown"]
    causes = [condition for condition in failing if condition.type != _CONSEQUENCE]
    shown = causes if causes or explained else failing
    said: set[str] = set()
    for condition in shown:
        if condition.message in said or (explained and condition.reason in _SUMMARIES):
            continue
        said.add(condition.message)
        yield Problem(
            message=f"{condition.type}={condition.status} ({condition.reason}): {condition.message}",
            object=f"{name}, {part}" if part else name,
            source=item.source,
            remedy=_remedy(condition),
        )


def _remedy(condition: ReportedCondition) -> str:
    """An offset helps where the machine refused a port; where Gateways want the same one, it moves them all alike."""
    if condition.type != _CONSEQUENCE or condition.reason != "PortUnavailable":
        return ""
    return _ADDRESS_REMEDY if _NOT_OURS in condition.message else _PORT_REMEDY
