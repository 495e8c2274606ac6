"""An identity from a SPIFFE Workload API, such as SPIRE's agent: it sends another well before the last one ends.

Owns the stream and its return after a cut. What was received last is used until it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.identity.credentials import Credentials, IdentityError
from gateway.identity.grpc_stream import Call, GrpcError, answers
from gateway.identity.source import IdentitySource, Now
from gateway.identity.trust import ControllerTrust
from gateway.identity.workload_api import METADATA, METHOD, decoded

_PERMISSION_DENIED: Final = 7
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_LOOK_SECONDS: Final = 5.0
_FIRST_SECONDS: Final = 5.0
"""So long a first identity is waited for."""


class WorkloadSource(IdentitySource):
    """Subscribed, for as long as the process runs."""

    def __init__(self, socket: Path, trust: ControllerTrust, now: Now, chance: Callable[[], float]) -> None:
        super().__init__(trust, now)
        self._call = Call(socket, METHOD, METADATA)
        self._chance = chance
        self._first = asyncio.Event()

    async def keep(self) -> None:
        """Takes over what is sent, for ever."""
        looking = asyncio.create_task(self._look(), name="identity-life")
        try:
            await self._subscribe_for_ever()
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _good(self) -> Credentials:
        if self._credentials is None and not self._problem:
            try:
                async with asyncio.timeout(_FIRST_SECONDS):
                    await self._first.wait()
            except TimeoutError as error:
                raise IdentityError(f"{self._call.socket}: no identity came in time") from error
        return await super()._good()

    async def _subscribe_for_ever(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                async for message in answers(self._call):
                    self._take(message)
                    pause = _FIRST_PAUSE
            except GrpcError as error:
                denied = error.code == _PERMISSION_DENIED
                hint = ": maybe no identity is registered for this process" if denied else ""
                self._failed(f"the Workload API: {error}{hint}")
            await asyncio.sleep(pause * (0.5 + 0.5 * self._chance()))
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _take(self, message: bytes) -> None:
        try:
            found = decoded(message)
            life = found.credentials.ends - found.credentials.begins
            self._hold(found.credentials, found.bundle, life)
            self._problem = ""
            self._first.set()
        except IdentityError as error:
            self._failed(str(error))

    async def _look(self) -> None:
        while True:
            self._say_life()
            await asyncio.sleep(_LOOK_SECONDS)
