"""Denied paths are denied in every spelling that a server may read so; allowed ones are as they are written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.egress import EgressGateway, egress_policy, status_of, ways_out
from tests.support.outside import Outside

DENIED = [
    "/admin", "/admin/users", "//admin", "/./admin", "/x/../admin", "/x/%2e%2e/admin", "/%61dmin", "/admin?x",
    "/admin;x=1", "/admin;/users", "/admin%3bx",
    "/admin%2Fusers", "/admin%2fusers", "/%2Fadmin", "/;/admin", "/;x/admin", "/.;/admin",
    "/admin%5Cusers", "/\\admin", "/x/..;/admin", "/x/..%2fadmin", "/x%2f..%2fadmin", "/..%5cadmin", "/admin%00",
    "/admin#x",
]  # fmt: skip
NOT_ALLOWED = ["/", "/v12", "/v1%2Fa", "/v1;x", "/V1", "/v1/../x", "/v1/..;/x", "/v1/%2e%2e/x", "/;/v1", "/v1/..%2fx"]


@pytest.fixture(scope="module")
def gateway(outside: Outside, directory: Path) -> Iterator[EgressGateway]:
    policies = (
        egress_policy("all", {"name": "all", "to": [{"names": ["ok.example"]}]}),
        egress_policy("never", {"name": "admin", "action": "Deny", "to": [without_admin()]}),
        egress_policy("some", {"name": "v1", "to": [{"names": ["alias-ok.example"], "pathPrefixes": ["/v1/"]}]}),
    )
    with EgressGateway(outside, directory / "paths", ways_out(*policies)) as running:
        yield running


def without_admin() -> dict[str, list[str]]:
    return {"names": ["ok.example"], "pathPrefixes": ["/admin"]}


def get(gateway: EgressGateway, host: str, path: str) -> tuple[int, int]:
    """The status by HTTP/1.1, and by HTTP/2; 0 for no answer."""
    first = status_of(gateway.ask(f"GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()))
    with gateway.http2() as client:
        return first, client.request(path, host=host).status


@pytest.mark.parametrize("path", DENIED)
def test_a_path_that_is_denied_is_denied_in_every_spelling(gateway: EgressGateway, outside: Outside, path: str) -> None:
    before = len(outside.reached)
    assert set(get(gateway, "ok.example", path)) <= {0, 400, 403}
    assert len(outside.reached) == before


@pytest.mark.parametrize("path", NOT_ALLOWED)
def test_a_path_that_is_allowed_is_allowed_as_it_is_written(
    gateway: EgressGateway, outside: Outside, path: str
) -> None:
    before = len(outside.reached)
    assert set(get(gateway, "alias-ok.example", path)) <= {0, 400, 403}
    assert len(outside.reached) == before


@pytest.mark.parametrize(
    ("host", "path"),
    [("ok.example", "/administrators;x"), ("ok.example", "/x/admin"), ("alias-ok.example", "/v1/a;b%2Fc")],
)
def test_other_paths_go_out(gateway: EgressGateway, host: str, path: str) -> None:
    assert get(gateway, host, path) == (200, 200)
