"""The repository's example of identities at a way out, as it stands there; addresses and names are the test's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.examples import example
from tests.support.manifests import gateway_class, manifest
from tests.support.mesh import CONTROLLER, mesh_network
from tests.support.mesh_egress import WAY_OUT, WayOut, outside_of
from tests.support.namespaces import needs_namespaces
from tests.support.outside import NAME_SERVER, OTHER_PUBLIC, PUBLIC

pytestmark = needs_namespaces

ZONE = {"api.stripe.com": [PUBLIC], "archive.ubuntu.com": [OTHER_PUBLIC]}


@pytest.fixture(scope="module")
def way_out(directory: Path, authority: Authority, authority_file: Path) -> Iterator[WayOut]:
    (gateway,) = example("egress/way-out.yaml")
    reference = {"group": "sekisho.dev", "kind": "GatewayParameters", "name": "out"}
    gateway["spec"]["infrastructure"] = {"parametersRef": reference}
    names = {"egress": {"nameservers": [NAME_SERVER]}}
    workload, service = example("egress/without-kubernetes.yaml")
    workload["spec"]["address"] = CONTROLLER
    assert service["spec"]["clusterIP"] == WAY_OUT
    with (
        mesh_network(directory, ["cart", "web", "plain"]) as mesh,
        outside_of(mesh, authority, ZONE, list(ZONE)) as outside,
    ):
        cart, web, plain = mesh.workloads.values()
        mesh.write(
            [
                *(gateway_class(), gateway, workload, service),
                manifest("sekisho.dev/v1alpha1", "GatewayParameters", "out", "infra", spec=names),
                *example("egress/identities.yaml"),
                *(cart.manifest(), web.manifest(), plain.manifest(in_mesh=False)),
            ]
        )
        mesh.start_controller()
        for name in ("cart", "web"):
            mesh.start_sidecar(name)
            mesh.capture(name)
        yield WayOut(mesh, outside, authority_file)


def test_service_accounts_and_namespaces_go_where_they_may_and_nobody_else_is_heard(way_out: WayOut) -> None:
    assert b"outside" in way_out.fetch("cart", "api.stripe.com")
    assert way_out.connect("web", "api.stripe.com:443") == 403
    for name in ("cart", "web"):
        assert b"outside" in way_out.fetch(name, "archive.ubuntu.com")
    assert way_out.connect("plain", "archive.ubuntu.com:443", host=CONTROLLER) == 0
    assert way_out.decision(host="archive.ubuntu.com", identity=way_out.workload("web").identity)["rule"] == "updates"
