"""A sidecar asks its workload what the kubelet wants to know."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.admin.app_probes import VARIABLE, AppProbes
from gateway.errors import SettingsError
from tests.support.certificates import shared_authority


@pytest.fixture
async def workload() -> AsyncGenerator[tuple[int, list[str]], None]:
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head)
        if "/slow" in head:
            await asyncio.sleep(5)
        status = "302 Found\r\nlocation: /live" if "/moved" in head else "500 No" if "/bad" in head else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 6\r\n\r\nsecret".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


async def ask(probes: dict[str, object], path: str) -> httpx.Response:
    asked = AppProbes.of({VARIABLE: json.dumps(probes), "POD_IP": "127.0.0.1"})
    app = Starlette(routes=[Route("/app-health/{container}/{probe}", asked.answer)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://sidecar") as client:
        return await client.get(path)


@pytest.mark.parametrize(("path", "status"), [("/live", 200), ("/moved", 302), ("/bad", 500)])
async def test_the_status_of_the_workload_is_told_and_nothing_of_its_content(
    workload: tuple[int, list[str]], path: str, status: int
) -> None:
    port, heads = workload
    get = {"path": path, "port": port, "httpHeaders": [{"name": "X-Who", "value": "kubelet"}]}
    response = await ask({"/app-health/app/live": {"httpGet": get}}, "/app-health/app/live")
    assert (response.status_code, response.text) == (status, "")
    assert heads[0].startswith(f"GET {path} HTTP/1.1")
    assert "X-Who: kubelet" in heads[0]


async def test_an_open_port_is_enough_where_only_that_is_asked(workload: tuple[int, list[str]]) -> None:
    probe = {"tcpSocket": {"port": workload[0]}}
    assert (await ask({"/app-health/app/ready": probe}, "/app-health/app/ready")).status_code == 200


async def test_a_workload_that_does_not_answer_in_time_or_at_all_is_not_well(workload: tuple[int, list[str]]) -> None:
    slow = {"httpGet": {"path": "/slow", "port": workload[0]}, "timeoutSeconds": 1}
    assert (await ask({"/app-health/a/live": slow}, "/app-health/a/live")).status_code == 503
    closed = {"tcpSocket": {"port": 1}}
    assert (await ask({"/app-health/a/live": closed}, "/app-health/a/live")).status_code == 503


async def test_a_workload_with_tls_is_asked_whatever_its_certificate(tmp_path: Path) -> None:
    issued = shared_authority().issue("elsewhere.example.com")
    server = await asyncio.start_server(_fine, "127.0.0.1", 0, ssl=issued.server_context(tmp_path))
    async with server:
        get = {"port": server.sockets[0].getsockname()[1], "scheme": "HTTPS"}
        assert (await ask({"/app-health/a/live": {"httpGet": get}}, "/app-health/a/live")).status_code == 204


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-server\r\n", b"HTTP/1.1 20\r\n\r\n", b"x" * 100_000])
async def test_what_is_no_answer_of_http_is_not_well(said: bytes) -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        get = {"port": server.sockets[0].getsockname()[1]}
        assert (await ask({"/app-health/a/live": {"httpGet": get}}, "/app-health/a/live")).status_code == 503


async def test_a_header_with_a_line_break_is_not_sent(workload: tuple[int, list[str]]) -> None:
    port, heads = workload
    get = {"port": port, "httpHeaders": [{"name": "x-a", "value": "1\r\nx-b: 2"}]}
    assert (await ask({"/app-health/a/live": {"httpGet": get}}, "/app-health/a/live")).status_code == 503
    assert not heads


async def _fine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
    await writer.drain()
    writer.close()


async def test_only_what_was_written_down_is_asked() -> None:
    assert (await ask({}, "/app-health/app/live")).status_code == 404


def test_what_cannot_be_read_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="inject the workload anew"):
        AppProbes.of({VARIABLE: "{"})
