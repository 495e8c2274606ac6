"""`sekisho controller` whole: objects on a fake API server in, tables over TLS, statuses and manifests out."""

from __future__ import annotations

from pathlib import Path

from tests.support.cluster import bundle, conditions, controllers, gateway_of, give_address
from tests.support.fake_apiserver import FakeApiServer
from tests.support.kube import comes_true, http_route


async def test_from_objects_to_a_programmed_gateway(server: FakeApiServer, tmp_path: Path) -> None:
    async with controllers(server, tmp_path, "one") as (one,):
        await one.serves()
        await comes_true(lambda: server.all("Deployment"))
        container = server.get("Deployment", "edge-sekisho")["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] == "sekisho:test"
        assert server.get("ConfigMap", "edge-sekisho")["data"]["ca.crt"] == bundle(server)
        await comes_true(lambda: conditions(server.get("Gateway", "edge"))["Accepted"]["status"] == "True")
        assert conditions(server.get("Gateway", "edge"))["Programmed"]["status"] != "True"
        give_address(server)
        async with gateway_of(server, one, tmp_path) as edge:
            await comes_true(lambda: conditions(server.get("Gateway", "edge"))["Programmed"]["status"] == "True")
            assert [route.key for route in edge.engine.table.routes] == ["HTTPRoute/default/a/0"]
            server.put(http_route("b"))
            await comes_true(lambda: len(edge.engine.table.routes) == 2)
