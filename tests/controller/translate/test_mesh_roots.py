"""What only a mesh needs is worked out only where there is one, and only for routes that name a Service as parent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controller.sources import ManifestSource
from controller.store import Store
from controller.translate import Options, Translator
from controller.translate.destinations import DESTINATIONS
from controller.translate.east_west import EAST_WEST
from controller.translate.graph import Reads, Stage
from controller.translate.mesh_route import MESH_ROUTE
from controller.translate.waypoint import WAYPOINT
from gateway.agent.compiled import regex_problem
from tests.support.manifests import GATEWAY_API, Manifest, gateway, gateway_class, manifest, write

STAGES: dict[str, Stage[Any, Any]] = {
    "destinations": DESTINATIONS,
    "east-west": EAST_WEST,
    "waypoint": WAYPOINT,
    "mesh route": MESH_ROUTE,
}


def route(name: str, parent: Manifest) -> Manifest:
    rules = [{"backendRefs": [{"name": "web", "port": 80}]}]
    return manifest(GATEWAY_API, "HTTPRoute", name, spec={"parentRefs": [parent], "rules": rules})


@pytest.mark.parametrize(
    ("mesh", "expected"),
    [
        (False, set()),
        (True, {("destinations", "web"), ("east-west", "web"), ("waypoint", "web"), ("mesh route", "inside")}),
    ],
)
def test_stages_of_the_mesh_are_worked_off_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mesh: bool, expected: set[tuple[str, str]]
) -> None:
    worked_off: set[tuple[str, str]] = set()

    def watch(name: str, stage: Stage[Any, Any]) -> None:
        compute = stage.compute

        def watched(key: Any, reads: Reads) -> Any:
            worked_off.add((name, key.name))
            return compute(key, reads)

        monkeypatch.setattr(stage, "compute", watched)

    for name, stage in STAGES.items():
        watch(name, stage)
    service = manifest("v1", "Service", "web", spec={"clusterIP": "10.0.0.1", "ports": [{"port": 80}]})
    inside = route("inside", {"group": "", "kind": "Service", "name": "web"})
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    write(
        tmp_path / "main.yaml",
        [gateway_class(), gateway(listener), service, route("edge", {"name": "edge"}), inside],
    )
    change = ManifestSource((str(tmp_path),)).load()
    assert not change.problems
    store = Store()
    changed = store.apply(change.upserts, change.deletes)
    Translator(Options(regex_problem=regex_problem, mesh=mesh)).update(store.snapshot(), changed)
    assert worked_off == expected
