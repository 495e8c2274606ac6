from __future__ import annotations

import asyncio
import socket

import httpx
import pytest

from gateway.admin.server import AdminAddress, AdminServer
from gateway.errors import AdminAddressError, SettingsError
from tests.gateway.admin.conftest import Admin


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("127.0.0.1:9901", AdminAddress("127.0.0.1", 9901), "127.0.0.1:9901"),
        ("[::1]:9901", AdminAddress("::1", 9901), "[::1]:9901"),
        ("localhost:0", AdminAddress("localhost", 0), "localhost:0"),
    ],
)
def test_an_address_is_read_and_shown(text: str, address: AdminAddress, shown: str) -> None:
    assert AdminAddress.parse(text) == address
    assert str(address) == shown
    assert address.url == f"http://{shown}"
    assert address.is_loopback


@pytest.mark.parametrize("text", ["", "9901", "127.0.0.1", "127.0.0.1:", ":9901", "127.0.0.1:http", "127.0.0.1:70000"])
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1:9901"):
        AdminAddress.parse(text)


def test_a_taken_address_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        address = AdminAddress("127.0.0.1", stranger.getsockname()[1])
        with pytest.raises(AdminAddressError, match="another process listens there"):
            AdminServer(address)


def test_an_address_of_another_machine_is_said() -> None:
    with pytest.raises(AdminAddressError, match="--admin"):
        AdminServer(AdminAddress("192.0.2.1", 9901))


async def test_it_serves_until_it_is_told_to_stop(admin: Admin) -> None:
    server = AdminServer(AdminAddress("127.0.0.1", 0))
    stop = asyncio.Event()
    running = asyncio.create_task(server.run(admin.app(), stop))
    async with httpx.AsyncClient(trust_env=False, base_url=server.address.url) as client:
        answer = await client.get("/healthz/live")
        assert answer.status_code == 200
        assert "server" not in answer.headers
    stop.set()
    await asyncio.wait_for(running, 5)
