"""Over random tables and requests, what `explain` says is what the engine did.

Every route answers with a redirect to a host of its own name, so the answer to a real request tells
which route took it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway._engine import Engine, explain
from gateway.routing_table import model
from tests.support.clients.http2 import Http2Client, Http2Response
from tests.support.clients.raw import RawClient, RawResponse
from tests.support.ports import free_port
from tests.support.tables import Question, questions, tables

FIRST, SECOND = free_port(), free_port()


def listener(name: str, port: int, hostname: str = "") -> model.Listener:
    return model.Listener(
        key=f"default/edge/{name}",
        gateway="default/edge",
        address="127.0.0.1",
        port=port,
        bind_port=port,
        protocol="HTTP",
        hostname=hostname,
    )


LISTENERS = (
    listener("any", FIRST),
    listener("wildcard", FIRST, "*.a.test"),
    listener("exact", FIRST, "x.a.test"),
    listener("alone", SECOND, "*.test"),
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    running = Engine(json.dumps({"workers": 1, "access_log": "none"}).encode())
    yield running
    running.close()


_versions = iter(range(1, 1_000_000))


def snapshot_of(table: model.Resources) -> bytes:
    return msgspec.json.encode(model.Snapshot(version=str(next(_versions)), resources=table))


def apply(engine: Engine, snapshot: bytes) -> None:
    applied = msgspec.json.decode(engine.apply(snapshot), type=model.Applied)
    assert not applied.error
    assert not applied.rejected
    assert all(state.bound for state in applied.listeners), applied.listeners


def asked(question: Question, port: int) -> bytes:
    url = f"http://{question.host}:{port}{question.target}"
    return json.dumps({"method": question.method, "url": url, "headers": question.headers, "from": ""}).encode()


def route_of(answer: RawResponse | Http2Response) -> str | None:
    """The object whose redirect this is; ``None`` for a 404, also in gRPC's words."""
    if answer.status == 302:
        location = answer.header("location") or ""
        return "default/" + location.removeprefix("http://").partition(".test")[0]
    assert answer.status == 404 or answer.header("grpc-status") == "12", answer
    return None


def over_http1(client: RawClient, question: Question) -> str | None:
    lines = [f"{name}: {value}" for name, value in question.headers]
    if question.method in {"POST", "PUT"}:
        lines.append("content-length: 0")
    return route_of(client.request(question.method, question.target, *lines, host=question.host))


def over_http2(client: Http2Client, question: Question) -> str | None:
    return route_of(
        client.request(question.target, host=question.host, method=question.method, headers=question.headers)
    )


@settings(max_examples=max(150, settings().max_examples))
@given(data=st.data())
def test_explain_says_what_the_engine_does(engine: Engine, data: st.DataObject) -> None:
    snapshot = snapshot_of(data.draw(tables(LISTENERS), label="table"))
    apply(engine, snapshot)
    asks = data.draw(st.lists(questions(), min_size=1, max_size=12), label="requests")
    port = data.draw(st.sampled_from((FIRST, SECOND)), label="port")
    with RawClient(port) as one, Http2Client(port) as two:
        for question in asks:
            live = json.loads(engine.explain(asked(question, port)))
            offline = json.loads(explain(snapshot, asked(question, port)))
            assert live == offline, "the live table and the same table offline explain differently"
            said = "/".join(live["route"].split("/")[1:3]) if live["decision"] == "route" else None
            assert over_http1(one, question) == said, (question, live)
            assert over_http2(two, question) == said, (question, live)


@settings(max_examples=max(60, settings().max_examples))
@given(table=tables(LISTENERS), question=questions())
def test_candidates_before_the_chosen_route_all_failed(table: model.Resources, question: Question) -> None:
    answer = json.loads(explain(snapshot_of(table), asked(question, FIRST)))
    tried = answer["candidates"]
    matched = [candidate for candidate in tried if candidate["matched"]]
    if answer["decision"] == "route":
        assert len(matched) == 1
        assert matched[0]["route"] == answer["route"]
        assert tried[-1] == matched[0], "candidates were tried after the one that matched"
    else:
        assert not matched
    for candidate in tried:
        assert candidate["matched"] is (candidate["failed"] is None)
