"""The authority in a directory, for standalone: read, made at the first start, written, followed while it runs.

A key and its certificates are one file, so that each is replaced in one step; the steps are in an order in which a
crash at any point leaves an authority that is trusted by all who trusted it before. The directory is for its owner
alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import fcntl
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from controller.ca.authority import Authority
from controller.ca.material import (
    CERTIFICATE,
    DENIED,
    NEXT_CERTIFICATE,
    NEXT_PRIVATE_KEY,
    PREVIOUS,
    PRIVATE_KEY,
    Material,
)
from controller.ca.root import AuthorityError, Root, split_pem

SIGNING_FILE: Final = "ca.pem"
"""The private key, and the certificates in the order in which an authority reads them."""
NEXT_FILE: Final = "next.pem"
PREVIOUS_FILE: Final = PREVIOUS
DENIED_FILE: Final = DENIED
_LOCK_FILE: Final = "lock"
_LIFETIME_FILE: Final = "certificate-lifetime"
_USUAL_LIFETIME: Final = datetime.timedelta(days=1)
_MOST_BYTES: Final = 4 * 1024 * 1024
_LOOK_SECONDS: Final = 1.0

Now = Callable[[], datetime.datetime]

logger = logging.getLogger(__name__)


class AuthorityDirectory:
    """One directory. Several processes may use it: the server that reads, commands that write."""

    def __init__(self, path: Path, now: Now) -> None:
        self.path = path
        self._now = now

    def load_or_create(self) -> Material:
        """What is kept; a new root where there is nothing yet. Raises :class:`AuthorityError`."""
        with self.locked():
            if not (self.path / SIGNING_FILE).exists():
                self.write(SIGNING_FILE, _signing_text(Root.create(self._now())))
                logger.warning("a new root was made: %s", self.path / SIGNING_FILE)
            return self.read()

    def read(self) -> Material:
        """What is kept now; raises :class:`AuthorityError`."""
        certificates, key = self._pair(SIGNING_FILE)
        next_certificates, next_key = self._pair(NEXT_FILE)
        texts = {
            CERTIFICATE: certificates,
            PRIVATE_KEY: key,
            NEXT_CERTIFICATE: next_certificates,
            NEXT_PRIVATE_KEY: next_key,
            PREVIOUS: self.text(PREVIOUS_FILE),
            DENIED: self.text(DENIED_FILE),
        }
        if not (certificates.strip() and key):
            raise AuthorityError(f"{self.path / SIGNING_FILE} does not hold a private key and its certificates in PEM")
        try:
            return Material.parse(texts, self._now())
        except AuthorityError as error:
            raise AuthorityError(f"{self.path}: {error}") from error

    def save(self, material: Material) -> None:
        """Keeps all of it. Hold :meth:`locked` from reading what it was made of until here."""
        texts = material.texts()
        # Trust first, then what needs it, then what nobody needs any more.
        if PREVIOUS in texts:
            self.write(PREVIOUS_FILE, texts[PREVIOUS])
        if material.following is not None:
            self.write(NEXT_FILE, _signing_text(material.following))
        self.write(SIGNING_FILE, _signing_text(material.signing))
        if material.following is None:
            (self.path / NEXT_FILE).unlink(missing_ok=True)
        if PREVIOUS not in texts:
            (self.path / PREVIOUS_FILE).unlink(missing_ok=True)
        self.write(DENIED_FILE, texts.get(DENIED, ""))

    def phase_began(self) -> datetime.datetime:
        """When a change of roots was brought to where it stands."""
        times = [self._modified(name) for name in (SIGNING_FILE, NEXT_FILE, PREVIOUS_FILE)]
        return datetime.datetime.fromtimestamp(max(times), datetime.UTC)

    def keep_lifetime(self, lifetime: datetime.timedelta) -> None:
        """For commands that have to know how long certificates are in use."""
        self.write(_LIFETIME_FILE, f"{lifetime.total_seconds():.0f}\n")

    def lifetime(self) -> datetime.timedelta:
        """What was kept; a day where nothing was."""
        text = self.text(_LIFETIME_FILE).strip()
        return datetime.timedelta(seconds=int(text)) if text.isdecimal() else _USUAL_LIFETIME

    async def follow(self, authority: Authority) -> None:
        """For ever: what changes in the directory is taken over by ``authority``."""
        seen = self._seen()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = self._seen()
            if now == seen:
                continue
            seen = now
            try:
                authority.take(self.read())
                logger.info("%s has changed, and what it holds is in force", self.path)
            except (AuthorityError, OSError) as error:
                logger.error("%s has changed and cannot be used; what was before goes on: %s", self.path, error)  # noqa: TRY400

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One at a time, among all processes."""
        self._make()
        with (self.path / _LOCK_FILE).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    # --- files ----------------------------------------------------------------------------------

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_private(self.path)
        except OSError as error:
            raise AuthorityError(f"the directory {self.path} cannot be used: {error.strerror}") from error

    def _pair(self, name: str) -> tuple[str, str]:
        """Certificates, and the private key."""
        certificates, key = split_pem(self.text(name))
        if key:
            _check_private(self.path / name)
        return certificates, key

    def text(self, name: str) -> str:
        """A file of the directory; empty where there is none."""
        path = self.path / name
        try:
            with path.open() as file:
                text = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise AuthorityError(f"{path} cannot be read: {error}") from error
        if len(text) > _MOST_BYTES:
            raise AuthorityError(f"{path} is longer than {_MOST_BYTES} bytes")
        return text

    def write(self, name: str, text: str) -> None:
        """As a whole or not at all, and for the owner alone from its first moment on. Nothing where nothing changes."""
        path = self.path / name
        if self.text(name) == text:
            return
        descriptor, new = tempfile.mkstemp(dir=self.path, prefix=f".{name}-")  # 0600
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(new).replace(path)
        except OSError as error:
            Path(new).unlink(missing_ok=True)
            raise AuthorityError(f"{path} cannot be written: {error.strerror}") from error
        _sync(self.path)

    def _modified(self, name: str) -> float:
        path = self.path / name
        return path.stat().st_mtime if path.exists() else 0.0

    def _seen(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_mark(self.path / name) for name in (SIGNING_FILE, NEXT_FILE, PREVIOUS_FILE, DENIED_FILE))


def _signing_text(root: Root) -> str:
    return root.private_key_pem + root.certificates_pem


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _check_private(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        wanted = "700" if path.is_dir() else "600"
        raise AuthorityError(f"{path} is open to others than its owner (mode {mode:o}): chmod {wanted} {path}")


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
