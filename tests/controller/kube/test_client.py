from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from controller.kube.client import Api, ApiError, UnreachableError
from controller.kube.connection import Connection, Token
from controller.kube.kinds import collection, field_selector, path_of, plural
from controller.resources import KINDS, GatewayClass, HTTPRoute, Secret
from controller.store import Key
from tests.support.fake_apiserver import FakeApiServer
from tests.support.kube import config_map

MAPS = "/api/v1/namespaces/default/configmaps"


async def test_objects_are_made_read_changed_and_removed(server: FakeApiServer, api: Api) -> None:
    made = await api.create(MAPS, config_map("m"))
    assert (await api.get(f"{MAPS}/m"))["data"] == {"text": "x"}
    await api.merge(f"{MAPS}/m", {"data": {"text": None, "other": "y"}})
    assert server.get("ConfigMap", "m")["data"] == {"other": "y"}
    with pytest.raises(ApiError) as conflict:
        await api.replace(f"{MAPS}/m", made)
    assert conflict.value.status == 409
    await api.delete(f"{MAPS}/m")
    with pytest.raises(ApiError) as gone:
        await api.get(f"{MAPS}/m")
    assert gone.value.status == 404


async def test_server_side_apply_names_its_manager(server: FakeApiServer, api: Api) -> None:
    await api.apply(f"{MAPS}/m", config_map("m"), {"fieldManager": "sekisho", "force": "true"})
    await api.apply(f"{MAPS}/m", config_map("m", "y"), {"fieldManager": "sekisho", "force": "true"})
    assert server.get("ConfigMap", "m")["data"] == {"text": "y"}
    assert all("fieldManager=sekisho" in path for path in server.asked("PATCH", "/configmaps/m"))


async def test_an_error_says_what_the_server_said(server: FakeApiServer, api: Api) -> None:
    server.fail(429, headers={"Retry-After": "7"})
    with pytest.raises(ApiError, match="as the test ordered") as error:
        await api.get(MAPS)
    assert (error.value.status, error.value.retry_after) == (429, 7.0)


async def test_a_server_that_is_away_is_unreachable(server: FakeApiServer, api: Api) -> None:
    await server.stop()
    with pytest.raises(UnreachableError):
        await api.get(MAPS)
    with pytest.raises(UnreachableError):
        async with aclosing(api.watch(MAPS, {"watch": "1"}, 1.0)) as events:
            await anext(events)


async def test_a_rotated_token_is_read_again(server: FakeApiServer, tmp_path: Path) -> None:
    now = [0.0]
    file = tmp_path / "token"
    file.write_text("first\n")
    server.tokens = {"first"}
    api = Api(Connection(server=server.url, token=Token(file=file, now=lambda: now[0])))
    await api.get(MAPS)
    file.write_text("second\n")
    await api.get(MAPS)
    now[0] += 60.0
    server.tokens = {"second"}
    await api.get(MAPS)
    await api.close()


async def test_a_token_that_is_refused_is_read_again_at_once(server: FakeApiServer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    server.tokens = {"first"}
    api = Api(Connection(server=server.url, token=Token(file=file)))
    await api.get(MAPS)
    file.write_text("second")
    server.tokens = {"second"}
    with pytest.raises(ApiError, match="401"):
        await api.get(MAPS)
    await api.get(MAPS)
    await api.close()


async def test_an_event_larger_than_a_buffer_arrives_whole(server: FakeApiServer, api: Api) -> None:
    server.put(config_map("large", "x" * 3_000_000))
    async with aclosing(api.watch(MAPS, {"watch": "1", "resourceVersion": "100"}, 5.0)) as events:
        event = await anext(events)
    assert len(event["object"]["data"]["text"]) == 3_000_000


def test_only_the_rest_layer_of_the_package_is_loaded() -> None:
    program = (
        "import sys\n"
        "from controller.kube.rest import _rest_module\n"
        "_rest_module()\n"
        "print(sorted(name for name in sys.modules if name.startswith('kubernetes_asyncio')))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout.strip() == "['kubernetes_asyncio.client.exceptions', 'kubernetes_asyncio.client.rest']"


@pytest.fixture
async def closed() -> AsyncGenerator[Api, None]:
    api = Api(Connection(server="http://127.0.0.1:1"))
    yield api
    await api.close()


async def test_closing_what_was_never_used_is_fine(closed: Api) -> None:
    await closed.close()


def test_the_plural_of_every_kind() -> None:
    assert [plural(type_.kind) for type_ in KINDS] == [
        "gatewayclasses",
        "gateways",
        "listenersets",
        "httproutes",
        "grpcroutes",
        "tlsroutes",
        "tcproutes",
        "udproutes",
        "referencegrants",
        "backendtlspolicies",
        "xbackends",
        "services",
        "endpointslices",
        "secrets",
        "configmaps",
        "namespaces",
        "gatewayparameters",
        "ingressclasses",
        "ingresses",
        "authorizationpolicies",
        "externalauthorizationproviders",
        "requestauthentications",
        "egresspolicies",
        "credentialinjections",
    ]
    assert [plural(kind) for kind in ("Endpoints", "ListenerSet", "TLSRoute")] == [
        "endpoints",
        "listenersets",
        "tlsroutes",
    ]


def test_paths() -> None:
    assert collection(HTTPRoute, "v1") == "/apis/gateway.networking.k8s.io/v1/httproutes"
    assert collection(Secret, "v1", "shop") == "/api/v1/namespaces/shop/secrets"
    assert collection(GatewayClass, "v1", "shop") == "/apis/gateway.networking.k8s.io/v1/gatewayclasses"
    assert path_of(Key("Namespace", "", "shop")) == "/api/v1/namespaces/shop"
    assert "type!=helm.sh/release.v1" in field_selector(Secret)
