"""Clients and servers that take their time: every wait has an end, and holds up nobody else."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.egress import TLS, EgressGateway, egress_policy, over_tls, status_of, ways_out
from tests.support.manifests import Manifest
from tests.support.outside import PRIVATE, PUBLIC, Outside

SECOND = "1s"
LIMITS = {
    "requestHeadTimeout": SECOND,
    "tlsHandshakeTimeout": SECOND,
    "streamIdleTimeout": SECOND,
    "connectTimeout": SECOND,
}
QUIET = 9000
POLICY = egress_policy(
    "base",
    {"name": "ok", "to": [{"names": ["ok.example", "**.example"]}]},
    {"name": "carried", "to": [{"names": ["ok.example"], "ports": [QUIET], "protocols": ["TCP"]}]},
)


def bounded() -> list[Manifest]:
    manifests = ways_out(POLICY)
    next(one for one in manifests if one["kind"] == "GatewayParameters")["spec"]["limits"] = LIMITS
    return manifests


@pytest.fixture(scope="module")
def gateway(outside: Outside, directory: Path) -> Iterator[EgressGateway]:
    with EgressGateway(outside, directory / "bounds", bounded()) as running:
        yield running


def ends_within(client: socket.socket, seconds: float) -> bool:
    client.settimeout(seconds)
    try:
        while client.recv(4096):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("beginning", [b"", b"CONNECT ok.exam", b"CONNECT ok.example:443 HTTP/1.1\r\nHost: "])
def test_a_connect_that_does_not_arrive_is_cut_off(gateway: EgressGateway, beginning: bytes) -> None:
    with gateway.connect() as client:
        client.sendall(beginning)
        assert ends_within(client, 6)


def test_a_connection_of_http2_without_a_request_is_cut_off(gateway: EgressGateway) -> None:
    with gateway.http2() as client:
        assert client.closed_within(6)


def test_bytes_that_drip_do_not_extend_the_bound(gateway: EgressGateway) -> None:
    began = time.monotonic()
    with gateway.connect() as client:
        try:
            for byte in b"CONNECT ok.example:443 HTTP/1.1\r\nHost: ok.example:443\r\nx: " + b"a" * 100:
                client.sendall(bytes([byte]))
                time.sleep(0.1)
        except ConnectionError:
            pass
    assert time.monotonic() - began < 8


@pytest.mark.parametrize("flight", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01"])
def test_a_tunnel_that_does_not_begin_reaches_nobody_and_ends(
    gateway: EgressGateway, outside: Outside, flight: bytes
) -> None:
    before = len(outside.reached)
    client, answer = gateway.tunnel("ok.example:443")
    assert status_of(answer) == 200
    with client:
        client.sendall(flight)
        assert ends_within(client, 6)
    with gateway.connect(TLS) as client:
        client.sendall(flight)
        assert ends_within(client, 6)
    assert len(outside.reached) == before
    gateway.decision(host="ok.example", decision="deny", reason="request_head_timeout")


def test_a_tunnel_of_which_one_side_has_gone_ends_while_whole_ones_stay(
    gateway: EgressGateway, outside: Outside
) -> None:
    with outside.beyond.run(lambda: socket.create_server((PUBLIC, QUIET), backlog=8)) as listener:
        whole, answer = gateway.tunnel(f"ok.example:{QUIET}")
        assert status_of(answer) == 200
        far_of_whole, _ = listener.accept()
        half, answer = gateway.tunnel(f"ok.example:{QUIET}")
        assert status_of(answer) == 200
        far_of_half, _ = listener.accept()
        half.sendall(b"last words")
        half.shutdown(socket.SHUT_WR)
        assert far_of_half.recv(64) == b"last words"
        assert ends_within(half, 6)
        # Idle for as long, and open.
        whole.sendall(b"hello")
        assert far_of_whole.recv(64) == b"hello"
        for one in (whole, far_of_whole, half, far_of_half):
            one.close()


def test_a_name_server_that_says_nothing_costs_its_name_alone(
    gateway: EgressGateway, outside: Outside, authority_file: Path
) -> None:
    def silent() -> list[str]:
        raise OSError

    outside.zone |= {f"silent-{number}.example": silent for number in range(8)}
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        slow = [pool.submit(gateway.tunnel, f"silent-{number}.example:443") for number in range(8)]
        quick, answer = gateway.tunnel("ok.example:443")
        assert status_of(answer) == 200
        assert f"outside {PUBLIC}".encode() in over_tls(quick, "ok.example", authority_file)
        for one in slow:
            client, answer = one.result(timeout=20)
            client.close()
            assert status_of(answer) == 502
    assert time.monotonic() - began < 10
    gateway.decision(host="silent-0.example", decision="failed", reason="egress_name_unresolved")


def test_answers_that_somebody_made_up_are_not_believed(
    gateway: EgressGateway, outside: Outside, authority_file: Path
) -> None:
    outside.zone["forged.ok.example"] = [PUBLIC]
    outside.forged["forged.ok.example"] = PRIVATE
    client, answer = gateway.tunnel("forged.ok.example:443")
    assert status_of(answer) == 200
    assert f"outside {PUBLIC}".encode() in over_tls(client, "forged.ok.example", authority_file)
    record = gateway.decision(host="forged.ok.example", decision="allow")
    assert record["resolved"] == [PUBLIC]


def test_a_flood_of_names_is_answered_and_leaves_room_for_others(gateway: EgressGateway) -> None:
    before = gateway.process.resident_bytes()

    def flood(part: int) -> set[int]:
        statuses = set()
        for number in range(100):
            client, answer = gateway.tunnel(f"n{part}-{number}.flood.example:443")
            client.close()
            statuses.add(status_of(answer))
        return statuses

    with ThreadPoolExecutor(4) as pool:
        assert set().union(*pool.map(flood, range(4))) == {502}
    client, answer = gateway.tunnel("ok.example:443")
    client.close()
    assert status_of(answer) == 200
    assert gateway.process.resident_bytes() - before < 32 * 1024 * 1024
