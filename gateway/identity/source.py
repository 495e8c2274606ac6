"""What every source of an identity has in common: the credentials in force, swapped live, and how long they last.

Owns the credentials and the word to those who use them. Where they come from is the source's: the controller's
authority (``controller_source``), a directory (``directory_source``), a Workload API (``workload_source``).
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from gateway.identity.credentials import Credentials, IdentityError
from gateway.identity.trust import ControllerTrust

_EARLY: Final = 0.25
"""With less than this part of its life left, a certificate should have been renewed."""

Now = Callable[[], datetime.datetime]
Listener = Callable[[Credentials, str], None]
"""Given the credentials, and the bundle to verify peers by."""

logger = logging.getLogger(__name__)


class IdentitySource(ABC):
    """The one holder of the private key. Used on one event loop."""

    def __init__(self, trust: ControllerTrust, now: Now) -> None:
        self._trust = trust
        self._now = now
        self._credentials: Credentials | None = None
        self._bundle = ""
        self._taken = now()
        self._life = datetime.timedelta(0)
        self._problem = ""
        self._said: tuple[Credentials | None, str] = (None, "")
        self._listeners: list[Listener] = []
        self.renewed = asyncio.Event()
        """Set whenever there are new credentials; whoever waits clears it."""

    # --- what others ask ------------------------------------------------------------------------

    @property
    def credentials(self) -> Credentials | None:
        """Those in force, good or not."""
        return self._credentials

    @property
    def bundle(self) -> str:
        """What peers are verified by, PEM; empty before there is an identity."""
        return self._bundle

    def on_change(self, listener: Listener) -> None:
        """Called with new credentials, and with a new bundle."""
        self._listeners.append(listener)

    async def context(self) -> ssl.SSLContext:
        """TLS to the controller with a certificate that is good now; raises :class:`IdentityError`."""
        credentials = await self._good()
        return credentials.context(self._trust.read())

    @abstractmethod
    async def keep(self) -> None:
        """Keeps the credentials good, for ever."""

    def take_trust(self, bundle: str, root_key: str) -> None:  # noqa: ARG002 - for sources that renew by themselves
        """The controller says what it is verified by from now on, and the root that it signs with."""
        self._trust.tell(bundle)

    @property
    def trust_digest(self) -> str:
        """Of the bundle that the controller is verified by; empty where it cannot be read."""
        try:
            return self._trust.digest
        except IdentityError:
            return ""

    @property
    def root_key(self) -> str:
        """The key identifier of the root that the certificate leads to."""
        return self._credentials.root_key if self._credentials is not None else ""

    def warning(self) -> str:
        """What a person should know: no identity, or one that ends soon and was not renewed; empty if all is well."""
        credentials = self._credentials
        reason = f": {self._problem}" if self._problem else ""
        if credentials is None:
            return f"this gateway has no identity{reason}" if self._problem else ""
        left = credentials.ends - self._now()
        if left <= datetime.timedelta(0):
            return (
                f"the certificate of {credentials.uri} ended on {credentials.ends:%F %T} and was not renewed{reason}; "
                "peers refuse new connections"
            )
        if left < self._life * _EARLY:
            seconds = f"{left.total_seconds():.0f} s"
            return f"the certificate of {credentials.uri} ends in {seconds}{reason}; it is used until then"
        return ""

    # --- for sources ----------------------------------------------------------------------------

    async def _good(self) -> Credentials:
        """Credentials that are good now."""
        credentials = self._credentials
        if credentials is None:
            raise IdentityError(self._problem or "there is no identity yet")
        credentials.check(self._now())
        return credentials

    def _hold(self, credentials: Credentials, bundle: str, life: datetime.timedelta) -> None:
        """These are in force from now on; ``life`` is all of it, by which is judged what little is left."""
        credentials.check(self._now())
        changed = credentials != self._credentials
        if not changed and bundle == self._bundle:
            return
        self._credentials, self._bundle, self._life = credentials, bundle, life
        self._problem = ""
        if changed:
            self.renewed.set()
            logger.info("this gateway is %s until %s", credentials.uri, credentials.ends.isoformat(timespec="seconds"))
        for listener in self._listeners:
            listener(credentials, bundle)

    def _failed(self, reason: str) -> None:
        """What keeps the credentials from being renewed, in the log once."""
        if reason != self._problem:
            logger.warning("the identity was not renewed: %s", reason)
        self._problem = reason

    def _say_life(self) -> None:
        """In the log, once for each certificate: that it ends soon, and that it has ended."""
        warning = self.warning()
        ended = self._credentials is not None and self._now() >= self._credentials.ends
        said = (self._credentials, "ended" if ended else "soon" if warning else "")
        if warning and said != self._said:
            logger.warning("%s", warning)
        self._said = said
