"""Pods of a Gateway by which something goes out are of the mesh, at those ports, for whoever calls them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controller.sources import ManifestSource
from controller.store import Store
from controller.translate import Options, translate
from controller.translate.infrastructure_names import GATEWAY_NAME_LABEL, label_value
from gateway.agent.compiled import regex_problem
from gateway.routing_table.model import Peer
from tests.support.manifests import Manifest, gateway, gateway_class, manifest, write

PORT, OTHER = 3128, 9000
ADDRESS = "10.0.0.9"


def pod(gateway_name: str) -> Manifest:
    made = manifest("v1", "Pod", "out-1", "infra", spec={"serviceAccountName": "out"})
    made["metadata"]["labels"] = {GATEWAY_NAME_LABEL: label_value(gateway_name)}
    made["status"] = {"podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}], "phase": "Running"}
    return made


def service() -> list[Manifest]:
    ports = [{"name": f"tcp-{port}", "port": port} for port in (PORT, OTHER)]
    made = manifest("v1", "Service", "out", "infra", spec={"clusterIP": "10.96.0.20", "ports": ports})
    described = manifest("discovery.k8s.io/v1", "EndpointSlice", "out-1", "infra", addressType="IPv4", ports=ports)
    described["metadata"]["labels"] = {"kubernetes.io/service-name": "out"}
    return [made, {**described, "endpoints": [{"addresses": [ADDRESS]}]}]


def caller() -> Manifest:
    """Its table has every Service."""
    made = manifest("v1", "Pod", "cart-1", "shop", spec={"serviceAccountName": "cart"})
    made["metadata"]["labels"] = {"security.istio.io/tlsMode": "istio"}
    made["status"] = {"podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}], "phase": "Running"}
    return made


def peers(directory: Path, *objects: Manifest, **options: Any) -> dict[int, Peer | None]:
    """Whom a sidecar expects at the gateway's ports."""
    write(directory / "main.yaml", [gateway_class(), *service(), caller(), *objects])
    store = Store()
    change = ManifestSource((str(directory),)).load()
    assert not change.problems, change.problems
    store.apply(change.upserts, change.deletes)
    tables = translate(store.snapshot(), Options(regex_problem=regex_problem, merge=False, **options)).tables
    (table,) = [found for name, found in tables.items() if name.startswith("shop/")]
    return {one.port: one.peer for its in table.endpoints for one in its.endpoints if one.address == ADDRESS}


@pytest.mark.parametrize("name", ["out", "out." * 40 + "end"])
def test_ports_by_which_something_goes_out_are_of_the_mesh_and_no_others(tmp_path: Path, name: str) -> None:
    listeners = (
        {"name": "proxy", "port": PORT, "protocol": "sekisho.dev/EgressProxy"},
        {"name": "other", "port": OTHER, "protocol": "TCP"},
    )
    found = peers(tmp_path, gateway(*listeners, name=name, namespace="infra"), pod(name), trust_domain="mesh.test")
    assert found == {PORT: Peer(identity="mesh.test/ns/infra/sa/out", workload="infra/out-1"), OTHER: None}


def test_a_pod_that_only_claims_to_be_a_gateway_s_is_not_of_the_mesh(tmp_path: Path) -> None:
    assert peers(tmp_path, pod("out")) == {PORT: None, OTHER: None}
    listener = {"name": "proxy", "port": PORT, "protocol": "sekisho.dev/EgressProxy"}
    elsewhere = gateway(listener, name="out", namespace="elsewhere")
    assert peers(tmp_path, elsewhere, pod("out")) == {PORT: None, OTHER: None}
