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
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gateway.errors import StateDirectoryError
from gateway.routing_table import wire
from gateway.routing_table.model import Rejection, Snapshot

FILE_NAME: Final = "table.json"
_LOCK_NAME: Final = "lock"
_PRIVATE_FILE: Final = 0o600
_PRIVATE_DIRECTORY: Final = 0o700


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """First line of the file: what proves that the rest is what was written."""

    sha256: str
    length: int


@dataclass(frozen=True)
class Loaded:
    """What was found at start. ``problem`` is for people and says what became of a bad file."""

    snapshot: Snapshot | None = None
    rejected: tuple[Rejection, ...] = ()
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
            content = self._path.read_bytes()
        except FileNotFoundError:
            return Loaded()
        except OSError as error:
            return Loaded(problem=f"the last table in {self._path} cannot be read: {error.strerror}; starting empty")
        try:
            update, rejected = wire.decode_update(_verified(content))
        except (wire.WireError, ValueError) as error:
            return Loaded(problem=self._set_aside(str(error)))
        if not isinstance(update, Snapshot):
            return Loaded(problem=self._set_aside("it holds no snapshot"))
        return Loaded(snapshot=update, rejected=rejected)

    def _set_aside(self, cause: str) -> str:
        aside = self._path.with_suffix(".corrupt")
        try:
            self._path.replace(aside)
        except OSError as error:
            return f"the last table in {self._path} is damaged ({cause}) and cannot be moved: {error.strerror}"
        return f"the last table in {self._path} is damaged ({cause}); kept as {aside.name}, starting empty"

    def save(self, snapshot: Snapshot) -> None:
        """Replaces the stored table; returns once it is on the disk."""
        body = wire.encode(snapshot)
        header = msgspec.json.encode(_Header(sha256=hashlib.sha256(body).hexdigest(), length=len(body)))
        temporary = self._path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _PRIVATE_FILE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(header + b"\n" + body)
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


def _verified(content: bytes) -> bytes:
    first, _, body = content.partition(b"\n")
    try:
        header = msgspec.json.decode(first, type=_Header)
    except msgspec.DecodeError as error:
        raise ValueError("its first line is not the header of a table file") from error
    if len(body) != header.length:
        raise ValueError(f"it holds {len(body)} bytes of {header.length}")
    if hashlib.sha256(body).hexdigest() != header.sha256:
        raise ValueError("its checksum does not match")
    return body
