"""Statuses are ones that an API server takes: bounds and patterns of the Gateway API's definitions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from controller.store import Key, Snapshot
from controller.translate import Options, RouteStatus, translate
from controller.translate.conditions import MAX_MESSAGE
from tests.translation import golden

_MAX_CONDITIONS = 8
_MAX_ITEMS = {"listeners": 64, "parents": 32, "ancestors": 16, "addresses": 16, "supportedKinds": 8}
_REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?\Z")
_TYPE = re.compile(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]*)\Z")


def _lists(value: Any) -> Iterator[tuple[str, list[Any]]]:
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, list):
                yield name, item
            yield from _lists(item)
    elif isinstance(value, list):
        for item in value:
            yield from _lists(item)


@pytest.mark.parametrize("name", golden.names())
def test_statuses_keep_within_the_bounds_of_the_api(name: str) -> None:
    for status in golden.outcome(golden.read(name)).statuses.values():
        for field, items in _lists(msgspec.to_builtins(status)):
            assert len(items) <= _MAX_ITEMS.get(field, _MAX_CONDITIONS) or field == "supportedFeatures"
            if field == "conditions":
                _check_conditions(items)
            if field == "listeners":
                assert len({listener["name"] for listener in items}) == len(items)


def _check_conditions(conditions: list[dict[str, Any]]) -> None:
    assert conditions
    assert len({condition["type"] for condition in conditions}) == len(conditions)
    for condition in conditions:
        assert _TYPE.match(condition["type"])
        assert _REASON.match(condition["reason"])
        assert len(condition["message"]) <= MAX_MESSAGE


def test_a_message_about_very_many_problems_is_cut_where_the_api_ends() -> None:
    names = [[f"{'x' * 240}-{rule}-{reference}" for reference in range(16)] for rule in range(16)]
    documents: list[dict[str, Any]] = [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "edge"},
            "spec": {
                "gatewayClassName": "sekisho",
                "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}],
            },
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "shop"},
            "spec": {
                "parentRefs": [{"name": "edge"}],
                "rules": [{"backendRefs": [{"name": name, "port": 80} for name in rule]} for rule in names],
            },
        },
    ]
    resources = tuple(golden.resource_of(document) for document in documents)
    translation = translate(Snapshot(resources), Options(regex_problem=golden.regex_problem))
    status = translation.statuses[Key("HTTPRoute", "default", "shop")]
    assert isinstance(status, RouteStatus)
    message = status.parents[0].conditions[1].message
    assert len(message) == MAX_MESSAGE
    assert message.startswith(f"Service default/{names[0][0]} does not exist; ")
    assert message.endswith("…")
