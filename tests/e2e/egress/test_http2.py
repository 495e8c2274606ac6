"""The forward proxy and redirected HTTP by HTTP/2: every stream is decided by itself."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.egress import HTTP, EgressGateway, egress_policy, over_tls_in_stream, ways_out
from tests.support.outside import OTHER_PUBLIC, PUBLIC, Outside
from tests.support.waiting import eventually

BASE = egress_policy(
    "base",
    {"name": "ok", "to": [{"names": ["ok.example"]}]},
    {"name": "narrow", "to": [{"names": ["other.example"], "ports": [80], "methods": ["GET"]}]},
    {"name": "other", "to": [{"names": ["other.example"], "ports": [443]}]},
    {"name": "small", "to": [{"names": ["ok.example"], "ports": [8443]}], "limits": {"connections": 1}},
    contact="security@example.com",
)


@pytest.fixture(scope="module")
def gateway(outside: Outside, directory: Path) -> Iterator[EgressGateway]:
    with EgressGateway(outside, directory / "http2", ways_out(BASE)) as running:
        yield running


def test_streams_of_one_connection_go_where_each_is_allowed_to(gateway: EgressGateway, authority_file: Path) -> None:
    with gateway.http2() as client:
        names = {"ok.example": PUBLIC, "other.example": OTHER_PUBLIC}
        opened = {name: client.connect(f"{name}:443") for name in names}
        denied = client.connect("evil.example:443")
        for name, address in names.items():
            assert client.head_of(opened[name]).status == 200
            answer = over_tls_in_stream(client, opened[name], name, authority_file)
            assert f"outside {address}".encode() in answer
        refused = client.finished(denied)
        assert refused.status == 403
        assert b"default/base; ask security@example.com" in refused.body
    for name, address in names.items():
        record = gateway.decision(host=name, port=443, method="CONNECT", decision="allow")
        assert record["dialled"] == f"{address}:443"
    gateway.decision(host="evil.example", decision="deny", reason="egress_denied")


def test_a_tunnel_of_a_stream_carries_no_other_name(
    gateway: EgressGateway, outside: Outside, authority_file: Path
) -> None:
    before = len(outside.reached)
    with gateway.http2() as client:
        stream = client.connect("ok.example:443")
        assert client.head_of(stream).status == 200
        with pytest.raises(ssl.SSLError):
            over_tls_in_stream(client, stream, "other.example", authority_file)
        client.finished(stream)
        again = client.connect("ok.example:443")
        assert f"outside {PUBLIC}".encode() in over_tls_in_stream(client, again, "ok.example", authority_file)
    assert len(outside.reached) == before + 1
    gateway.decision(host="ok.example", decision="deny", reason="egress_name_mismatch")


def test_requests_in_the_clear_go_by_scheme_and_authority(gateway: EgressGateway) -> None:
    with gateway.http2() as client:
        assert client.request(host="ok.example").body == f"outside {PUBLIC}".encode()
        assert client.request(host="other.example").body == f"outside {OTHER_PUBLIC}".encode()
        assert client.request(host="other.example", method="POST", body=b"x").status == 403
        assert client.request(host="evil.example").status == 403
        assert client.finished(client.open(host="ok.example", scheme="https")).status == 400
        # The connection serves on.
        assert client.request(host="ok.example:80").body == f"outside {PUBLIC}".encode()
    gateway.decision(host="other.example", method="POST", decision="deny", reason="egress_denied")


def test_redirected_requests_by_http2_go_where_they_say(gateway: EgressGateway) -> None:
    with gateway.http2(HTTP) as client:
        assert client.request(host="ok.example").body == f"outside {PUBLIC}".encode()
        assert client.request(host="evil.example").status == 403
        assert client.request(host="ok.example:8080").status == 421
        assert client.finished(client.connect("ok.example:443")).status == 400


def test_streams_of_one_connection_share_the_limits_of_a_rule(gateway: EgressGateway) -> None:
    with gateway.http2() as client:
        first = client.connect("ok.example:8443")
        assert client.head_of(first).status == 200
        assert client.finished(client.connect("ok.example:8443")).status == 429
        client.reset(first)

        def admitted() -> bool:
            return client.head_of(client.connect("ok.example:8443")).status == 200

        eventually(admitted, within=10, what="the place of the tunnel that ended")
