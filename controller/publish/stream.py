"""One gateway's stream, as the controller keeps it: what was sent, and what the gateway said it holds.

Owns whether there is something to send. At most one update is on its way: until it is answered,
what changes meanwhile becomes one delta, so a slow gateway costs no memory. It moves no bytes.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from controller.publish.lineage import Lineage, Message, Name
from gateway.routing_table import wire
from gateway.routing_table.model import Applied


@dataclass(frozen=True)
class Shown:
    """The certificate that a gateway showed when it connected."""

    identity: str = ""
    """The SPIFFE identifier."""
    ends: float = 0.0
    """Seconds since the epoch."""


class Stream:
    """Used on one event loop."""

    def __init__(self, gateway: str, table: str, lineage: Lineage, holds: Applied | None, workload: str = "") -> None:
        self.id = secrets.token_urlsafe(18)
        self.gateway = gateway
        self.table = table
        self.workload = workload
        """Of a sidecar, what it stands before: ``namespace/name``."""
        self.shown = Shown()
        self._lineage = lineage
        self._holds = holds
        self._on_its_way: Message | None = None
        self._refused_whole = ""
        self._news = asyncio.Event()
        self._heard = asyncio.get_running_loop().time()
        self._ended = False
        self._told_of_trust = True
        self.bundle = ""
        self.root_key = ""
        """What the gateway said last of its trust and of its certificate."""

    @property
    def holds(self) -> Applied | None:
        """What the gateway said last; None before it has said anything."""
        return self._holds

    @property
    def refused(self) -> str:
        """The version that the gateway refused as a whole; empty if none."""
        return self._refused_whole

    @property
    def heard(self) -> float:
        """When the gateway said something last, by the event loop's clock."""
        return self._heard

    @property
    def ended(self) -> bool:
        """Whether the controller no longer wants this stream."""
        return self._ended

    def end(self) -> None:
        """Has the stream end at its next look."""
        self._ended = True
        self._news.set()

    def look(self) -> None:
        """The table changed."""
        self._news.set()

    def trust_changed(self) -> None:
        """There is another trust bundle: :meth:`next` returns at once."""
        self._told_of_trust = False
        self._news.set()

    def answered(self, holds: Applied | None) -> None:
        """What the gateway said; None is "as before"."""
        self._heard = asyncio.get_running_loop().time()
        if holds is None:
            return
        sent = self._on_its_way
        if sent is not None and not holds.error and holds.version != sent.version:
            self._holds = holds  # said before the update arrived
            return
        self._on_its_way = None
        self._holds = holds
        if not holds.error:
            self._refused_whole = ""
        elif sent is not None and sent.whole:
            self._refused_whole = sent.version
        elif sent is not None:
            self._holds = None  # it holds something else than was thought: it is sent everything
        self._news.set()

    async def next(self, within: float) -> Message | None:
        """The next update to send, or None if there is none ``within`` so many seconds, or there is other news."""
        try:
            async with asyncio.timeout(within):
                while not self._ended:
                    self._news.clear()
                    message = self._due()
                    if message is not None or not self._told_of_trust:
                        self._told_of_trust = True
                        self._on_its_way = message or self._on_its_way
                        return message
                    await self._news.wait()
        except TimeoutError:
            return None
        return None

    def _due(self) -> Message | None:
        wanted = self._lineage.version
        if not wanted or self._on_its_way is not None or self._refused_whole == wanted:
            return None
        holds = self._holds
        if holds is None or holds.error:
            return self._lineage.message("")
        if holds.version == wanted:
            return None
        return self._lineage.message(holds.version, _refused(holds))


def _refused(holds: Applied) -> Iterator[Name]:
    for rejection in holds.rejected:
        for kind in wire.KINDS:
            if kind == rejection.kind:
                yield kind, rejection.key
