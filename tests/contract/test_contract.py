"""The cases of this folder, which the engine decodes too: both sides must judge every one alike."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from gateway import _engine
from gateway.routing_table import validate, wire
from gateway.routing_table.model import Delta, Resources, Snapshot
from gateway.routing_table.reasons import FLAGS

FOLDER = Path(__file__).parent


class Rejected(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    kind: str
    key: str


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    update: msgspec.Raw
    accepted: bool
    rejected: tuple[Rejected, ...]


CASES = [
    pytest.param(case, id=f"{file.stem}: {case.name}")
    for file in sorted(FOLDER.glob("*.json"))
    for case in msgspec.json.decode(file.read_bytes(), type=list[Case])
]


def judged(update: bytes) -> tuple[bool, list[Rejected]]:
    """What a reader with an empty table accepts of a message, and what it refuses."""
    try:
        message, rejected = wire.decode_update(update)
    except wire.WireError:
        return False, []
    match message:
        case Snapshot():
            table = message.resources
        case Delta():
            table = wire.apply_delta(Resources(), message)
    refused = sorted(Rejected(item.kind, item.key) for item in (*rejected, *validate.dangling(table)))
    return not refused, refused


@pytest.mark.parametrize("case", CASES)
def test_python_judges_the_case_as_written(case: Case) -> None:
    assert judged(bytes(case.update)) == (case.accepted, sorted(case.rejected))


def test_no_case_is_lost() -> None:
    assert len(CASES) > 250


@pytest.mark.parametrize("case", [param for param in CASES if param.values[0].accepted])  # type: ignore[union-attr]
def test_what_is_accepted_reads_the_same_once_written_again(case: Case) -> None:
    message, _ = wire.decode_update(bytes(case.update))
    again, rejected = wire.decode_update(wire.encode(message))
    assert again == message
    assert rejected == ()


def test_reason_codes_and_flags_are_the_engine_s() -> None:
    assert json.loads(_engine.reasons()) == {str(reason): flags for reason, flags in FLAGS.items()}


@pytest.mark.parametrize("case", CASES)
def test_the_engine_gives_a_table_out_as_it_took_it(case: Case) -> None:
    engine = _engine.Engine(b'{"workers":1,"access_log":"none"}')
    try:
        engine.apply(wire.encode(Snapshot(version="0", resources=Resources())))
        applied = wire.decode_applied(engine.apply(bytes(case.update)))
        if applied.error or applied.rejected:
            return
        message, _ = wire.decode_update(bytes(case.update))
        sent = message.resources if isinstance(message, Snapshot) else message.upsert
        held = wire.decode_snapshot(engine.snapshot(tuple(wire.KINDS)))
        for kind in wire.KINDS:
            assert wire.by_key(held, kind) == wire.by_key(sent, kind)
        assert json.loads(engine.counts()) == {kind: len(getattr(held, kind)) for kind in wire.KINDS}
    finally:
        engine.close()
