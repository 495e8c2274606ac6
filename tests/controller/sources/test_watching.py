"""Changes of files are told as they happen."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.resources import ConfigMap
from controller.sources import Change, ManifestSource
from tests.controller.sources.folder import Folder, config_map, key

WITHIN_SECONDS = 20


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "manifests")


class Watch:
    """The changes of a source, waited for one by one."""

    def __init__(self, changes: AsyncIterator[Change]) -> None:
        self._changes = changes
        self._state: dict[str, str] = {}

    async def until(self, expected: dict[str, str]) -> None:
        """Wait until the objects are those. One edit may come in several changes."""
        async with asyncio.timeout(WITHIN_SECONDS):
            while self._state != expected:
                self.take(await anext(self._changes))

    def take(self, change: Change) -> None:
        for deleted in change.deletes:
            del self._state[deleted.name]
        for item in change.upserts:
            assert isinstance(item, ConfigMap)
            self._state[item.metadata.name] = item.data["text"]


@contextlib.asynccontextmanager
async def watching(source: ManifestSource) -> AsyncIterator[Watch]:
    first = source.load()
    async with contextlib.aclosing(source.changes()) as changes:
        watch = Watch(changes)
        watch.take(first)
        yield watch


async def test_edits_additions_and_removals(folder: Folder) -> None:
    folder.write("a.yaml", config_map("a"))
    async with watching(folder.source()) as watch:
        await watch.until({"a": "x"})
        folder.write("a.yaml", config_map("a", "y"))
        await watch.until({"a": "y"})
        folder.write("b.yml", config_map("b"))
        await watch.until({"a": "y", "b": "x"})
        folder.remove("a.yaml")
        await watch.until({"b": "x"})


async def test_what_changes_before_the_watch_begins_is_not_lost(folder: Folder) -> None:
    folder.write("a.yaml", config_map("a"))
    source = folder.source()
    source.load()
    folder.write("b.yaml", config_map("b"))
    folder.remove("a.yaml")
    async with asyncio.timeout(WITHIN_SECONDS), contextlib.aclosing(source.changes()) as changes:
        change = await anext(changes)
    assert [item.metadata.name for item in change.upserts] == ["b"]
    assert change.deletes == (key("a"),)


async def test_editors_that_write_another_file_and_rename_it(folder: Folder) -> None:
    path = folder.write("a.yaml", config_map("a"))
    async with watching(ManifestSource([path])) as watch:
        for text in ("y", "z"):
            folder.write(".a.yaml.swp", config_map("a", text)).rename(path)
            await watch.until({"a": text})


async def test_folders_that_come_later(folder: Folder) -> None:
    folder.write("a.yaml", config_map("a"))
    async with watching(folder.source()) as watch:
        folder.write("new/deep/b.yaml", config_map("b"))
        await watch.until({"a": "x", "b": "x"})
        folder.write("new/deep/b.yaml", config_map("b", "y"))
        await watch.until({"a": "x", "b": "y"})


async def test_a_folder_that_is_not_there_at_first(folder: Folder) -> None:
    folder.root.parent.mkdir(exist_ok=True)
    async with watching(ManifestSource([folder.root / "sub"])) as watch:
        folder.write("sub/a.yaml", config_map("a"))
        await watch.until({"a": "x"})


async def test_a_folder_that_goes_and_comes_back(folder: Folder) -> None:
    folder.write("sub/a.yaml", config_map("a"))
    folder.write("b.yaml", config_map("b"))
    async with watching(folder.source()) as watch:
        shutil.rmtree(folder.root / "sub")
        await watch.until({"b": "x"})
        folder.write("sub/a.yaml", config_map("a", "y"))
        await watch.until({"a": "y", "b": "x"})
        shutil.rmtree(folder.root / "sub")
        folder.write("sub/a.yaml", config_map("a", "z"))
        await watch.until({"a": "z", "b": "x"})
        folder.write("sub/a.yaml", config_map("a", "again"))
        await watch.until({"a": "again", "b": "x"})


async def test_the_whole_folder_may_go_and_come_back(folder: Folder) -> None:
    folder.write("a.yaml", config_map("a"))
    async with watching(folder.source()) as watch:
        shutil.rmtree(folder.root)
        await watch.until({})
        folder.write("a.yaml", config_map("a", "y"))
        await watch.until({"a": "y"})


async def test_a_mounted_config_map_is_swapped_at_once(folder: Folder) -> None:
    """Kubernetes writes a new hidden folder and turns one link to it."""
    folder.write("..1/a.yaml", config_map("a"))
    (folder.root / "..data").symlink_to("..1")
    (folder.root / "a.yaml").symlink_to("..data/a.yaml")
    async with watching(folder.source()) as watch:
        await watch.until({"a": "x"})
        folder.write("..2/a.yaml", config_map("a", "y"))
        (folder.root / "..data_tmp").symlink_to("..2")
        (folder.root / "..data_tmp").rename(folder.root / "..data")
        await watch.until({"a": "y"})


async def test_a_fault_is_told_and_taken_back(folder: Folder) -> None:
    folder.write("a.yaml", config_map("a"))
    source = folder.source()
    source.load()
    async with asyncio.timeout(WITHIN_SECONDS), contextlib.aclosing(source.changes()) as changes:
        folder.write("a.yaml", "kind: [")
        change = await anext(changes)
        assert [problem.severity for problem in change.problems] == ["error"]
        assert (change.upserts, change.deletes) == ((), ())
        folder.write("a.yaml", config_map("a"))
        assert await anext(changes) == Change()


async def test_one_edit_is_told_soon(folder: Folder) -> None:
    folder.write("a.yaml", config_map("a"))
    async with watching(folder.source()) as watch:
        folder.write("a.yaml", config_map("a", "first"))
        await watch.until({"a": "first"})
        loop = asyncio.get_running_loop()
        times = []
        for text in "bcdef":
            started = loop.time()
            folder.write("a.yaml", config_map("a", text))
            await watch.until({"a": text})
            times.append(loop.time() - started)
        assert min(times) < 0.5


async def test_watching_ends_when_it_is_cancelled(folder: Folder) -> None:
    folder.write("a.yaml", config_map("a"))
    for source in (folder.source(), ManifestSource([])):
        source.load()

        async def follow(followed: ManifestSource) -> None:
            async for _ in followed.changes():
                pass

        task = asyncio.create_task(follow(source))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(task), 0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(WITHIN_SECONDS):
                await task
