"""An identity from the controller's authority: a certificate for a key of this process, and the next before it ends.

The protocol is ``gateway/routing_table/discovery.py``'s. The controller's server is verified before any proof is shown
to it. The proof is a service-account token each time; or a join token once, and then the certificate that it got.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import ssl
from collections.abc import Callable
from typing import Final

from gateway.identity.controller_client import WAY_ERRORS, ControllerClient, why
from gateway.identity.credentials import CertificateRequest, Credentials, IdentityError, client_context
from gateway.identity.files import MountedFile
from gateway.identity.settings import IdentitySettings
from gateway.identity.source import IdentitySource, Now
from gateway.identity.trust import ControllerTrust
from gateway.routing_table.discovery import CERTIFICATE_PATH

_REQUEST_SECONDS: Final = 15.0
_RENEW_FROM: Final = 1 / 2
_RENEW_TO: Final = 4 / 5
_SHORTEST_WAIT: Final = datetime.timedelta(seconds=0.5)
_RETRY_SECONDS: Final = (1.0, 60.0)
_LOOK_SECONDS: Final = 5.0
"""How often the mounted bundle is looked at, and how much life is left; more often where lives are short."""
_OTHER_ROOT_SECONDS: Final = 60.0
"""Within so many seconds, or a tenth of a life if that is less, all have certificates of another root."""

logger = logging.getLogger(__name__)


class ControllerSource(IdentitySource):
    """Asks for certificates."""

    def __init__(self, settings: IdentitySettings, now: Now, chance: Callable[[], float]) -> None:
        super().__init__(ControllerTrust(settings.trust_bundle), now)
        self._controller = settings.controller
        self._chance = chance
        token, join_token = settings.token, settings.join_token
        self._token = MountedFile(token, "service-account token") if token is not None else None
        self._join_token = MountedFile(join_token, "join token") if join_token is not None else None
        self._renew_at: datetime.datetime | None = None
        self._failures = 0
        self._look = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    async def keep(self) -> None:
        """Renews the certificate at a random point between half and four fifths of its life, for ever."""
        while True:
            await self._wait()
            self._renew_bundle()
            if self._renew_at is not None and self._now() >= self._renew_at:
                async with self._one_at_a_time:
                    await self._try_to_renew()
            self._say_life()

    def take_trust(self, bundle: str, root_key: str) -> None:
        """Where another root signs now, the certificate is renewed soon."""
        super().take_trust(bundle, root_key)
        self._renew_bundle()
        credentials = self._credentials
        if credentials is not None and root_key and root_key != credentials.root_key and self._renew_at is not None:
            spread = min(self._life.total_seconds() / 10, _OTHER_ROOT_SECONDS)
            soon = self._now() + datetime.timedelta(seconds=spread * self._chance())
            self._renew_at = min(self._renew_at, soon)
            self._look.set()

    async def _wait(self) -> None:
        """Until the next thing to do, or to look at."""
        due = (self._renew_at - self._now()).total_seconds() if self._renew_at is not None else _LOOK_SECONDS
        with contextlib.suppress(TimeoutError):
            look = min(max(self._life.total_seconds() / 10, 0.5), _LOOK_SECONDS)
            async with asyncio.timeout(min(max(due, 0.0), look)):
                await self._look.wait()
        self._look.clear()

    def _renew_bundle(self) -> None:
        credentials = self._credentials
        with contextlib.suppress(IdentityError):  # it is said when there is something to renew
            if credentials is not None:
                self._hold(credentials, self._trust.read(), self._life)

    async def _good(self) -> Credentials:
        async with self._one_at_a_time:
            credentials = self._credentials
            if credentials is None or self._now() >= credentials.ends:
                try:
                    credentials = await self._renew()
                except IdentityError as error:
                    self._problem = str(error)
                    raise
        return credentials

    async def _try_to_renew(self) -> None:
        if self._renew_at is not None and self._now() < self._renew_at:
            return
        try:
            await self._renew()
        except IdentityError as error:
            self._failed(str(error))
            self._failures += 1
            left = (self._credentials.ends - self._now()).total_seconds() if self._credentials is not None else 0.0
            shortest, longest = _RETRY_SECONDS
            # Twice as long each time, but several times again while there is life left.
            pause = min(shortest * 2 ** min(self._failures - 1, 6), max(left / 6, shortest), longest)
            self._renew_at = self._now() + datetime.timedelta(seconds=pause * (0.5 + 0.5 * self._chance()))

    async def _renew(self) -> Credentials:
        request = await asyncio.to_thread(CertificateRequest)
        credentials = request.credentials(await self._signed(request))
        life = credentials.ends - self._now()
        self._hold(credentials, self._trust.read(), life)
        # Not all at the same moment, though all may have started at one.
        point = _RENEW_FROM + (_RENEW_TO - _RENEW_FROM) * self._chance()
        self._renew_at = self._now() + max(life * point, _SHORTEST_WAIT)
        self._failures = 0
        self._look.set()
        return credentials

    async def _signed(self, request: CertificateRequest) -> str:
        context, headers = self._proof()
        try:
            client = ControllerClient(self._controller, context, connect=_REQUEST_SECONDS, read=_REQUEST_SECONDS)
            async with client:
                answer = await client.post(CERTIFICATE_PATH, request.pem, headers)
        except WAY_ERRORS as error:
            raise IdentityError(f"the controller does not give a certificate: {why(error)}") from error
        if answer.status != 200:
            raise IdentityError(f"the controller gives no certificate: {answer.refusal}")
        return answer.text

    def _proof(self) -> tuple[ssl.SSLContext, dict[str, str]]:
        headers = {"content-type": "application/x-pem-file"}
        bundle = self._trust.read()
        if self._token is not None:
            return client_context(bundle), {**headers, "authorization": f"Bearer {self._token.read()}"}
        credentials = self._credentials
        if credentials is not None and self._now() < credentials.ends:
            return credentials.context(bundle), headers
        if self._join_token is None:
            raise IdentityError("there is nothing to prove an identity by")
        return client_context(bundle), {**headers, "authorization": f"Bearer {self._join_token.read()}"}
