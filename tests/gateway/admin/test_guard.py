from __future__ import annotations

import httpx
import pytest

from gateway.admin.guard import host_name
from tests.gateway.admin.conftest import Admin


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9901", "127.0.0.1", "localhost:9901", "LOCALHOST", "[::1]:9901", "10.1.2.3:9901", "localhost."]
)
async def test_addresses_and_loopback_names_are_answered(host: str, client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz/live", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["attacker.example", "attacker.example:9901", "localhost.attacker.example", "127.0.0.1.nip.io", "", "[::1"]
)
async def test_a_name_that_was_rebound_to_loopback_is_refused(host: str, client: httpx.AsyncClient) -> None:
    answer = await client.get("/config", headers={"host": host})
    assert answer.status_code == 421


async def test_a_name_that_was_configured_is_answered(admin: Admin) -> None:
    async with admin.client("gateway.internal", base_url="http://gateway.internal:9901") as client:
        assert (await client.get("/healthz/live")).status_code == 200
        assert (await client.get("/healthz/live", headers={"host": "other.internal"})).status_code == 421


@pytest.mark.parametrize("path", ["/", "/config", "/nothing", "/metrics"])
async def test_no_answer_may_be_read_framed_or_kept_by_others(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(path, headers={"origin": "http://attacker.example"})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "name"),
    [("A.example:80", "a.example"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("a.example.", "a.example"), ("", "")],
)
def test_the_name_in_a_host_field_is_found(host: str, name: str) -> None:
    assert host_name(host) == name
