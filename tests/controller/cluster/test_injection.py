"""The webhook over TLS, and the trust bundle where sidecars and API servers read it."""

from __future__ import annotations

import base64
import json
import ssl
from pathlib import Path
from typing import Any

import httpx

from controller.inject import InjectionSettings, injected
from gateway.admin.server import AdminAddress
from tests.controller.inject.pods import pod
from tests.support.cluster import NAMESPACE, RunningController, bundle, controllers
from tests.support.fake_apiserver import FakeApiServer, Object
from tests.support.kube import comes_true

CONFIGURATION = ("admissionregistration.k8s.io/mutatingwebhookconfigurations", "", "sekisho-injector")
MESH: dict[str, Any] = {"mesh": True, "injection": AdminAddress("127.0.0.1", 0)}


def namespace(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def webhook(name: str) -> Object:
    service = {"name": "sekisho-controller", "namespace": NAMESPACE, "path": "/inject"}
    return {"name": name, "sideEffects": "None", "clientConfig": {"service": service}}


def configuration(*names: str) -> Object:
    return {"metadata": {"name": CONFIGURATION[2]}, "webhooks": [webhook(name) for name in names]}


def bundles(server: FakeApiServer) -> list[str]:
    return [
        base64.b64decode(one["clientConfig"].get("caBundle", "")).decode()
        for one in server.objects[CONFIGURATION]["webhooks"]
    ]


def trust(server: FakeApiServer) -> dict[str, str]:
    """By namespace, what its ConfigMap says."""
    return {
        one["metadata"]["namespace"]: one["data"]["ca.crt"]
        for one in server.all("ConfigMap")
        if one["metadata"]["name"] == "sekisho-trust-bundle"
    }


async def asked(server: FakeApiServer, one: RunningController, body: object) -> httpx.Response:
    context = ssl.create_default_context(cadata=bundle(server))
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        return await client.post(
            f"https://127.0.0.1:{one.app.injection_port}/inject",
            json=body,
            extensions={"sni_hostname": f"sekisho-controller.{NAMESPACE}.svc"},
        )


async def test_an_api_server_is_answered_over_tls_that_the_bundle_proves(server: FakeApiServer, tmp_path: Path) -> None:
    made = pod()
    review = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {"uid": "u", "operation": "CREATE", "kind": {"group": "", "kind": "Pod"}, "object": made},
    }
    async with controllers(server, tmp_path, "one", **MESH) as (one,):
        await comes_true(lambda: one.app.injection_port)
        response = (await asked(server, one, review)).json()["response"]
        assert (await asked(server, one, {"kind": "Pod"})).status_code == 400
        assert (await asked(server, one, "odd")).status_code == 400
        assert (await asked(server, one, {"kind": "x" * (5 << 20)})).status_code == 413
    assert (response["uid"], response["allowed"]) == ("u", True)
    spec = next(one for one in json.loads(base64.b64decode(response["patch"])) if one["path"] == "/spec/initContainers")
    settings = InjectionSettings(image="sekisho:test", controller_url="https://localhost")
    assert spec["value"] == injected(made, settings)["spec"]["initContainers"]


async def test_the_leader_keeps_the_webhooks_bundle_true(server: FakeApiServer, tmp_path: Path) -> None:
    server.objects[CONFIGURATION] = server._store(CONFIGURATION, configuration("a", "b"), status=False)
    async with controllers(server, tmp_path, "one", **MESH) as (one,):
        await one.serves()
        await comes_true(lambda: bundles(server) == [bundle(server)] * 2)
    assert server.objects[CONFIGURATION]["webhooks"][0]["clientConfig"]["service"]["path"] == "/inject"


async def test_namespaces_with_sidecars_have_the_bundle_and_no_others(server: FakeApiServer, tmp_path: Path) -> None:
    server.put(namespace("ours", **{"sekisho.dev/injection": "enabled"}))
    server.put(namespace("istios", **{"istio-injection": "enabled"}))
    server.put(namespace("plain"))
    server.put(namespace("by-hand"))
    metadata = {"name": "app", "namespace": "by-hand", "labels": {"security.istio.io/tlsMode": "istio"}}
    async with controllers(server, tmp_path, "one", **MESH):
        await comes_true(lambda: trust(server).keys() == {"ours", "istios"})
        server.put({**pod(), "metadata": metadata})
        await comes_true(lambda: trust(server).keys() == {"ours", "istios", "by-hand"})
        assert set(trust(server).values()) == {bundle(server)}
        server.remove("ConfigMap", "sekisho-trust-bundle", "ours")
        await comes_true(lambda: "ours" in trust(server))


async def test_without_a_mesh_nothing_of_it_is_there(server: FakeApiServer, tmp_path: Path) -> None:
    server.put(namespace("ours", **{"sekisho.dev/injection": "enabled"}))
    async with controllers(server, tmp_path, "one") as (one,):
        await comes_true(lambda: server.all("Deployment"))
        assert one.app.injection_port == 0
    assert not trust(server)
    assert not [path for _, path in server.requests if "/pods" in path or "workloadentries" in path]
