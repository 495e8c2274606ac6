from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.agent.agent import Agent
from gateway.agent.persistence import FILE_NAME, TableFile
from gateway.errors import StateDirectoryError
from gateway.routing_table import wire
from gateway.routing_table.model import Resources, Snapshot
from tests.support import small_tables as tables
from tests.support.fake_engine import FakeEngine

SNAPSHOT = Snapshot(version="3", resources=tables.resources(certificates=(tables.certificate(),)))


def pieces(snapshot: Snapshot) -> list[bytes]:
    text = wire.encode(snapshot)
    return [text[:200], text[200:]]


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    file = TableFile(tmp_path)
    assert file.load().snapshot is None
    file.save(pieces(SNAPSHOT))
    loaded = file.load()
    assert (loaded.snapshot, loaded.problem) == (wire.encode(SNAPSHOT), "")


def test_a_new_directory_and_its_file_are_for_their_owner_alone(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        file = TableFile(tmp_path / "state")
        file.save(pieces(SNAPSHOT))
        file.save(pieces(SNAPSHOT))
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    for entry in (tmp_path / "state").iterdir():
        assert stat.S_IMODE(entry.stat().st_mode) == 0o600, entry


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-20] + b"x" * 20,
        lambda _: b"not a table at all\n",
        lambda content: content + b"tail",
    ],
    ids=["empty", "cut", "overwritten", "foreign", "grown"],
)
def test_a_damaged_file_is_moved_aside_and_said_and_the_gateway_starts_empty(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    file = TableFile(tmp_path)
    file.save(pieces(SNAPSHOT))
    file.path.write_bytes(damage(file.path.read_bytes()))

    loaded = file.load()

    assert loaded.snapshot is None
    assert str(file.path) in loaded.problem
    assert "starting empty" in loaded.problem
    assert "nobody-may-see-this" not in loaded.problem
    assert not file.path.exists()
    assert (tmp_path / "table.corrupt").exists()


def test_one_bad_resource_in_the_file_costs_itself_alone(tmp_path: Path) -> None:
    file = TableFile(tmp_path)
    bad = tables.route("bad", "no-slash")
    file.save(pieces(Snapshot(version="1", resources=tables.resources(tables.route(), bad))))
    file.close()

    engine = FakeEngine()
    agent = Agent(engine, TableFile(tmp_path), lambda: 0.0)
    agent.restore()

    assert [item.key for item in agent.state.rejected] == [bad.key]
    assert agent.table.routes == (tables.route(),)


def test_a_file_that_the_engine_refuses_is_moved_aside(tmp_path: Path) -> None:
    file = TableFile(tmp_path)
    file.save([b'{"type":"snapshot","format":99,"version":"1","resources":{}}'])
    file.close()

    agent = Agent(FakeEngine(), TableFile(tmp_path), lambda: 0.0)

    assert "format 99" in agent.restore()
    assert not agent.state.loaded
    assert (tmp_path / "table.corrupt").exists()


def test_two_processes_never_share_a_directory(tmp_path: Path) -> None:
    first = TableFile(tmp_path)
    with pytest.raises(StateDirectoryError, match="another running gateway"):
        TableFile(tmp_path)
    first.close()
    TableFile(tmp_path).close()


def test_a_directory_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateDirectoryError, match="--state-dir"):
        TableFile(tmp_path / "file" / "state")


def test_a_write_that_is_cut_short_leaves_the_previous_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = TableFile(tmp_path)
    file.save(pieces(SNAPSHOT))

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        file.save(pieces(Snapshot(version="4", resources=Resources())))
    monkeypatch.undo()

    assert file.load().snapshot == wire.encode(SNAPSHOT)
    assert file.path.name == FILE_NAME
