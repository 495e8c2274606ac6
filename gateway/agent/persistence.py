"""The last good table on disk, so that a restart serves traffic before any controller answers.

Owns one file in the state directory. It holds private keys: the directory is made 0700, the file
is 0600, and its content goes nowhere else. A write is whole or absent (temporary file, fsync,
rename, fsync of the directory); a file that cannot be read is moved aside and reported, and the
gateway starts empty.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gateway.errors import StateDirectoryError

FILE_NAME: Final = "table.json"
_LOCK_NAME: Final = "lock"
_PRIVATE_FILE: Final = 0o600
_PRIVATE_DIRECTORY: Final = 0o700
_HEADER_BYTES: Final = 128
"""Of the first line, its end included; what the header leaves of it is blank."""


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """First line of the file: what proves that the rest is what was written."""

    sha256: str
    length: int


@dataclass(frozen=True)
class Loaded:
    """What was found at start. ``problem`` is for people and says what became of a bad file."""

    snapshot: bytes | None = None
    """As it is on the wire."""
    problem: str = ""


class TableFile:
    """The table file of one state directory, held by one process at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / FILE_NAME
        self._lock = self._take_directory()

    @property
    def path(self) -> Path:
        """Where the table is kept."""
        return self._path

    def _take_directory(self) -> int:
        try:
            self._directory.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            lock = os.open(self._directory / _LOCK_NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, _PRIVATE_FILE)
        except OSError as error:
            raise StateDirectoryError(
                f"state directory {self._directory} cannot be used: {error.strerror}",
                "choose another with --state-dir, or fix its owner and permissions",
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise StateDirectoryError(
                f"state directory {self._directory} is used by another running gateway",
                "stop that one, or choose another directory with --state-dir",
            ) from error
        return lock

    def close(self) -> None:
        """Lets another process use the directory."""
        os.close(self._lock)

    def load(self) -> Loaded:
        """The table of the last run, if there is one that can be read."""
        try:
            with self._path.open("rb") as file:
                first = file.readline(_HEADER_BYTES)
                body = file.read()
        except FileNotFoundError:
            return Loaded()
        except OSError as error:
            return Loaded(problem=f"the last table in {self._path} cannot be read: {error.strerror}; starting empty")
        try:
            _verify(first, body)
        except ValueError as error:
            return Loaded(problem=self.set_aside(str(error)))
        return Loaded(snapshot=body)

    def set_aside(self, cause: str) -> str:
        """Moves a file that is of no use out of the way; what to tell people."""
        aside = self._path.with_suffix(".corrupt")
        try:
            self._path.replace(aside)
        except OSError as error:
            return f"the last table in {self._path} is damaged ({cause}) and cannot be moved: {error.strerror}"
        return f"the last table in {self._path} is damaged ({cause}); kept as {aside.name}, starting empty"

    def save(self, pieces: Iterable[bytes]) -> None:
        """Replaces the stored table, a wire snapshot, by these pieces of one; returns once it is on the disk."""
        temporary = self._path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _PRIVATE_FILE)
        digest, length = hashlib.sha256(), 0
        with os.fdopen(descriptor, "wb") as file:
            # The first line is known when the rest is written.
            file.write(b" " * (_HEADER_BYTES - 1) + b"\n")
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                length += len(piece)
            file.seek(0)
            file.write(msgspec.json.encode(_Header(sha256=digest.hexdigest(), length=length)))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        self._sync_directory()

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _verify(first: bytes, body: bytes) -> None:
    try:
        header = msgspec.json.decode(first, type=_Header)
    except msgspec.DecodeError as error:
        raise ValueError("its first line is not the header of a table file") from error
    if len(body) != header.length:
        raise ValueError(f"it holds {len(body)} bytes of {header.length}")
    if hashlib.sha256(body).hexdigest() != header.sha256:
        raise ValueError("its checksum does not match")
