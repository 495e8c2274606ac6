"""Objects from manifest files: read, kept, compared, and watched.

Owns what a set of files means as a whole. The first object of a name wins, in the order of the files.
What cannot be read or used keeps the objects it last defined, as an API server keeps an object whose
edit it refuses; only text that can be read, and lacks an object, removes it.

Files are looked at again when their folder tells of a change. A slow look at all of them stands behind
that, for file systems that tell nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
import watchfiles

from controller.resources import Problem, Resource
from controller.sources.files import (
    MAX_FILE_BYTES,
    UnreadableFileError,
    decode,
    file_problem,
    list_manifests,
    read_text,
)
from controller.sources.reading import EMPTY, Placed, Reading, read_manifest
from controller.sources.source import Change
from controller.store import Key

STANDARD_INPUT = "-"
QUIET_MS = 20
"""Changes are read once nothing more has changed for this long."""

_LONGEST_WAIT_MS = 1_000
_TICK_MS = 250
_TICKS_BETWEEN_LOOKS = 40
_SETTLED_SECONDS = 2.0
"""A file written more recently than this may change again without its time of change telling."""


class _Seen(msgspec.Struct, frozen=True):
    """A file as it was last looked at. ``signature`` is None while it may still be written."""

    signature: tuple[int, int, int] | None
    reading: Reading
    objects: tuple[Placed, ...]
    """What it stands for: what was read, and what is kept from before."""
    problems: tuple[Problem, ...]


_UNSEEN = _Seen(None, EMPTY, (), ())


class ManifestSource:
    """The objects in files, folders and the standard input (``-``)."""

    def __init__(
        self,
        paths: Sequence[str | Path],
        *,
        without: Sequence[Path] = (),
        stdin: BinaryIO | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Read from ``paths``, in that order, passing over the folders ``without``.

        ``now`` is the clock that the files are dated by.
        """
        self._paths = [Path(path) for path in paths if str(path) != STANDARD_INPUT]
        self._reads_input = len(self._paths) != len(paths)
        self._without = tuple(without)
        self._stdin = stdin
        self._now = now
        self._input = _UNSEEN
        self._files: dict[Path, _Seen] = {}
        self._folders: frozenset[str] = frozenset()
        self._objects: dict[Key, Resource] = {}
        self._problems: tuple[Problem, ...] = ()

    def load(self) -> Change:
        """Everything there is; the standard input is read to its end, once."""
        if self._reads_input and self._input is _UNSEEN:
            self._input = self._read_input()
        self.reload()
        return Change(tuple(self._objects.values()), (), self._problems)

    async def changes(self) -> AsyncGenerator[Change, None]:
        """What changes after :meth:`load`, without end."""
        while True:
            watched = self._folders
            async with contextlib.aclosing(_signals(watched)) as signals:
                async for due in signals:
                    if not (due or self._unsettled()):
                        continue
                    change = await asyncio.to_thread(self.reload)
                    if change is not None:
                        yield change
                    if self._folders != watched:
                        break

    def places(self) -> dict[Key, str]:
        """Where each object that is used stands: ``file:line``."""
        places: dict[Key, str] = {}
        for seen in (self._input, *self._files.values()):
            for placed in seen.objects:
                places.setdefault(placed.key, placed.place)
        return places

    def _unsettled(self) -> bool:
        return any(seen.signature is None for seen in self._files.values())

    def reload(self) -> Change | None:
        """Look at every file again; None if nothing changed."""
        listing = list_manifests(self._paths, without=self._without)
        before = self._files
        self._files = {path: self._look_at(path, before.get(path, _UNSEEN)) for path in listing.files}
        self._folders = listing.folders
        objects, duplicates = _merge([self._input, *self._files.values()])
        problems = [*listing.problems, *self._input.problems]
        problems += [problem for seen in self._files.values() for problem in seen.problems]
        return self._update(objects, (*problems, *duplicates))

    def _update(self, objects: dict[Key, Resource], problems: tuple[Problem, ...]) -> Change | None:
        before = self._objects
        others = ((key, resource) for key, resource in objects.items() if before.get(key) is not resource)
        upserts = tuple(resource for key, resource in others if before.get(key) != resource)
        deletes = tuple(key for key in before if key not in objects)
        changed = bool(upserts or deletes or problems != self._problems)
        self._objects, self._problems = objects, problems
        return Change(upserts, deletes, problems) if changed else None

    def _look_at(self, path: Path, seen: _Seen) -> _Seen:
        signature, age = self._signature(path)
        if signature is not None and signature == seen.signature:
            return seen
        settled = signature if abs(age) > _SETTLED_SECONDS else None
        try:
            text = read_text(path)
        except UnreadableFileError as error:
            return _kept(seen, path, error, settled)
        if not text and seen.objects and settled is None:
            # Most programs empty a file before they write it: its objects are not gone yet.
            return msgspec.structs.replace(seen, signature=None)
        return _taken(read_manifest(text, name=str(path), previous=seen.reading), seen, settled)

    def _signature(self, path: Path) -> tuple[tuple[int, int, int] | None, float]:
        """What tells two versions of a file apart, and the seconds since it was written."""
        try:
            found = path.stat()
        except OSError:
            return None, 0.0
        return (found.st_mtime_ns, found.st_size, found.st_ino), self._now() - found.st_mtime

    def _read_input(self) -> _Seen:
        stream = self._stdin or sys.stdin.buffer
        try:
            text = decode(stream.read(MAX_FILE_BYTES + 1))
        except (UnreadableFileError, OSError) as error:
            if isinstance(error, OSError):
                error = UnreadableFileError("it cannot be read", "give the manifests on the standard input")
            return _kept(_UNSEEN, Path("stdin"), error, None)
        return _taken(read_manifest(text, name="stdin"), _UNSEEN, None)


async def _signals(folders: frozenset[str]) -> AsyncGenerator[bool, None]:
    """Tell, again and again, whether the files may have changed. Ends when the folders must be watched anew."""
    if not folders:
        await asyncio.Event().wait()
    ticks = 0
    watcher = watchfiles.awatch(
        *folders,
        watch_filter=None,
        recursive=False,
        step=QUIET_MS,
        debounce=_LONGEST_WAIT_MS,
        rust_timeout=_TICK_MS,
        yield_on_timeout=True,
    )
    async with contextlib.aclosing(watcher):
        try:
            async for events in watcher:
                # The first look of all catches what changed before the watch began.
                yield bool(events) or ticks % _TICKS_BETWEEN_LOOKS == 0
                ticks += 1
                # A folder that went and came back is another folder: the watch on the old one tells nothing.
                if any(path in folders and kind is not watchfiles.Change.modified for kind, path in events):
                    return
        except (OSError, RuntimeError):
            await asyncio.sleep(_LONGEST_WAIT_MS / 1000)
            yield True


def _taken(reading: Reading, seen: _Seen, signature: tuple[int, int, int] | None) -> _Seen:
    """The objects of a reading, and those of before that it neither has nor lets go."""
    present = {placed.key for placed in reading.objects}
    held = [
        placed
        for placed in seen.objects
        if placed.key not in present and (reading.faulty or placed.key in reading.unusable)
    ]
    return _Seen(signature, reading, (*reading.objects, *held), reading.problems)


def _kept(seen: _Seen, path: Path, error: UnreadableFileError, signature: tuple[int, int, int] | None) -> _Seen:
    problem = file_problem(path, error.message, error.remedy)
    return msgspec.structs.replace(seen, signature=signature, problems=(problem,))


def _merge(files: Sequence[_Seen]) -> tuple[dict[Key, Resource], list[Problem]]:
    """The first object of each name, and a problem for each later one."""
    first: dict[Key, Placed] = {}
    problems: list[Problem] = []
    for seen in files:
        for placed in seen.objects:
            winner = first.setdefault(placed.key, placed)
            if winner is not placed:
                problems.append(
                    Problem(
                        severity="error",
                        message=f"it is defined twice; the one at {winner.place} is used",
                        remedy="remove or rename one of the two",
                        object=str(placed.key),
                        place=placed.place,
                    )
                )
    return {key: placed.resource for key, placed in first.items()}, problems
