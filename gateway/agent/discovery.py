"""The gateway's side of discovery: subscribes, has the agent apply what comes, and answers.

The protocol is ``gateway/routing_table/discovery.py``'s. Owns the stream and its reconnection; it never decides
about a table, and traffic does not depend on it: without a controller the last table is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import msgspec

from gateway.agent.agent import Agent
from gateway.agent.backoff import Backoff
from gateway.agent.stream import ControllerStream, StreamEndedError
from gateway.identity.controller_client import WAY_ERRORS, ControllerClient, whole, why
from gateway.identity.credentials import IdentityError
from gateway.routing_table import wire
from gateway.routing_table.discovery import (
    BUNDLE_HEADER,
    ROOT_KEY_HEADER,
    SILENCE_SECONDS,
    STREAM_PATH,
    Hello,
    Trust,
)
from gateway.routing_table.model import Applied

_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 15.0
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0
_STEADY_SECONDS: Final = 10.0
"""A stream that lived for so long was a success: the next pause is short again."""
_LOOK_SECONDS: Final = 1.0

_SNAPSHOT: Final = b'{"type":"snapshot"'

logger = logging.getLogger(__name__)


class Identity(Protocol):
    """What is used of ``gateway.identity``."""

    renewed: asyncio.Event

    async def context(self) -> ssl.SSLContext:
        """TLS to the controller, with a certificate that is good now."""
        ...

    def take_trust(self, bundle: str, root_key: str) -> None:
        """By what the controller is verified from now on, and the root that it signs with."""
        ...

    @property
    def trust_digest(self) -> str:
        """Of the bundle that the controller is verified by."""
        ...

    @property
    def root_key(self) -> str:
        """The key identifier of the root that the certificate leads to."""
        ...


@dataclass(frozen=True)
class Subscriber:
    """Who asks."""

    name: str
    """The name of this process."""
    workload: str = ""
    """Of a sidecar, what it stands before: ``namespace/name``."""


@dataclass(frozen=True)
class DiscoveryState:
    """What is told of the stream; replaced as a whole."""

    connected: bool = False
    since: float = 0.0
    """Seconds since the epoch, of the last change of ``connected``."""
    controller: str = ""
    """The replica that answers."""
    last_error: str = ""
    connections: int = 0
    """How many streams were opened since the start."""


class _RenewedError(Exception):
    """There is a new certificate to subscribe with."""


class Discovery:
    """One gateway's subscription."""

    def __init__(
        self, controller: str, subscriber: Subscriber, agent: Agent, identity: Identity, chance: Callable[[], float]
    ) -> None:
        """``controller``: ``https://HOST:PORT``."""
        self._controller = controller
        self._subscriber = subscriber
        self._agent = agent
        self._identity = identity
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, chance)
        self._state = DiscoveryState(since=time.time())
        self._told: Applied | None = None
        self._refused_whole = ""
        """Why the last update of this stream was refused as a whole."""
        self._applying: asyncio.Task[Applied] | None = None

    @property
    def state(self) -> DiscoveryState:
        """What holds now."""
        return self._state

    async def run(self) -> None:
        """Stays subscribed, for ever."""
        while True:
            began = time.monotonic()
            try:
                await self._subscribe()
            except _RenewedError:
                logger.info("discovery: subscribing anew with the new certificate")
                continue
            except StreamEndedError as ended:
                self._disconnected(str(ended))
            except IdentityError as error:
                self._disconnected(str(error))
            except WAY_ERRORS as error:
                self._disconnected(f"the controller {self._controller} cannot be reached: {why(error)}")
            except Exception as error:
                # Traffic goes on without a controller, and so does the search for one.
                logger.exception("discovery broke")
                self._disconnected(f"discovery broke: {error!r}")
            if time.monotonic() - began >= _STEADY_SECONDS:
                self._backoff.reset()
            await asyncio.sleep(self._backoff.next())

    def _disconnected(self, reason: str) -> None:
        if reason != self._state.last_error or self._state.connected:
            logger.warning("discovery: %s", reason)
        since = time.time() if self._state.connected else self._state.since
        self._state = replace(self._state, connected=False, since=since, last_error=reason)

    # --- one stream -----------------------------------------------------------------------------

    async def _subscribe(self) -> None:
        self._identity.renewed.clear()
        context = await self._identity.context()
        self._identity.renewed.clear()
        client = ControllerClient(self._controller, context, connect=_CONNECT_SECONDS, read=SILENCE_SECONDS)
        async with client:
            if self._applying is not None:
                await asyncio.wait({self._applying})
            hello = Hello(gateway=self._subscriber.name, workload=self._subscriber.workload, holds=self._resumed())
            async with client.stream(STREAM_PATH, msgspec.json.encode(hello)) as response:
                if response.status != 200:
                    refused = await whole(response)
                    raise StreamEndedError(f"the controller refuses this gateway: {refused.refusal}")
                await self._follow(client, ControllerStream(response))

    def _resumed(self) -> Applied | None:
        """What this gateway holds of an earlier stream.

        A table from the disk is not enough: what was refused of it is not written there.
        """
        state = self._agent.state
        self._refused_whole = ""
        return None if state.restored or not state.loaded else self._holds()

    def _holds(self) -> Applied:
        state = self._agent.state
        return Applied(
            version=state.version, rejected=state.rejected, listeners=state.listeners, error=self._refused_whole
        )

    async def _follow(self, client: ControllerClient, stream: ControllerStream) -> None:
        welcome = await stream.welcome()
        self._take_trust(welcome.trust)
        self._told = None
        count = self._state.connections + 1
        self._state = DiscoveryState(
            connected=True, since=time.time(), controller=welcome.controller, connections=count
        )
        logger.info("discovery: subscribed at %s", welcome.controller)
        address = f"{STREAM_PATH}/{welcome.stream}/answer"
        await _first(
            self._read(client, address, stream),
            self._renewed(),
            self._tell_changes(client, address),
            stream.silence(welcome.silence_seconds),
        )

    async def _read(self, client: ControllerClient, address: str, stream: ControllerStream) -> None:
        async for update in stream.updates():
            if isinstance(update, Trust):
                self._take_trust(update)
            elif update is not None:
                await self._update(update)
            await self._answer(client, address)
        raise StreamEndedError("the controller ended the stream")

    def _take_trust(self, trust: Trust | None) -> None:
        if trust is None or not trust.bundle:
            return
        try:
            self._identity.take_trust(trust.bundle, trust.root_key)
        except IdentityError as error:
            logger.warning("the trust bundle that the controller tells is not taken: %s", error)

    async def _update(self, line: bytes) -> None:
        # An update that has begun is finished, whatever becomes of the stream.
        self._applying = asyncio.create_task(self._agent.apply_encoded(line))
        applied = await asyncio.shield(self._applying)
        self._refused_whole = applied.error
        if applied.error:
            logger.warning("an update is refused as a whole: %s", applied.error)
            return
        for rejection in applied.rejected:
            logger.warning("refused: %s %s: %s", rejection.kind, rejection.key, rejection.reason)
        level = logging.INFO if line.startswith(_SNAPSHOT) else logging.DEBUG
        logger.log(level, "table %s is in force", applied.version)

    async def _answer(self, client: ControllerClient, address: str) -> None:
        """Says what this gateway holds; where nothing changed, that it lives."""
        holds = self._holds()
        content = b"" if holds == self._told else wire.encode(holds)
        async with asyncio.timeout(_ANSWER_SECONDS):
            answer = await client.post(address, content, self._words())
        if answer.status != 204:
            raise StreamEndedError(f"the controller does not take the answer: {answer.refusal}")
        self._told = holds

    def _words(self) -> dict[str, str]:
        """What every answer says of trust, so that the controller knows when another root may sign."""
        return {BUNDLE_HEADER: self._identity.trust_digest, ROOT_KEY_HEADER: self._identity.root_key}

    async def _tell_changes(self, client: ControllerClient, address: str) -> None:
        """Listeners get bound, or lose their port, without an update."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            told, holds = self._told, self._holds()
            if told is not None and told.version == holds.version and told != holds:
                await self._answer(client, address)

    async def _renewed(self) -> None:
        """A new certificate counts from the next connection on, and going on costs nothing."""
        await self._identity.renewed.wait()
        raise _RenewedError


async def _first(*programs: Coroutine[Any, Any, None]) -> None:
    """Runs all until one ends, which is how it ends."""
    tasks = [asyncio.create_task(program) for program in programs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
