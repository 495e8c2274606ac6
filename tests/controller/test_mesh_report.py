"""What status says of workloads is what the tables of their sidecars enforce."""

from __future__ import annotations

from controller.mesh_report import workload_statuses
from controller.store import Snapshot
from controller.translate import translate
from gateway.admin.status import WorkloadStatus
from tests.translation import golden


def reported(name: str) -> dict[str, WorkloadStatus]:
    case = golden.read(name)
    translation = translate(Snapshot(case.resources), case.options)
    found = workload_statuses(translation.sidecars, translation.tables, "example.org")
    return {f"{one.namespace}/{one.name}": one for one in found}


def test_a_workload_has_its_account_s_identity_and_the_modes_of_its_ports() -> None:
    found = reported("mesh-peer-authentication")
    assert found["shop/cart-1"].identity == "spiffe://example.org/ns/shop/sa/default"
    assert (found["shop/cart-1"].mode, found["shop/cart-1"].port_modes) == ("DISABLE", {"8080": "STRICT"})
    assert (found["shop/stock-1"].mode, found["shop/stock-1"].port_modes) == ("PERMISSIVE", {})
    assert found["depot/depot-1"].mode == "STRICT"


def test_a_workload_has_the_policies_of_all_its_ports_with_their_actions() -> None:
    (cart,) = reported("mesh-authorization").values()
    assert cart.policies == ("DENY istio-system/everywhere", "ALLOW shop/by-labels", "DENY shop/by-service")


def test_replicas_are_workloads_of_one_table_and_those_without_sidecar_are_left_out() -> None:
    found = reported("mesh-sidecar")
    assert sorted(found) == ["shop/cart-7d4-a", "shop/cart-7d4-b"]
    assert len({one.table for one in found.values()}) == 1


def test_with_explicit_capture_there_are_ports_alone() -> None:
    (machine,) = reported("mesh-explicit").values()
    assert (machine.kind, machine.mode) == ("WorkloadEntry", "")
    assert machine.port_modes == {"9443": "PERMISSIVE", "9444": "PERMISSIVE"}
