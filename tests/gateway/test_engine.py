"""The engine's Python border: what it takes, what it refuses and how."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway import _engine

EMPTY = b'{"type":"snapshot","format":1,"version":"1","resources":{}}'


@pytest.fixture
def engine() -> Iterator[_engine.Engine]:
    engine = _engine.Engine(b'{"workers":1,"access_log":"none"}')
    yield engine
    engine.close()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (b"", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"[]", "cannot be read"),
        (b'[1,"none"]', "cannot be read"),
        (b'{"workers":"two"}', "expected usize"),
        (b'{"workers":-1}', "expected usize"),
        (b'{"workers":0}', "not between 1 and"),
        (b'{"workers":100000}', "not between 1 and"),
        (b'{"workers":1,"worker":2}', "unknown field `worker`"),
        (b'{"workers":1,"access_log":"/no/such/directory/access.log"}', "/no/such/directory/access.log"),
    ],
)
def test_unusable_options_are_value_errors(options: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        _engine.Engine(options)


def test_an_update_is_answered_with_its_version(engine: _engine.Engine) -> None:
    assert json.loads(engine.apply(EMPTY)) == {"version": "1", "rejected": [], "listeners": []}


@pytest.mark.parametrize("update", [b"", b"\x00", b"[]", b'{"type":"nonsense"}', b'{"type":"snapshot","format":99}'])
def test_an_unreadable_update_is_refused_in_the_answer_and_changes_nothing(
    engine: _engine.Engine, update: bytes
) -> None:
    engine.apply(EMPTY)
    applied = json.loads(engine.apply(update))
    assert applied["version"] == "1"
    assert applied["error"]


@pytest.mark.parametrize(
    "question", [b"", b"\xff", b"{}", b'{"method":"GET","url":"nonsense"}', b'{"method":"GET","url":7}']
)
def test_an_unreadable_question_is_a_value_error(engine: _engine.Engine, question: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        engine.explain(question)
    with pytest.raises(ValueError, match=r"\w"):
        _engine.explain(EMPTY, question)


def test_an_unreadable_snapshot_to_explain_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="routing table"):
        _engine.explain(b"nonsense", b'{"method":"GET","url":"http://a.test/"}')


def test_validation_answers_without_an_engine() -> None:
    assert json.loads(_engine.validate(EMPTY))["rejected"] == []
    assert json.loads(_engine.validate(b"nonsense"))["error"]


def test_a_closed_engine_says_so_and_may_be_drained_and_closed_again(engine: _engine.Engine) -> None:
    engine.drain()
    engine.close()
    engine.close()
    engine.drain()
    assert engine.active() == 0
    calls: list[Callable[[], bytes]] = [lambda: engine.apply(EMPTY), engine.statistics, lambda: engine.explain(b"{}")]
    for call in calls:
        with pytest.raises(RuntimeError, match="the engine is closed"):
            call()


def test_many_threads_may_call_at_once(engine: _engine.Engine) -> None:
    def call(_: int) -> bytes:
        engine.apply(EMPTY)
        return engine.statistics()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(call, range(64)))
    assert {json.loads(answer)["workers"] for answer in answers} == {1}


def test_a_regular_expression_is_judged_by_the_engine_that_runs_it() -> None:
    assert _engine.regex_problem("/v[0-9]+/.*") is None
    assert "unclosed" in str(_engine.regex_problem("(a"))
    assert _engine.regex_problem("(?=a)b") is not None
    assert "1024" in str(_engine.regex_problem("a" * 5000))
    assert _engine.regex_problem("(((a{100}){100}){100}){100}") is not None
