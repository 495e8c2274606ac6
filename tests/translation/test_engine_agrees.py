"""What translation puts in a table, the engine takes; what the engine would refuse, translation finds first."""

from __future__ import annotations

import pytest

from controller.store import Snapshot
from controller.translate import translate
from gateway import _engine
from gateway.routing_table import wire
from gateway.routing_table.model import Snapshot as TableSnapshot
from tests.translation import golden


@pytest.mark.parametrize("name", golden.names())
def test_the_engine_refuses_nothing(name: str) -> None:
    case = golden.read(name)
    for table in translate(Snapshot(case.resources), case.options).tables.values():
        answer = wire.decode_applied(_engine.validate(wire.encode(TableSnapshot(version="1", resources=table))))
        assert answer.rejected == ()
        assert answer.error == ""


@pytest.mark.parametrize("pattern", ["/a(b", "*", "[", "("])
def test_patterns_that_do_not_compile_do_not_compile_in_the_engine(pattern: str) -> None:
    assert golden.regex_problem(pattern)
    assert _engine.regex_problem(pattern)


@pytest.mark.parametrize("pattern", ["/c/[0-9]+", "text/.*", "b.*", r"com\..*", "Get.*"])
def test_patterns_of_the_pairs_compile_in_the_engine(pattern: str) -> None:
    assert golden.regex_problem(pattern) is None
    assert _engine.regex_problem(pattern) is None
