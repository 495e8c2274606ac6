"""An identity from a directory whose files others rotate, as cert-manager does: ``tls.crt``, ``tls.key``, ``ca.crt``.

Owns when a change is taken: once all three belong together. Files are replaced one after the other, or all at once by a
link; in between what was before stays in force. The key is read and never written.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from gateway.identity.credentials import Credentials, IdentityError, client_context
from gateway.identity.files import MountedFile
from gateway.identity.source import IdentitySource, Now
from gateway.identity.trust import ControllerTrust

CERTIFICATE: Final = "tls.crt"
PRIVATE_KEY: Final = "tls.key"
BUNDLE: Final = "ca.crt"
_LOOK_SECONDS: Final = 1.0
_PATIENCE: Final = 5
"""So many looks in a row may find files that do not belong together before it is said."""


class DirectorySource(IdentitySource):
    """Reads and watches."""

    def __init__(self, directory: Path, trust: ControllerTrust, now: Now) -> None:
        super().__init__(trust, now)
        self._directory = directory
        self._files = (
            MountedFile(directory / CERTIFICATE, "certificate"),
            MountedFile(directory / PRIVATE_KEY, "private key"),
            MountedFile(directory / BUNDLE, "trust bundle of peers"),
        )
        self._taken_texts: tuple[str, ...] = ()
        self._bad_looks = 0

    async def keep(self) -> None:
        """Takes over what changes, for ever."""
        while True:
            try:
                self._take()
                self._bad_looks = 0
            except IdentityError as error:
                self._bad_looks += 1
                if self._bad_looks >= _PATIENCE or self._credentials is None:
                    self._failed(f"{self._directory}: {error}")
            self._say_life()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _good(self) -> Credentials:
        if self._credentials is None:
            try:
                self._take()
            except IdentityError as error:
                raise IdentityError(f"{self._directory}: {error}") from error
        return await super()._good()

    def _take(self) -> None:
        texts = tuple(file.read() for file in self._files)
        if texts == self._taken_texts:
            return
        certificate, private_key, bundle = texts
        credentials = Credentials.of(certificate + "\n", private_key + "\n")
        client_context(bundle)
        self._hold(credentials, bundle + "\n", credentials.ends - credentials.begins)
        self._taken_texts = texts
