"""Ways around the policies: spellings of addresses, names that lie, two destinations in one connection, hidden names.

The policy allows names of `ok.example` and of every name that the table asks for, so that the guard alone stands before
addresses. What is counted is what reached the outside.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.egress.conftest import SPECIAL
from tests.support.egress import HTTP, TLS, EgressGateway, egress_policy, status_of, ways_out
from tests.support.manifests import GATEWAY_API, Manifest, external_backend, external_ref, manifest, parent, rule
from tests.support.outside import METADATA, PRIVATE, PUBLIC, Outside
from tests.support.sekisho import sekisho_command

ALLOWED = {PUBLIC}
"""The one address that anything may reach here."""

SPELLINGS = [
    "2130706433:443", "0x7f000001:443", "0x7f.0.0.1:443", "0177.0.0.1:443", "017700000001:443", "127.1:443",
    "127.0.1:443", "0:443", "0.0.0.0:443", "127.0.0.1.:443", "127.0.0.01:443", "0x7f.1:443", "0xa9fea9fe:80",
    "2852039166:80", "169.254.169.254:80", "169.254.43518:80", "0251.0376.0251.0376:80", "10.9.9.9:443",
    "100.64.0.9:443", "93.184.216.10:443", "172.30.77.1:3128", "[::1]:443", "[::]:443", "[::ffff:127.0.0.1]:443",
    "[::ffff:169.254.169.254]:80", "[64:ff9b::a9fe:a9fe]:80", "[2002:a9fe:a9fe::1]:80", "[fd00:ec2::254]:80",
    "[fe80::1%eth0]:443", "[fe80::1%25eth0]:443", "[2606:4700::1111]:443", "ok.example.0x7f:443", "ok.example.1:443",
    "[::ffff:7f00:1]:443", "[0:0:0:0:0:ffff:a9fe:a9fe]:80", "[::169.254.169.254]:80", "[::ffff:0:169.254.169.254]:80",
    "[64:ff9b:1::a9fe:a9fe]:80", "[fe80::a9fe:a9fe]:80", "[127.0.0.1]:443", "[::1", "::1:443", "[::1]443", "[::1]x:443",
    "\uff11\uff12\uff17.0.0.1:443", "\u2461.\u2460.0.1:443", "127\u30020.0.1:443", "localhost:443", "localhost:3128",
]  # fmt: skip
TARGETS = [
    "denied.example:443", "notok.example:443", "ok.example.evil.example:443", "ok.example:22", "ok.example:80",
    "ok.example:0", "ok.example:65536", "ok.example:", "ok.example", ":443", "ok..example:443", ".ok.example:443",
    "-ok.example:443", "user@ok.example:443", "ok.example@evil.example:443", "ok.example/x:443", "ok.example#:443",
    "ok.example%00.evil.example:443", "ok.example:443:443", "http://ok.example:443", "ok.example:+443",
    "ok.example:0x1bb",
    "a" * 64 + ".ok.example:443", "a." * 130 + "ok.example:443", "bücher.example:443", "ok.example\x01:443",
    "ok\u3002example:443", "ok.example:\uff14\uff14\uff13", "ok.example,evil.example:443",
    "ok.example;evil.example:443",
    "ok.example:443,evil.example:443", "ok.example:443/../evil.example:443", "//ok.example:443", "ok.example:443?",
    "[ok.example]:443", "ok.example%2eevil.example:443", "ok.example:%34%34%33", "ok.example:4\xb23",
    "\xa0ok.example:443",
    "ok.example\\.evil.example:443", "*.ok.example:443", "empty.example:443", "nowhere.ok.example:443",
]  # fmt: skip
RESOLVED = [f"{name}.special.example:443" for name in SPECIAL] + [
    "alias-private.example:443", "mixed.example:443", "mixed-v6.example:443", "mixed-metadata.example:443",
    "intranet.corp.example:443",
]  # fmt: skip
CARRIED = {target.partition(":")[0]: 9600 + number for number, target in enumerate(RESOLVED)}
"""Hosts of XBackends, and the port of the listener whose TCPRoute leads there."""
PASSED, LED = 9443, 9599
"""Ports of the listener of TLSRoutes, which pass TLS through, and of the TCPRoute that leads to `ok.example`."""
REQUESTS = [
    (b"GET http://ok.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", "another Host"),
    (b"GET http://ok.example/ HTTP/1.1\r\nHost: ok.example:8080\r\n\r\n", "another port in Host"),
    (b"GET http://ok.example/ HTTP/1.1\r\nHost: ok.example\r\nHost: evil.example\r\n\r\n", "two Hosts"),
    (b"GET http://ok.example/ HTTP/1.1\r\n\r\n", "no Host"),
    (b"GET http://user@ok.example/ HTTP/1.1\r\nHost: ok.example\r\n\r\n", "user information"),
    (b"GET https://ok.example/ HTTP/1.1\r\nHost: ok.example\r\n\r\n", "https in the clear"),
    (b"GET http://169.254.169.254/latest/meta-data/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n", "metadata"),
    (b"GET http://2852039166/ HTTP/1.1\r\nHost: 2852039166\r\n\r\n", "metadata in decimal"),
    (b"GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n", "origin form to a proxy"),
    (b"CONNECT ok.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", "CONNECT with another Host"),
    (b"CONNECT ok.example:443 HTTP/1.1\r\nHost: ok.example:443\r\nContent-Length: 5\r\n\r\nhello", "CONNECT, content"),
    (b"CONNECT ok.example:443 HTTP/1.1\r\nHost: ok.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "chunked"),
    (b"PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\nHost: ok.example\r\n\r\n", "half of a preface of HTTP/2"),
    (b"GET http://metadata.special.example/ HTTP/1.1\r\nHost: metadata.special.example\r\n\r\n", "name of metadata"),
]


GET, CONNECT, HTTP_SCHEME, ROOT = (":method", "GET"), (":method", "CONNECT"), (":scheme", "http"), (":path", "/")
STREAMS = [
    ("another Host", [GET, HTTP_SCHEME, (":authority", "ok.example"), ROOT, ("host", "evil.example")]),
    ("two Hosts", [GET, HTTP_SCHEME, ROOT, ("host", "ok.example"), ("host", "evil.example")]),
    ("two authorities", [GET, HTTP_SCHEME, (":authority", "ok.example"), (":authority", "evil.example"), ROOT]),
    ("no authority", [GET, HTTP_SCHEME, ROOT]),
    ("user information", [GET, HTTP_SCHEME, (":authority", "user@ok.example"), ROOT]),
    ("https in the clear", [GET, (":scheme", "https"), (":authority", "ok.example"), ROOT]),
    ("another scheme", [GET, (":scheme", "ftp"), (":authority", "ok.example"), ROOT]),
    ("an absolute path", [GET, HTTP_SCHEME, (":authority", "ok.example"), (":path", "http://evil.example/")]),
    ("metadata", [GET, HTTP_SCHEME, (":authority", METADATA), ROOT]),
    ("metadata in decimal", [GET, HTTP_SCHEME, (":authority", "2852039166"), ROOT]),
    ("a name of metadata", [GET, HTTP_SCHEME, (":authority", "metadata.special.example"), ROOT]),
    ("a line end in the path", [GET, HTTP_SCHEME, (":authority", "ok.example"), (":path", "/\r\nhost: evil.example")]),
    ("a line end in a value", [GET, HTTP_SCHEME, (":authority", "ok.example"), ROOT, ("a", "1\r\nhost: evil.example")]),
    ("chunked", [GET, HTTP_SCHEME, (":authority", "ok.example"), ROOT, ("transfer-encoding", "chunked")]),
    ("CONNECT with another Host", [CONNECT, (":authority", "ok.example:443"), ("host", "evil.example:443")]),
    ("CONNECT with a path", [CONNECT, (":authority", "ok.example:443"), ROOT]),
    ("CONNECT with a scheme and a path", [CONNECT, (":scheme", "https"), (":authority", "ok.example:443"), ROOT]),
    ("CONNECT with a length", [CONNECT, (":authority", "ok.example:443"), ("content-length", "5")]),
    ("CONNECT without an authority", [CONNECT, ("host", "ok.example:443")]),
    ("extended CONNECT", [CONNECT, (":protocol", "websocket"), HTTP_SCHEME, (":authority", "ok.example:443"), ROOT]),
]


@pytest.fixture(scope="module")
def gateway(outside: Outside, directory: Path) -> Iterator[EgressGateway]:
    names = ["ok.example", "**.ok.example", "**.special.example", "**.corp.example"]
    names += [f"{one}.example" for one in ("alias-private", "mixed", "mixed-v6", "mixed-metadata", "empty", "turning")]
    policy = egress_policy("base", {"name": "all", "to": [{"names": names}]}, contact="security@example.com")
    manifests = ways_out(policy, *routes())
    (edge,) = (one for one in manifests if one["kind"] == "Gateway")
    ports = {**CARRIED, "turning.example": 9598, "ok.example": LED}
    edge["spec"]["listeners"] += [
        {"name": "passed", "port": PASSED, "protocol": "TLS", "tls": {"mode": "Passthrough"}},
        *({"name": f"to-{dashed(host)}", "port": port, "protocol": "TCP"} for host, port in ports.items()),
    ]
    with EgressGateway(outside, directory / "attacks", manifests) as running:
        yield running


def dashed(host: str) -> str:
    return host.replace(".", "-")


def routes() -> Iterator[Manifest]:
    """To each host by a TCPRoute, and by a TLSRoute for its name; for all other names a TLSRoute to `ok.example`."""
    for host in (*CARRIED, "turning.example", "ok.example"):
        name = dashed(host)
        leads = {"rules": [rule(external_ref(name))]}
        yield external_backend(name, host, 443)
        yield manifest(GATEWAY_API, "TCPRoute", name, spec={"parentRefs": [parent(section=f"to-{name}")], **leads})
        names = {"hostnames": [host, "*.example"] if host == "ok.example" else [host]}
        yield manifest(GATEWAY_API, "TLSRoute", name, spec={"parentRefs": [parent(section="passed")], **names, **leads})


@pytest.fixture(autouse=True)
def nothing_else_was_reached(outside: Outside) -> Iterator[None]:
    before = len(outside.reached)
    yield
    assert {address for address, _ in outside.reached[before:]} <= ALLOWED


@pytest.mark.parametrize("target", SPELLINGS + TARGETS + RESOLVED)
def test_connect_is_not_answered_with_a_tunnel(gateway: EgressGateway, outside: Outside, target: str) -> None:
    before = len(outside.reached)
    client, answer = gateway.tunnel(target)
    client.close()
    assert status_of(answer) not in range(200, 400), answer
    assert len(outside.reached) == before


@pytest.mark.parametrize("target", SPELLINGS + TARGETS + RESOLVED)
def test_a_stream_is_not_answered_with_a_tunnel(gateway: EgressGateway, outside: Outside, target: str) -> None:
    before = len(outside.reached)
    with gateway.http2() as client:
        # Others of the connection may be let out.
        assert client.head_of(client.connect("ok.example:443")).status == 200
        answer = client.finished(client.connect(target))
    assert answer.status not in range(200, 400), answer
    assert len(outside.reached) == before


@pytest.mark.parametrize(("what", "fields"), STREAMS, ids=[one[0] for one in STREAMS])
def test_a_request_of_a_stream_is_refused(
    gateway: EgressGateway, outside: Outside, what: str, fields: list[tuple[str, str]]
) -> None:
    before = len(outside.reached)
    with gateway.http2() as client:
        answer = client.finished(client.open_with(fields))
    assert answer.status not in range(200, 400), what
    assert len(outside.reached) == before


def test_what_a_client_names_does_not_make_records(gateway: EgressGateway) -> None:
    """A server name may hold anything that is ASCII: it stays one text of one record, also on a terminal."""
    forged = b'x"}\n{"record":"egress_decision","host":"forged.example","decision":"allow"}\n\x1b[2J{"'
    records = len(gateway.records())
    with gateway.connect(TLS) as client:
        client.sendall(with_extension(hello(None), server_name(forged)))
        ended(client)
    record = gateway.decision(after=records, way="TLS", reason="egress_name_invalid")
    assert record["host"] == forged.decode().lower()
    assert not any(one["host"] == "forged.example" for one in gateway.records())
    words = sekisho_command("egress", "report", "-f", gateway.log)
    told = subprocess.run(words, capture_output=True, check=True, timeout=30).stdout
    assert b"egress_name_invalid" in told
    assert b"\x1b" not in told


@pytest.mark.parametrize(("request_", "what"), [pytest.param(*one, id=one[1]) for one in REQUESTS])
def test_a_request_is_refused(gateway: EgressGateway, outside: Outside, request_: bytes, what: str) -> None:
    before = len(outside.reached)
    assert status_of(gateway.ask(request_)) not in range(200, 400), what
    assert len(outside.reached) == before


def hello(name: str | None) -> bytes:
    """The first flight of a client that asks for ``name``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def with_extension(message: bytes, extension: bytes) -> bytes:
    """A ClientHello with one extension more."""
    body = bytearray(message[9:])
    at = 34
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at : at + 2], "big")
    at += 1 + body[at]
    length = int.from_bytes(body[at : at + 2], "big") + len(extension)
    body[at : at + 2] = length.to_bytes(2, "big")
    body += extension
    handshake = b"\x01" + len(body).to_bytes(3, "big") + bytes(body)
    return b"\x16\x03\x01" + len(handshake).to_bytes(2, "big") + handshake


def server_name(name: bytes) -> bytes:
    entry = b"\0" + len(name).to_bytes(2, "big") + name
    data = len(entry).to_bytes(2, "big") + entry
    return b"\0\0" + len(data).to_bytes(2, "big") + data


def in_one_record(*flights: bytes) -> bytes:
    """The messages of flights of one record each."""
    messages = b"".join(flight[5:] for flight in flights)
    return b"\x16\x03\x01" + len(messages).to_bytes(2, "big") + messages


ENCRYPTED = b"\xfe\x0d\x00\x04\x00\x00\x00\x00"
FLIGHTS = [
    ("another server name", hello("evil.example"), "egress_name_mismatch"),
    ("no server name", hello(None), "egress_name_hidden"),
    ("an encrypted hello", with_extension(hello("ok.example"), ENCRYPTED), "egress_name_hidden"),
    ("two server names", with_extension(hello("ok.example"), server_name(b"evil.example")), "egress_name_invalid"),
    ("a server name with NUL", with_extension(hello(None), server_name(b"ok.example\0.evil")), "egress_name_invalid"),
    ("HTTP in the tunnel", b"GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n", "egress_not_tls"),
    ("SSH in the tunnel", b"SSH-2.0-OpenSSH_9.0\r\n", "egress_not_tls"),
    ("an address as the server name", with_extension(hello(None), server_name(b"10.9.9.9")), "egress_name_mismatch"),
    ("an escape in the server name", with_extension(hello(None), server_name(b"ok%2eexample")), "egress_name_invalid"),
    ("an empty server name", with_extension(hello(None), server_name(b"")), "egress_name_invalid"),
    ("two hellos in one record", in_one_record(hello("ok.example"), hello("evil.example")), "egress_name_invalid"),
    ("a hello without end", b"\x16\x03\x01\x40\x00\x01\x01\x00\x01\x03\x03" + b"a" * 16378, "egress_name_invalid"),
    ("a hello of SSLv2", b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + b"a" * 37, "egress_not_tls"),
    ("an alert", b"\x15\x03\x01\x00\x02\x02\x28", "egress_not_tls"),
    ("encrypted data", b"\x17\x03\x03\x00\x10" + b"a" * 16, "egress_not_tls"),
    ("a record of nonsense", b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", "egress_name_invalid"),
]


@pytest.mark.parametrize(("what", "flight", "reason"), FLIGHTS, ids=[one[0] for one in FLIGHTS])
def test_a_tunnel_that_turns_out_otherwise_carries_nothing(
    gateway: EgressGateway, outside: Outside, what: str, flight: bytes, reason: str
) -> None:
    before = len(outside.reached)
    client, answer = gateway.tunnel("ok.example:443")
    assert status_of(answer) == 200, answer
    with client:
        client.sendall(flight)
        ended(client)
    assert len(outside.reached) == before, what
    gateway.decision(host="ok.example", decision="deny", reason=reason)


@pytest.mark.parametrize(("what", "flight", "reason"), FLIGHTS, ids=[one[0] for one in FLIGHTS])
def test_a_stream_that_turns_out_otherwise_carries_nothing(
    gateway: EgressGateway, outside: Outside, what: str, flight: bytes, reason: str
) -> None:
    before, records = len(outside.reached), len(gateway.records())
    with gateway.http2() as client:
        stream = client.connect("ok.example:443")
        assert client.head_of(stream).status == 200
        client.send(stream, flight)
        client.finished(stream)
    assert len(outside.reached) == before, what
    gateway.decision(after=records, host="ok.example", decision="deny", reason=reason)


REDIRECTED = [one for one in FLIGHTS if one[2] != "egress_name_mismatch"] + [
    ("a name that is not allowed", hello("evil.example"), "egress_denied"),
    ("a name of a private address", hello("private-10.special.example"), "egress_address_prohibited"),
    ("a name of the metadata service", hello("metadata.special.example"), "egress_address_prohibited"),
]


@pytest.mark.parametrize(("what", "flight", "reason"), REDIRECTED, ids=[one[0] for one in REDIRECTED])
def test_redirected_tls_goes_nowhere(
    gateway: EgressGateway, outside: Outside, what: str, flight: bytes, reason: str
) -> None:
    before = len(outside.reached)
    with gateway.connect(TLS) as client:
        client.sendall(flight)
        ended(client)
    assert len(outside.reached) == before, what
    gateway.decision(way="TLS", decision="deny", reason=reason)


@pytest.mark.parametrize("host", CARRIED)
def test_a_route_of_connections_leads_to_no_such_host(gateway: EgressGateway, outside: Outside, host: str) -> None:
    before, records = len(outside.reached), len(gateway.records())
    for port in (CARRIED[host], PASSED):
        with gateway.connect(port) as client:
            client.sendall(hello(host))
            ended(client)
        listener = "passed" if port == PASSED else f"to-{dashed(host)}"
        record = gateway.decision(after=records, host=host, way="Route", listener=f"default/edge/{listener}")
        assert record["decision"] in ("deny", "failed")
    assert len(outside.reached) == before


@pytest.mark.parametrize(("what", "flight", "reason"), FLIGHTS, ids=[one[0] for one in FLIGHTS])
def test_a_route_of_connections_carries_nothing_that_turns_out_otherwise(
    gateway: EgressGateway, outside: Outside, what: str, flight: bytes, reason: str
) -> None:
    before, records = len(outside.reached), len(gateway.records())
    for port in (LED, PASSED):
        with gateway.connect(port) as client:
            client.sendall(flight)
            ended(client)
    assert len(outside.reached) == before, what
    gateway.decision(after=records, host="ok.example", way="Route", decision="deny", reason=reason)


def test_a_route_to_a_name_that_turns_between_addresses_never_leads_to_the_private_one(
    gateway: EgressGateway, outside: Outside
) -> None:
    for port in (9598, PASSED) * 4:
        with gateway.connect(port) as client:
            client.sendall(hello("turning.example"))
            client.settimeout(1)
            with contextlib.suppress(OSError):
                client.recv(4096)
    assert PRIVATE not in {address for address, _ in outside.reached}


def ended(client: socket.socket) -> None:
    """The other side closes, whatever it says before."""
    client.settimeout(10)
    try:
        while client.recv(4096):
            pass
    except ConnectionError:
        return


def test_a_later_request_with_another_host_is_denied(gateway: EgressGateway) -> None:
    with gateway.connect(HTTP) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: ok.example\r\n\r\n")
        assert b"outside " + PUBLIC.encode() in client.recv(65536)
        client.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert b"egress_denied" in client.recv(65536)


def test_a_name_that_turns_between_addresses_never_leads_to_the_private_one(
    gateway: EgressGateway, outside: Outside
) -> None:
    for _ in range(4):
        client, _ = gateway.tunnel("turning.example:443")
        client.close()
    assert PRIVATE not in {address for address, _ in outside.reached}


def test_nobody_reached_the_metadata_service_and_the_cases_are_counted(
    outside: Outside, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    cases = 2 * len(SPELLINGS + TARGETS + RESOLVED) + len(REQUESTS) + len(STREAMS)
    cases += 2 * len(FLIGHTS) + len(REDIRECTED) + 2
    cases += 2 * len(CARRIED) + 2 * len(FLIGHTS) + 3
    bypasses = [one for one in outside.reached if one[0] not in ALLOWED]
    record_property("attacks", cases)
    with capsys.disabled():
        sys.stdout.write(f"{cases} attacks, {len(bypasses)} bypasses ")
    assert cases >= 90
    assert bypasses == []
    assert METADATA not in {address for address, _ in outside.reached}
