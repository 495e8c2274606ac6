"""The authority of standalone: a directory, and an address where machines get their certificates.

Composition alone: what is kept is ``controller.ca``'s, what is answered ``controller.publish``'s.
"""

from __future__ import annotations

import asyncio
import logging

from controller.ca.authority import Authority, AuthorityError, AuthoritySettings, utc_now
from controller.ca.directory import AuthorityDirectory
from controller.ca.service_account import ServiceAccount
from controller.ca.token_file import TokenFile
from controller.config import StandaloneAuthoritySettings
from controller.errors import AuthorityUnusableError, DiscoveryAddressError
from controller.publish.certificates import Proofs, authority_app
from controller.publish.server import AuthorityServer, ServerIdentity

_ACCOUNT = ServiceAccount("sekisho-system", "sekisho-controller")

logger = logging.getLogger(__name__)


class StandaloneAuthority:
    """Bound when it is made; use :meth:`run` as a task."""

    def __init__(self, settings: StandaloneAuthoritySettings) -> None:
        self._directory = AuthorityDirectory(settings.directory, utc_now)
        limits = AuthoritySettings(trust_domain=settings.trust_domain, lifetime=settings.lifetime)
        try:
            self._authority = Authority.of(self._directory.load_or_create(), limits)
            self._directory.keep_lifetime(settings.lifetime)
        except AuthorityError as error:
            raise AuthorityUnusableError(f"the mesh's authority cannot be used: {error}") from error
        identity = ServerIdentity(self._authority, _ACCOUNT, settings.names)
        app = authority_app(self._authority, Proofs(join=TokenFile(self._directory, utc_now).redeem))
        try:
            self._server = AuthorityServer(settings.address.host, settings.address.port, app, identity)
        except OSError as error:
            raise DiscoveryAddressError(
                f"the authority's address {settings.address} cannot be bound: {error.strerror or error}",
                "choose another with --ca HOST:PORT",
            ) from error
        self.port = self._server.port

    async def run(self) -> None:
        """Until it is cancelled."""
        stop = asyncio.Event()
        work = [
            asyncio.ensure_future(self._server.run(stop)),
            asyncio.ensure_future(self._directory.follow(self._authority)),
        ]
        try:
            await asyncio.gather(*work)
        finally:
            stop.set()
            work[1].cancel()
            await asyncio.gather(*work, return_exceptions=True)
