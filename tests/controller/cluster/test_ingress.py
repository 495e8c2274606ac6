"""Ingresses in a cluster: served by the Gateway of their class, with its addresses, and what is wrong as Events."""

from __future__ import annotations

from pathlib import Path

from tests.support.cluster import controllers, gateway_of, give_address
from tests.support.fake_apiserver import FakeApiServer
from tests.support.ingress import ingress, ingress_class, ingress_path
from tests.support.kube import comes_true


def addresses(server: FakeApiServer, name: str) -> list[str]:
    balancer = server.get("Ingress", name).get("status", {}).get("loadBalancer", {})
    return [entry["ip"] for entry in balancer.get("ingress", [])]


def said(server: FakeApiServer, name: str) -> str:
    events = [item for key, item in server.objects.items() if key[0] == "/events"]
    return "\n".join(event["message"] for event in events if event["involvedObject"]["name"] == name)


async def test_an_ingress_gets_the_address_of_its_gateway_and_what_has_no_effect_is_an_event(
    server: FakeApiServer, tmp_path: Path
) -> None:
    server.put(ingress_class("web", gateway=("default", "edge")))
    server.put(ingress_class("theirs", controller="example.com/other"))
    path = ingress_path("shop", port=80)
    server.put(ingress("one", ["one.example.com"], path, class_name="web", annotations={"limit-rps": "5"}))
    server.put(ingress("other", ["other.example.com"], path, class_name="theirs"))
    async with controllers(server, tmp_path, "one") as (controller,):
        await controller.serves()
        await comes_true(lambda: server.all("Deployment"))
        give_address(server)
        await comes_true(lambda: addresses(server, "one") == ["127.0.0.9"])
        await comes_true(lambda: "nginx.ingress.kubernetes.io/limit-rps has no effect" in said(server, "one"))
        assert set(server.get("Ingress", "one")["status"]) == {"loadBalancer"}
        async with gateway_of(server, controller, tmp_path) as edge:
            await comes_true(lambda: len(edge.engine.table.routes) == 2)
            assert [route.key for route in edge.engine.table.routes] == [
                "HTTPRoute/default/a/0",
                "Ingress/default/one/0",
            ]
        server.put(ingress("one", ["one.example.com"], ingress_path("gone"), class_name="web"))
        await comes_true(lambda: "Service default/gone does not exist" in said(server, "one"))
        assert "status" not in server.get("Ingress", "other")
