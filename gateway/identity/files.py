"""The files a cluster mounts into a gateway: they are replaced while it runs, so they are read again."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.identity.credentials import IdentityError

_MOST_BYTES: Final = 1024 * 1024


class MountedFile:
    """One file, read anew whenever it is another than before."""

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._seen: tuple[int, int, int] | None = None
        self._text = ""

    def read(self) -> str:
        """The content now; raises :class:`IdentityError`."""
        try:
            found = self._path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen != self._seen:
                if found.st_size > _MOST_BYTES:
                    raise IdentityError(f"the {self._what} {self._path} is longer than {_MOST_BYTES} bytes")
                self._text = self._path.read_text()
                self._seen = seen
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise IdentityError(f"the {self._what} {self._path} cannot be read: {reason}") from error
        if not self._text.strip():
            raise IdentityError(f"the {self._what} {self._path} is empty")
        return self._text.strip()
