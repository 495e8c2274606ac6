"""Ambiguous or malformed messages: refused with 400, and nothing of them reaches a backend."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backends.http1 import Http1Backend
from tests.support.backends.raw import RawBackend, answers
from tests.support.edge import Edge, open_edge
from tests.support.manifests import backend, exact_path, http_route, path_match, rule

HOST = "smuggling.example.com"
H = f"Host: {HOST}\r\n"

REFUSED = {
    "length and chunked": f"POST /x HTTP/1.1\r\n{H}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": f"POST /x HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": f"POST /x HTTP/1.1\r\n{H}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "list of lengths": f"POST /x HTTP/1.1\r\n{H}Content-Length: 5, 6\r\n\r\nhello!",
    "signed length": f"POST /x HTTP/1.1\r\n{H}Content-Length: +5\r\n\r\nhello",
    "negative length": f"POST /x HTTP/1.1\r\n{H}Content-Length: -5\r\n\r\nhello",
    "hexadecimal length": f"POST /x HTTP/1.1\r\n{H}Content-Length: 0x5\r\n\r\nhello",
    "length with a letter": f"POST /x HTTP/1.1\r\n{H}Content-Length: 5a\r\n\r\nhello",
    "empty length": f"POST /x HTTP/1.1\r\n{H}Content-Length:\r\n\r\n",
    "huge length": f"POST /x HTTP/1.1\r\n{H}Content-Length: 99999999999999999999999\r\n\r\n",
    "chunked twice": f"POST /x HTTP/1.1\r\n{H}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked not last": f"POST /x HTTP/1.1\r\n{H}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "gzip coding": f"POST /x HTTP/1.1\r\n{H}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "misspelt chunked": f"POST /x HTTP/1.1\r\n{H}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked in two fields": f"POST /x HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0",
    "vertical tab before chunked": f"POST /x HTTP/1.1\r\n{H}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked over HTTP/1.0": f"POST /x HTTP/1.0\r\n{H}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before colon": f"POST /x HTTP/1.1\r\n{H}Content-Length : 5\r\n\r\nhello",
    "tab before colon": f"POST /x HTTP/1.1\r\n{H}Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "folded line": f"GET /x HTTP/1.1\r\n{H}X-A: 1\r\n folded\r\n\r\n",
    "folded first line": f"GET /x HTTP/1.1\r\n X-A: 1\r\n{H}\r\n",
    "bare LF in the head": f"GET /x HTTP/1.1\n{H}\r\n",
    "bare LF between fields": f"GET /x HTTP/1.1\r\nX-A: 1\n{H}\r\n",
    "bare LF at the end": f"GET /x HTTP/1.1\r\n{H}\n",
    "bare CR in a value": f"GET /x HTTP/1.1\r\n{H}X-A: 1\rX-B: 2\r\n\r\n",
    "NUL in a value": f"GET /x HTTP/1.1\r\n{H}X-A: 1\x002\r\n\r\n",
    "NUL in a name": f"GET /x HTTP/1.1\r\n{H}X\x00A: 1\r\n\r\n",
    "control byte in the target": f"GET /x\x01y HTTP/1.1\r\n{H}\r\n",
    "space in the target": f"GET /x y HTTP/1.1\r\n{H}\r\n",
    "no colon": f"GET /x HTTP/1.1\r\n{H}nonsense\r\n\r\n",
    "empty field name": f"GET /x HTTP/1.1\r\n{H}: value\r\n\r\n",
    "no host": "GET /x HTTP/1.1\r\n\r\n",
    "two hosts": f"GET /x HTTP/1.1\r\n{H}Host: other.example.com\r\n\r\n",
    "the same host twice": f"GET /x HTTP/1.1\r\n{H}{H}\r\n",
    "host with a space": "GET /x HTTP/1.1\r\nHost: a b\r\n\r\n",
    "host with user": "GET /x HTTP/1.1\r\nHost: user@smuggling.example.com\r\n\r\n",
    "host with a path": "GET /x HTTP/1.1\r\nHost: smuggling.example.com/x\r\n\r\n",
    "bad method": f"G(T /x HTTP/1.1\r\n{H}\r\n",
    "no version": f"GET /x\r\n{H}\r\n",
    "version with a letter": f"GET /x HTTP/1.x\r\n{H}\r\n",
    "leading space": f" GET /x HTTP/1.1\r\n{H}\r\n",
    "encoded NUL": f"GET /x%00y HTTP/1.1\r\n{H}\r\n",
    "bad percent": f"GET /x%zz HTTP/1.1\r\n{H}\r\n",
    "encoded slash that makes a dot segment": f"GET /x/..%2fadmin HTTP/1.1\r\n{H}\r\n",
    "backslash dot segment": f"GET /x/..%5cadmin HTTP/1.1\r\n{H}\r\n",
    "target without a slash": f"GET x HTTP/1.1\r\n{H}\r\n",
}

BAD_CHUNKS = {
    "bare LF after the size": "5\nhello\r\n0\r\n\r\n",
    "bare LF after the data": "5\r\nhello\n0\r\n\r\n",
    "size with a sign": "+5\r\nhello\r\n0\r\n\r\n",
    "size with 0x": "0x5\r\nhello\r\n0\r\n\r\n",
    "size with a space in front": " 5\r\nhello\r\n0\r\n\r\n",
    "no size": "\r\nhello\r\n0\r\n\r\n",
    "size too large": "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "data longer than its size": "3\r\nhello\r\n0\r\n\r\n",
    "endless extension": "5;" + "x" * 200_000 + "\r\nhello\r\n0\r\n\r\n",
    "forbidden trailer": "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
    "malformed trailer": "5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
}

BAD_ANSWERS = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "bad status": b"HTTP/1.1 2x0 OK\r\n\r\n",
    "folded line": b"HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX-A: \x00\r\nContent-Length: 0\r\n\r\n",
    "unasked 101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
}


@pytest.fixture(scope="module")
def origin() -> Iterator[Http1Backend]:
    with Http1Backend() as server:
        yield server


@pytest.fixture(scope="module")
def edge(directory: Path, origin: Http1Backend) -> Iterator[Edge]:
    manifests = [
        *backend("origin", origin.port),
        http_route(
            "all",
            rule("origin"),
            rule("origin", matches=[exact_path("/admin")], filters=[_mark("admin")]),
            rule("origin", matches=[path_match("/public")], filters=[_mark("public")]),
            hosts=[HOST],
        ),
    ]
    with open_edge(directory, manifests) as running:
        yield running


def _mark(value: str) -> dict[str, object]:
    return {
        "type": "RequestHeaderModifier",
        "requestHeaderModifier": {"set": [{"name": "x-rule", "value": value}]},
    }


@pytest.mark.parametrize("name", REFUSED)
def test_a_malformed_request_is_refused_and_costs_its_connection(edge: Edge, origin: Http1Backend, name: str) -> None:
    before = len(origin.raw_heads)
    smuggled = f"GET /smuggled HTTP/1.1\r\n{H}\r\n"
    with edge.raw() as client:
        client.send(REFUSED[name], smuggled)
        answer = client.response()
        assert answer.status in {400, 505} if "version" in name else answer.status == 400
        assert client.closed_within(3), "a connection with an unclear end of message was kept"
    assert len(origin.raw_heads) == before, origin.raw_heads[before:]


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_malformed_body_never_arrives_as_a_whole_one(edge: Edge, origin: Http1Backend, name: str) -> None:
    tag = name.replace(" ", "-")
    with edge.raw() as client:
        head = f"POST /chunks HTTP/1.1\r\n{H}x-id: {tag}\r\nTransfer-Encoding: chunked\r\n\r\n"
        with contextlib.suppress(ConnectionError):
            client.send(head, BAD_CHUNKS[name], f"GET /smuggled HTTP/1.1\r\n{H}\r\n")
        data = client.read_to_end()
    assert not data or data.startswith(b"HTTP/1.1 400"), data[:100]
    time.sleep(0.05)
    assert not any(item.complete for item in origin.journal.where("x-id", tag))
    assert not any(item.path == "/smuggled" for item in origin.journal.received)


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_malformed_answer_of_a_backend_is_a_502(directory: Path, name: str) -> None:
    with RawBackend(answers(BAD_ANSWERS[name])) as raw:
        manifests = [*backend("bad", raw.port), http_route("bad", rule("bad"), hosts=[HOST])]
        with open_edge(directory / name.replace(" ", "-"), manifests) as edge, edge.raw() as client:
            assert client.request("GET", "/", host=HOST).status == 502


def test_bytes_behind_an_answer_are_not_taken_for_the_next_one(directory: Path) -> None:
    poisoned = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    with RawBackend(answers(poisoned, keep_open=5)) as raw:
        manifests = [*backend("poisoned", raw.port), http_route("poisoned", rule("poisoned"), hosts=[HOST])]
        with open_edge(directory / "poisoned", manifests, workers=1) as edge, edge.raw() as client:
            assert [client.request("GET", "/", host=HOST).body for _ in range(5)] == [b"ok"] * 5


def test_an_answer_to_a_head_request_has_no_body_to_confuse(directory: Path) -> None:
    with RawBackend(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", keep_open=5)) as raw:
        manifests = [*backend("head", raw.port), http_route("head", rule("head"), hosts=[HOST])]
        with open_edge(directory / "head", manifests, workers=1) as edge, edge.raw() as client:
            assert client.request("HEAD", "/", host=HOST).header("content-length") == "4"
            assert client.request("GET", "/", host=HOST).body == b"body"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/public/../admin", "admin"),
        ("/public/%2e%2e/admin", "admin"),
        ("/public/%2E%2E/admin", "admin"),
        ("/./admin", "admin"),
        ("//admin", "admin"),
        ("/public//../../admin", "admin"),
        ("/%61dmin", "admin"),
        ("/public/a%20b", "public"),
        ("/ADMIN", None),
    ],
)
def test_the_backend_sees_the_path_that_was_matched(edge: Edge, target: str, expected: str | None) -> None:
    with edge.raw() as client:
        answer = client.request("GET", target, host=HOST)
    assert answer.report.header("x-rule") == expected
    if expected == "admin":
        assert answer.report.path == "/admin"


@pytest.mark.parametrize("host", ["SMUGGLING.example.COM", "smuggling.example.com.", f"{HOST}:8080"])
def test_the_case_of_the_host_its_port_and_a_final_dot_do_not_matter(edge: Edge, host: str) -> None:
    with edge.raw() as client:
        assert client.request("GET", "/", host=host).status == 200


def test_a_body_of_identical_lengths_is_one_length_or_refused(edge: Edge) -> None:
    with edge.raw() as client:
        client.send(f"POST / HTTP/1.1\r\n{H}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello")
        answer = client.response()
    assert answer.status in {200, 400}
    if answer.status == 200:
        assert answer.report.body_bytes == 5
        assert len(answer.report.values("content-length")) <= 1
