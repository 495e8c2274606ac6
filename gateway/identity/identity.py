"""Who this gateway is: gets a certificate from the controller, and another one well before it ends.

Owns the credentials in force. The protocol is ``gateway/routing_table/discovery.py``'s. The controller's server is
verified against the mounted bundle before the token is shown to it.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from gateway.identity.credentials import CertificateRequest, Credentials, IdentityError, client_context
from gateway.identity.files import MountedFile
from gateway.routing_table.discovery import CERTIFICATE_PATH

_REQUEST_SECONDS: Final = 15.0
_RENEW_AT: Final = 2 / 3
_JITTER: Final = 0.1
_SHORTEST_WAIT: Final = datetime.timedelta(seconds=0.5)
_RETRY_SECONDS: Final = (1.0, 60.0)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class IdentitySettings:
    """Where an identity comes from."""

    controller: str
    """``https://HOST:PORT``."""
    trust_bundle: Path
    token: Path


class Identity:
    """The one holder of the private key."""

    def __init__(
        self,
        settings: IdentitySettings,
        now: Callable[[], datetime.datetime],
        chance: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._now = now
        self._chance = chance
        self._bundle = MountedFile(settings.trust_bundle, "trust bundle")
        self._token = MountedFile(settings.token, "service-account token")
        self._credentials: Credentials | None = None
        self._renew_at: datetime.datetime | None = None
        self._one_at_a_time = asyncio.Lock()
        self.renewed = asyncio.Event()
        """Set whenever there are new credentials; whoever waits clears it."""

    @property
    def credentials(self) -> Credentials | None:
        """Those in force, good or not."""
        return self._credentials

    async def context(self) -> ssl.SSLContext:
        """TLS to the controller with a certificate that is good now, asked for if need be."""
        async with self._one_at_a_time:
            credentials = self._credentials
            if credentials is None or self._now() >= credentials.ends:
                credentials = await self._renew()
        return credentials.context(self._bundle.read())

    async def keep(self) -> None:
        """Renews the certificate at about two thirds of its life, for ever."""
        while True:
            if self._renew_at is None:
                await self.renewed.wait()
                continue
            await asyncio.sleep(max(0.0, (self._renew_at - self._now()).total_seconds()))
            async with self._one_at_a_time:
                await self._try_to_renew()

    async def _try_to_renew(self) -> None:
        if self._renew_at is not None and self._now() < self._renew_at:
            return
        try:
            await self._renew()
        except IdentityError as error:
            logger.warning("the certificate was not renewed: %s", error)
            left = (self._credentials.ends - self._now()).total_seconds() if self._credentials is not None else 0.0
            shortest, longest = _RETRY_SECONDS
            pause = min(max(left / 10, shortest), longest) * (0.5 + 0.5 * self._chance())
            self._renew_at = self._now() + datetime.timedelta(seconds=pause)

    async def _renew(self) -> Credentials:
        request = await asyncio.to_thread(CertificateRequest)
        credentials = request.credentials(await self._signed(request))
        life = credentials.ends - self._now()
        if life <= datetime.timedelta(0):
            raise IdentityError("the certificate has ended before it arrived: maybe this machine's clock is wrong")
        # Not all at the same moment, though all may have started at one.
        self._renew_at = self._now() + max(life * (_RENEW_AT - _JITTER * self._chance()), _SHORTEST_WAIT)
        self._credentials = credentials
        self.renewed.set()
        logger.info("this gateway is %s until %s", credentials.uri, credentials.ends.isoformat(timespec="seconds"))
        return credentials

    async def _signed(self, request: CertificateRequest) -> str:
        context = client_context(self._bundle.read())
        headers = {"authorization": f"Bearer {self._token.read()}", "content-type": "application/x-pem-file"}
        url = self._settings.controller + CERTIFICATE_PATH
        try:
            async with httpx.AsyncClient(
                http1=False, http2=True, verify=context, trust_env=False, timeout=_REQUEST_SECONDS
            ) as client:
                answer = await client.post(url, content=request.pem, headers=headers)
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            raise IdentityError(f"the controller does not give a certificate: {why(error)}") from error
        if answer.status_code != 200:
            raise IdentityError(f"the controller gives no certificate: {refusal(answer)}")
        return answer.text


def refusal(answer: httpx.Response) -> str:
    """What the controller said, where it is not what was hoped for."""
    try:
        text = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        text = answer.text[:200]
    return f"{answer.status_code} {text}".strip()


def why(error: Exception) -> str:
    """An error of the connection in words, with the likely cause."""
    text = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"{text}: maybe the mounted trust bundle is not the controller's"
    if isinstance(error, httpx.RemoteProtocolError) and "ConnectionTerminated" in text:
        return "it ended the connection"
    if isinstance(error, httpx.ConnectTimeout):
        return "no connection in time: maybe a NetworkPolicy blocks the controller's port"
    return text
