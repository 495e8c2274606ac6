from __future__ import annotations

from pathlib import Path

import pytest

from controller.config import TranslationSettings
from controller.pipeline import Pipeline
from controller.sources import ManifestSource
from controller.translate import Translator
from gateway.agent.compiled import regex_problem
from gateway.errors import SettingsError
from gateway.routing_table.model import Applied, ListenerState, Rejection

SOCKET = "127.0.0.1:8080"
SHOP = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: sekisho
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: shop, port: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {type: ExternalName, externalName: localhost, ports: [{port: 80, targetPort: 3000}]}
"""


class Folder:
    """Manifests in a folder, and the pipeline that reads them."""

    def __init__(self, path: Path, settings: TranslationSettings) -> None:
        self.path = path
        self.source = ManifestSource([path])
        self.pipeline = Pipeline(settings, regex_problem)

    def write(self, text: str, name: str = "shop.yaml") -> None:
        (self.path / name).write_text(text)
        self.pipeline.take([self.source.load()], self.source.places())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, TranslationSettings(port_offset=8000))


def acknowledged(folder: Folder, **changes: object) -> Applied:
    listeners = tuple(ListenerState(key=item.key, bound=True) for item in folder.pipeline.table.listeners)
    return Applied(**{"version": "1", "listeners": listeners, **changes})  # type: ignore[arg-type]


def test_manifests_become_a_table(folder: Folder) -> None:
    folder.write(SHOP)
    (listener,) = folder.pipeline.table.listeners
    assert (listener.address, listener.port, listener.bind_port) == ("127.0.0.1", 80, 8080)
    assert [route.key for route in folder.pipeline.table.routes] == ["HTTPRoute/default/shop/0"]


def test_programmed_waits_for_the_data_plane(folder: Folder) -> None:
    folder.write(SHOP)
    unanswered = folder.pipeline.answer(Applied(version=""))
    (before,) = [item for item in unanswered.objects if item.kind == "Gateway"]
    assert {item.type: item.status for item in before.conditions}["Programmed"] != "True"

    answered = folder.pipeline.answer(acknowledged(folder))
    (after,) = [item for item in answered.objects if item.kind == "Gateway"]
    assert {item.type: item.status for item in after.conditions}["Programmed"] == "True"
    assert answered.problems == ()


def test_every_object_tells_where_it_stands(folder: Folder) -> None:
    folder.write(SHOP)
    report = folder.pipeline.answer(acknowledged(folder))
    assert {key: Path(place).name for key, place in report.sources().items()} == {
        "Gateway/default/edge": "shop.yaml:1",
        "HTTPRoute/default/shop": "shop.yaml:8",
    }


def test_a_listener_tells_where_it_is_reached_at_each_of_its_addresses(folder: Folder) -> None:
    addresses = "{addresses: [{value: 127.0.0.2}, {value: '::1'}], gatewayClassName: sekisho, "
    folder.write(SHOP)
    folder.write(
        SHOP.replace("spec:\n  gatewayClassName: sekisho\n  listeners", f"spec:\n  {addresses}listeners").replace(
            "protocol: HTTP}]", "protocol: HTTP}]}"
        )
    )
    report = folder.pipeline.answer(acknowledged(folder))
    (part,) = next(item.parts for item in report.objects if item.kind == "Gateway")
    assert part.urls == ("http://127.0.0.2:8080", "http://[::1]:8080")


def test_a_reference_to_nothing_is_one_problem_with_file_and_line(folder: Folder) -> None:
    folder.write(SHOP.replace("name: shop, port: 80", "name: none, port: 80"))
    (problem,) = folder.pipeline.answer(acknowledged(folder)).problems
    assert problem.object == "HTTPRoute default/shop, Gateway edge"
    assert problem.source.endswith("shop.yaml:8")
    assert "default/none" in problem.message


def test_a_port_that_cannot_be_bound_suggests_the_offset_once(folder: Folder) -> None:
    folder.write(SHOP)
    (listener,) = folder.pipeline.table.listeners
    taken = ListenerState(key=listener.key, bound=False, error=f"cannot bind {SOCKET}: in use")
    (problem,) = folder.pipeline.answer(acknowledged(folder, listeners=(taken,))).problems
    assert SOCKET in problem.message
    assert "--port-offset" in problem.remedy


def test_an_address_of_another_machine_is_not_answered_with_an_offset(folder: Folder) -> None:
    folder.write(SHOP)
    (listener,) = folder.pipeline.table.listeners
    error = "192.0.2.1 is not an address of this machine"
    elsewhere = ListenerState(key=listener.key, bound=False, error=error)
    (problem,) = folder.pipeline.answer(acknowledged(folder, listeners=(elsewhere,))).problems
    assert error in problem.message
    assert problem.remedy.startswith("ask for an address of this machine")


def test_a_port_that_an_older_gateway_has_is_not_answered_with_an_offset(folder: Folder) -> None:
    folder.write(SHOP)
    younger = SHOP.partition("---")[0].replace("name: edge", "name: second")
    folder.write(younger, "younger.yaml")
    (problem,) = folder.pipeline.answer(acknowledged(folder)).problems
    assert problem.object == "Gateway default/second, listener http"
    assert "use another port or address, or move the listener to that Gateway" in problem.message
    assert "--port-offset" not in problem.message + problem.remedy


def test_what_the_engine_refuses_is_a_problem_of_its_object(folder: Folder) -> None:
    folder.write(SHOP)
    rejection = Rejection(kind="routes", key="HTTPRoute/default/shop/0", reason="not today")
    problems = folder.pipeline.answer(acknowledged(folder, rejected=(rejection,))).problems
    assert [problem.object for problem in problems] == ["HTTPRoute default/shop, Gateway edge"]
    assert "not today" in problems[0].message


def test_text_that_cannot_be_read_is_a_problem_and_what_was_read_before_stays(folder: Folder) -> None:
    folder.write(SHOP)
    table = folder.pipeline.table
    folder.write("kind: [oops\n")
    assert folder.pipeline.table == table
    (problem,) = folder.pipeline.answer(acknowledged(folder)).problems
    assert "shop.yaml:1" in problem.source


def test_a_fault_in_translating_one_change_costs_a_translation_from_scratch(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write(SHOP)
    update = Translator.update
    calls = 0

    def fail_once(self: Translator, *arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("a bug")
        return update(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Translator, "update", fail_once)
    folder.write(SHOP.replace("targetPort: 3000", "targetPort: 3001"))
    assert folder.pipeline.table.endpoints[0].endpoints[0].port == 3001
    assert "afresh" in caplog.text


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"address": "localhost"}, "--address"),
        ({"port_offset": -1}, "--port-offset"),
        ({"port_offset": 70_000}, "65534"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(settings: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        TranslationSettings(**settings)  # type: ignore[arg-type]
