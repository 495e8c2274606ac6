"""What keeps a Gateway's objects from standing is its status, until they stand."""

from __future__ import annotations

from pathlib import Path

from tests.support.cluster import conditions, controllers
from tests.support.fake_apiserver import FakeApiServer
from tests.support.kube import comes_true, gateway


async def test_a_gateway_that_cannot_be_provisioned_says_why(server: FakeApiServer, tmp_path: Path) -> None:
    def programmed() -> dict[str, str]:
        return dict(conditions(server.get("Gateway", "edge")).get("Programmed", {}))

    server.fail(403, times=1000, method="PATCH", within="/deployments/")
    async with controllers(server, tmp_path, "one") as (one,):
        await one.serves()
        await comes_true(lambda: programmed().get("reason") == "ProvisioningFailed")
        assert programmed()["status"] == "False"
        assert "Deployment" in programmed()["message"]
        assert conditions(server.get("Gateway", "edge"))["Accepted"]["status"] == "True"
        server.faults.clear()
        another = gateway()
        another["spec"]["infrastructure"] = {"labels": {"team": "edge"}}  # what is tried again need not wait
        server.put(another)
        await comes_true(lambda: server.all("Deployment"))
        await comes_true(lambda: programmed().get("reason") == "AddressNotAssigned")
