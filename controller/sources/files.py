"""Which files hold manifests, and their text.

Owns the bounds on what is read from a disk: how many files, how large, of what kind. It must not look
inside of them. Names that start with a dot are passed over in folders: editors keep their own files
under them, and Kubernetes the versions of a mounted ConfigMap.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from controller.resources import Problem

MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_FILES = 20_000
SUFFIXES = (".yaml", ".yml", ".json")


class UnreadableFileError(Exception):
    """A file cannot be read; the text says why, and what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class Listing(msgspec.Struct, frozen=True):
    """The manifest files in order, and the folders (absolute) in which a change may add or remove one."""

    files: tuple[Path, ...]
    folders: frozenset[str]
    problems: tuple[Problem, ...]


def list_manifests(paths: Sequence[Path], *, without: Sequence[Path] = ()) -> Listing:
    """Find the files that ``paths`` name: files as they are, folders with all that is below them.

    Folders of ``without`` are passed over where they are below one of the paths.
    """
    passed_over = frozenset(os.path.realpath(folder) for folder in without)
    files: dict[str, Path] = {}
    folders: set[str] = set()
    problems: list[Problem] = []
    for path in paths:
        # Path.is_dir raises where a folder above may not be entered; to a reader, that is a missing file too.
        if os.path.isdir(path):  # noqa: PTH112
            for folder, found in _walk(path, passed_over, problems):
                folders.add(os.path.abspath(folder))  # noqa: PTH100  # without following links
                for identity, file in found:
                    files.setdefault(identity, file)
        else:
            folders.add(_existing(path))
            if os.path.exists(path):  # noqa: PTH110
                files.setdefault(os.path.realpath(path), path)
            else:
                remedy = "check the path; it is read as soon as it is there"
                problems.append(file_problem(path, "there is no such file or folder", remedy))
        if len(files) > MAX_FILES:
            remedy = "name a folder that holds manifests only"
            problems.append(file_problem(path, f"more than {MAX_FILES} manifest files; the rest is left out", remedy))
            break
    return Listing(tuple(files.values())[:MAX_FILES], frozenset(folders), tuple(problems))


def read_text(path: Path) -> str:
    """The text of a file; raises :class:`UnreadableFileError`."""
    try:
        # Opening a pipe would wait for its writer.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreadableFileError("it is not a regular file", "to read from a pipe, use -f - (standard input)")
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UnreadableFileError(f"it cannot be read: {reason}", "check that it exists and its permissions") from None
    return decode(content)


def decode(content: bytes) -> str:
    """The text of at most :data:`MAX_FILE_BYTES` in UTF-8; raises :class:`UnreadableFileError`."""
    if len(content) > MAX_FILE_BYTES:
        message = f"it is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB"
        raise UnreadableFileError(message, "split it into several files")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableFileError(f"it is not UTF-8 text (line {line})", "save it as UTF-8") from None


def _walk(
    root: Path, passed_over: frozenset[str], problems: list[Problem]
) -> Iterator[tuple[str, list[tuple[str, Path]]]]:
    """Each folder with its manifest files, in order, up to somewhat more than the bound.

    Links to files are followed, links to folders are not: they may lead in a circle.
    """
    count = 0
    waiting = [str(root)]
    while waiting and count <= 2 * MAX_FILES:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as listed:
                entries = sorted((entry for entry in listed if entry.name[0] != "."), key=lambda entry: entry.name)
        except OSError as error:
            message = f"the folder cannot be listed: {(error.strerror or str(error)).lower()}"
            problems.append(file_problem(Path(folder), message, "check its permissions"))
            continue
        real = os.path.realpath(folder)
        below = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        waiting.extend(entry.path for entry in reversed(below) if f"{real}/{entry.name}" not in passed_over)
        found = [
            (os.path.realpath(entry.path) if entry.is_symlink() else f"{real}/{entry.name}", Path(entry.path))
            for entry in entries
            if entry.name.lower().endswith(SUFFIXES) and not entry.is_dir()
        ]
        yield folder, found
        count += len(entries) + 1


def _existing(path: Path) -> str:
    """The nearest folder above ``path`` that exists."""
    folder = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):  # noqa: PTH112, PTH120
        folder = os.path.dirname(folder)  # noqa: PTH120
    return folder


def file_problem(path: Path, message: str, remedy: str) -> Problem:
    """What keeps a file or folder from being read."""
    return Problem(severity="error", message=message, remedy=remedy, place=str(path))
