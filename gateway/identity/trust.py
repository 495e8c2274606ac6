"""By what the controller is verified: the mounted bundle, until the controller tells of another.

Owns which of the two holds: whichever came last. A mounted file lags behind what the controller tells, and is what is
left to correct a gateway that no controller reaches any more.
"""

from __future__ import annotations

from pathlib import Path

from gateway.identity.credentials import client_context
from gateway.identity.files import MountedFile
from gateway.routing_table.discovery import trust_digest


class ControllerTrust:
    """One bundle."""

    def __init__(self, path: Path) -> None:
        self._mounted = MountedFile(path, "trust bundle")
        self._told = ""
        self._mounted_then = ""
        """What was mounted when the controller told of another."""

    def read(self) -> str:
        """The bundle now, PEM; raises ``IdentityError``."""
        mounted = self._mounted.read()
        if self._told and mounted != self._mounted_then:
            self._told = ""
        return self._told or mounted

    def tell(self, bundle: str) -> None:
        """The controller says that this holds; raises ``IdentityError`` where it is no bundle."""
        client_context(bundle)
        self._mounted_then = self._mounted.read()
        self._told = bundle

    @property
    def digest(self) -> str:
        """Of the bundle in force."""
        return trust_digest(self.read())
