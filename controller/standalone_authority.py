"""The authority of standalone: a directory, and an address where machines get their certificates, and sidecars tables.

Composition alone: what is kept is ``controller.ca``'s, what is answered ``controller.publish``'s, what is in a table
``controller.translate``'s.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from typing import Final

from controller.ca.authority import Authority, AuthorityError, AuthoritySettings, utc_now
from controller.ca.directory import AuthorityDirectory
from controller.ca.service_account import ServiceAccount
from controller.ca.token_file import TokenFile
from controller.config import StandaloneAuthoritySettings
from controller.errors import AuthorityUnusableError, DiscoveryAddressError
from controller.publish.discovery import DiscoveryParts
from controller.publish.places import table_of
from controller.publish.server import DiscoveryServer
from controller.publish.subscriptions import Subscriptions
from controller.store import Key
from controller.translate.workload import SidecarPlace, sidecar_table
from gateway.admin.status import GatewayVersion
from gateway.routing_table.model import Resources

_ACCOUNT: Final = ServiceAccount("sekisho-system", "sekisho-controller")
GATEWAY: Final = ServiceAccount("sekisho-system", "sekisho-gateway")
"""Who the gateway of standalone is in the mesh."""
_RENEW_FROM: Final = 1 / 2
_RENEW_TO: Final = 4 / 5
_RETRY_SECONDS: Final = 5.0

TakeIdentity = Callable[[str, str, str, str], str]
"""Takes over a chain, its private key, the trust bundle (all PEM) and the trust domain; why it cannot, or empty."""

logger = logging.getLogger(__name__)


class StandaloneAuthority:
    """Made before the event loop runs; bound on it by :meth:`bind`, then :meth:`run` as a task."""

    def __init__(self, settings: StandaloneAuthoritySettings) -> None:
        self._settings = settings
        self._directory = AuthorityDirectory(settings.directory, utc_now)
        limits = AuthoritySettings(trust_domain=settings.trust_domain, lifetime=settings.lifetime)
        try:
            self._authority = Authority.of(self._directory.load_or_create(), limits)
            self._directory.keep_lifetime(settings.lifetime)
        except AuthorityError as error:
            raise AuthorityUnusableError(f"the mesh's authority cannot be used: {error}") from error
        self._changed = asyncio.Event()
        self._authority.on_change(self._changed.set)
        self._subscriptions: Subscriptions | None = None
        self._server: DiscoveryServer | None = None

    def bind(self, sidecars: Callable[[], Mapping[Key, SidecarPlace]]) -> None:
        """Takes the address. ``sidecars``: where each workload's sidecar gets its table."""
        settings = self._settings
        self._subscriptions = Subscriptions(_untold)
        parts = DiscoveryParts(
            subscriptions=self._subscriptions,
            authority=self._authority,
            tokens=None,
            table_of=table_of(_no_gateway, sidecars),
            account=_ACCOUNT,
            replica="standalone",
            join=TokenFile(self._directory, utc_now).redeem,
        )
        try:
            self._server = DiscoveryServer(settings.address.host, settings.address.port, parts, settings.names)
        except OSError as error:
            raise DiscoveryAddressError(
                f"the authority's address {settings.address} cannot be bound: {error.strerror or error}",
                "choose another with --ca HOST:PORT",
            ) from error

    @property
    def authority(self) -> Authority:
        """What signs; it follows its directory while :meth:`run` does."""
        return self._authority

    @property
    def port(self) -> int:
        """Where it answers; 0 before it is bound."""
        return self._server.port if self._server is not None else 0

    def publish(self, tables: Mapping[str, Resources]) -> None:
        """What sidecars should hold; tables of gateways are left out."""
        if self._subscriptions is not None:
            self._subscriptions.set_tables({name: table for name, table in tables.items() if sidecar_table(name)})

    def sidecars(self) -> tuple[GatewayVersion, ...]:
        """Those that are connected, and what they hold."""
        return self._subscriptions.gateways() if self._subscriptions is not None else ()

    async def run(self) -> None:
        """Until it is cancelled; :meth:`bind` comes before."""
        if self._server is None:
            raise RuntimeError("the authority is not bound")
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

    def close(self) -> None:
        """Lets the address go where :meth:`run` was never reached."""
        if self._server is not None:
            self._server.close()

    # --- the gateway of this process ------------------------------------------------------------

    def identify(self, take: TakeIdentity) -> float:
        """Gives the gateway of this process an identity; for how many seconds it is good."""
        issued = self._authority.issue(GATEWAY)
        problem = take(issued.chain, issued.private_key, self._authority.bundle_pem, self._authority.trust_domain)
        if problem:
            logger.error("%s", problem)
        return (issued.ends - utc_now()).total_seconds()

    async def keep_identity(self, take: TakeIdentity) -> None:
        """Renews it between half and four fifths of its life, and whenever the roots change; for ever."""
        while True:
            try:
                life = self.identify(take)
                # Not at the same moment as whoever started with this process.
                wait = life * (_RENEW_FROM + (_RENEW_TO - _RENEW_FROM) * random.random())  # noqa: S311 - no secret
            except AuthorityError as error:
                logger.error("the gateway's identity is not renewed: %s", error)  # noqa: TRY400 - the text says all
                wait = _RETRY_SECONDS
            try:
                async with asyncio.timeout(max(wait, 0.1)):
                    await self._changed.wait()
            except TimeoutError:
                continue
            self._changed.clear()


def _no_gateway(_namespace: str, _name: str) -> Key | None:
    """The one gateway of standalone is this process, and gets its table here."""
    return None


def _untold(_table: str) -> None:
    """No status speaks of a sidecar's table."""
