"""What this replica's gateways hold, told to the replica that writes statuses.

Everything that is known is said each time, soon after it changes and again while it does not: the leader may
have changed, or started anew, and what is not repeated stops counting. Versions are digests of content, so the
leader compares them with its own without a word about tables. Replicas prove to each other that they are the
controller by certificates that they sign themselves, for they share the authority.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx
import msgspec

from controller.ca.authority import Authority, utc_now
from controller.ca.service_account import ServiceAccount
from controller.publish.connection import load_issued
from controller.publish.subscriptions import Subscriptions
from gateway.routing_table.discovery import ANSWERS_PATH, Relayed

_QUIET_SECONDS: Final = 0.05
"""Answers that come together are told together."""
_AGAIN_SECONDS: Final = 5.0
_REQUEST_SECONDS: Final = 10.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RelaySettings:
    """Who tells, and how the other side is known."""

    account: ServiceAccount
    """The controller's own."""
    replica: str
    """The name of this process: its pod's."""
    server_name: str
    """A name in every replica's server certificate; the address alone is not in it."""


class Relay:
    """From this replica to the leader, while that is another one."""

    def __init__(
        self,
        settings: RelaySettings,
        authority: Authority,
        subscriptions: Subscriptions,
        leader: Callable[[], str | None],
    ) -> None:
        """``leader``: ``https://HOST:PORT`` of the replica that leads; None while that is this one, or unknown."""
        self._settings = settings
        self._authority = authority
        self._subscriptions = subscriptions
        self._leader = leader
        self.last_error = ""
        """Why the leader does not know what this replica's gateways hold; empty if it does."""

    async def run(self) -> None:
        """For ever."""
        while True:
            leader = self._leader()
            if leader is None:
                self.last_error = ""
                await asyncio.sleep(_QUIET_SECONDS * 10)
                continue
            try:
                await self._tell_while(leader)
            except (httpx.HTTPError, ssl.SSLError, OSError) as error:
                self._failed(f"{leader} does not take what gateways answered: {str(error) or type(error).__name__}")
                await asyncio.sleep(1.0)

    def _failed(self, reason: str) -> None:
        if reason != self.last_error:
            logger.warning("relay: %s", reason)
        self.last_error = reason

    async def _tell_while(self, leader: str) -> None:
        """Until somebody else leads, or the certificate is old."""
        context, ends = self._client_context()
        material = self._authority.material
        changed = self._subscriptions.changed
        async with httpx.AsyncClient(
            http1=False, http2=True, verify=context, trust_env=False, timeout=_REQUEST_SECONDS
        ) as client:
            while self._leader() == leader and utc_now() < ends and self._authority.material is material:
                changed.clear()
                await self._tell(client, leader)
                await _wait(changed, _AGAIN_SECONDS)
                await asyncio.sleep(_QUIET_SECONDS)

    async def _tell(self, client: httpx.AsyncClient, leader: str) -> None:
        relayed = Relayed(
            replica=self._settings.replica,
            bundle=self._authority.material.digest,
            answers=self._subscriptions.local_answers(),
        )
        response = await client.post(
            leader + ANSWERS_PATH,
            content=msgspec.json.encode(relayed),
            extensions={"sni_hostname": self._settings.server_name},
        )
        if response.status_code == 204:
            self.last_error = ""
        else:
            self._failed(f"{leader} answered {response.status_code} {response.text[:200]}")

    def _client_context(self) -> tuple[ssl.SSLContext, datetime.datetime]:
        """TLS with a certificate of the controller's own, and until when to use it."""
        issued = self._authority.issue(self._settings.account)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(cadata=self._authority.bundle_pem)
        load_issued(context, issued)
        now = utc_now()
        return context, now + (issued.ends - now) * 2 / 3


async def _wait(changed: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return
