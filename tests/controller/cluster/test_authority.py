"""The authority of a cluster while it runs: its Secret changes, by `sekisho ca`, and gateways follow."""

from __future__ import annotations

import asyncio
import base64
import datetime
import io
from functools import partial
from pathlib import Path

import httpx
import msgspec
import pytest

from controller.ca.material import Phase
from controller.ca.rotation import AuthorityReport
from controller.ca_commands import Place, create_token, deny, rotate, show
from controller.errors import AuthorityUnusableError
from controller.kube import authority_secret
from controller.terminal.writer import Writer
from tests.support.cluster import NAMESPACE, RunningController, bundle, controllers, gateway_of, give_address
from tests.support.discovery import soon
from tests.support.fake_apiserver import FakeApiServer
from tests.support.kube import comes_true


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authority_secret, "_LOOK_SECONDS", 0.05)


async def said(place: Place, **options: bool) -> str:
    """What the command prints, run as people do: in a loop of its own."""
    file = io.StringIO()
    await asyncio.to_thread(rotate, place, None, Writer(file, styled=False), force=options.get("force", False))
    return file.getvalue()


async def test_the_root_changes_in_three_commands_and_the_gateway_keeps_its_stream(
    server: FakeApiServer, tmp_path: Path
) -> None:
    async with controllers(server, tmp_path, "one") as (one,):
        await one.serves()
        await comes_true(lambda: server.all("Deployment"))
        await comes_true(lambda: one.leads)
        give_address(server)
        place = Place(namespace=NAMESPACE, kubeconfig=tmp_path / "kubeconfig-one", admin=one.app.admin_url)
        async with gateway_of(server, one, tmp_path) as edge:
            edge.identity._chance = lambda: 0.0
            await comes_true(lambda: edge.agent.state.loaded)
            first = bundle(server)
            for phase in Phase.INTRODUCED, Phase.SWITCHED, Phase.STABLE:
                await soon(partial(_rotated, place, phase))
                await comes_true(partial(_stands, one, phase))
                # What gateways that start are given follows as well.
                await comes_true(lambda: _mounted(server).strip() == _wanted(one).strip(), within=10.0)
            assert edge.error == ""
            assert _wanted(one) != first
            assert edge.identity.root_key == one.app._authority.root_key  # type: ignore[union-attr]

            async with httpx.AsyncClient(trust_env=False) as client:
                answer = await client.get(f"{one.app.admin_url}/authority")
            report = msgspec.json.decode(answer.content, type=AuthorityReport)
            assert (report.phase, report.leads) == ("stable", True)
            shown = io.StringIO()
            await asyncio.to_thread(show, place, Writer(shown, styled=False))
            assert "stable" in shown.getvalue()


def _mounted(server: FakeApiServer) -> str:
    return str(server.get("ConfigMap", "edge-sekisho")["data"]["ca.crt"])


def _wanted(one: RunningController) -> str:
    return one.app._authority.bundle_pem if one.app._authority is not None else ""


def _stands(one: RunningController, phase: Phase) -> bool:
    authority = one.app._authority
    return authority is not None and authority.material.phase is phase


async def _rotated(place: Place, phase: Phase) -> bool:
    try:
        return (await said(place)).startswith(phase.value)
    except AuthorityUnusableError as error:
        if "does not go on" not in str(error):
            raise
        return False


async def test_who_is_denied_by_command_loses_the_stream(server: FakeApiServer, tmp_path: Path) -> None:
    async with controllers(server, tmp_path, "one") as (one,):
        await one.serves()
        await comes_true(lambda: server.all("Deployment"))
        give_address(server)
        place = Place(
            namespace=NAMESPACE, kubeconfig=tmp_path / "kubeconfig-one", admin="", trust_domain="cluster.local"
        )
        async with gateway_of(server, one, tmp_path) as edge:
            await comes_true(lambda: edge.agent.state.loaded)
            assert edge.identity.credentials is not None
            uri = edge.identity.credentials.uri
            await asyncio.to_thread(deny, place, uri, Writer(io.StringIO(), styled=False), denied=True)
            await comes_true(lambda: "denied" in edge.error, within=15.0)
            secret = server.get("Secret", "sekisho-ca", NAMESPACE)
            assert base64.b64decode(secret["data"]["denied"]).decode().strip() == uri


async def test_a_machine_joins_a_cluster_by_a_token(server: FakeApiServer, tmp_path: Path) -> None:
    async with controllers(server, tmp_path, "one") as (one,):
        await one.serves()
        await comes_true(lambda: server.all("Deployment"))
        give_address(server)
        place = Place(namespace=NAMESPACE, kubeconfig=tmp_path / "kubeconfig-one", trust_domain="cluster.local")
        printed = io.StringIO()
        identity = "spiffe://cluster.local/ns/default/sa/edge-sekisho"
        hour = datetime.timedelta(hours=1)
        await asyncio.to_thread(create_token, place, identity, hour, Writer(printed, styled=False))
        async with gateway_of(server, one, tmp_path) as edge:
            edge.token.write_text(printed.getvalue())
            await comes_true(lambda: edge.agent.state.loaded)
            assert edge.identity.credentials is not None
            assert edge.identity.credentials.uri == identity
