"""All gateways of a cluster: what each should hold, and what they answered together.

Owns the tables as wanted now, the streams of the gateways that are connected to this process, and what
the other replicas relayed of theirs. It moves no bytes (``discovery``) and writes no status: ``told``
says that :meth:`Subscriptions.answer` has something else to say. Everything happens on one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from controller.ca.rotation import GatewayTrust, ReplicaTrust
from controller.publish.answers import Standing, united
from controller.publish.lineage import Lineage
from controller.publish.stream import Stream
from gateway.admin.status import GatewayVersion
from gateway.routing_table.discovery import GatewayAnswer, Relayed
from gateway.routing_table.model import Applied, Resources

PATIENCE: Final = 10.0
"""Seconds that a gateway may take to answer, or be away for, before the others are believed without it."""
MOST_STREAMS: Final = 5_000
_TICK_SECONDS: Final = 0.5


class TooManyStreamsError(Exception):
    """Another stream would be one too many."""


@dataclass(frozen=True)
class _Relay:
    """What another replica said of its gateways, and until when it counts."""

    by_table: Mapping[str, Sequence[GatewayAnswer]]
    bundle: str
    """The digest of the trust bundle in force there."""
    until: float


@dataclass(frozen=True)
class _Away:
    """What a gateway said whose stream has ended, and until when it counts."""

    holds: Applied
    until: float


class Subscriptions:
    """Create it on the event loop on which it is used."""

    def __init__(self, told: Callable[[str], None], *, patience: float = PATIENCE) -> None:
        """``told(table)``: the answer of that table's gateways changed."""
        self._told = told
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._lineages: dict[str, Lineage] = {}
        self._wanted: frozenset[str] = frozenset()
        self._since: dict[str, float] = {}
        self._streams: dict[str, Stream] = {}
        self._of_table: dict[str, dict[str, Stream]] = {}
        self._away: dict[tuple[str, str], _Away] = {}
        """Gateways whose stream ended a moment ago: they mostly come back with what they hold."""
        self._relays: dict[str, _Relay] = {}
        self.changed = asyncio.Event()
        """Set when what the gateways of this process hold changes; whoever waits clears it."""
        self._last_told: dict[str, Applied | None] = {}
        self._to_look_at: set[str] = set()
        self._timed: dict[str, float] = {}
        """Tables whose answer may change by the clock alone, and until when."""
        self._ticker: asyncio.TimerHandle | None = None

    # --- what gateways should hold --------------------------------------------------------------

    def set_tables(self, tables: Mapping[str, Resources]) -> None:
        """What each gateway should hold from now on; a table that is the same object is unchanged."""
        for name, table in tables.items():
            if self._lineage(name).take(table) or name not in self._wanted:
                self._since[name] = self._loop.time()
                self._look_at(name, for_seconds=self._patience)
                for stream in self._of_table.get(name, {}).values():
                    stream.look()
        gone = self._wanted - tables.keys()
        self._wanted = frozenset(tables)
        for name in gone:
            self._since.pop(name, None)
            self._last_told.pop(name, None)
            self._forget(name)

    def _lineage(self, table: str) -> Lineage:
        return self._lineages.setdefault(table, Lineage())

    def _forget(self, table: str) -> None:
        """A table that nobody wants or holds costs nothing."""
        if table not in self._wanted and table not in self._of_table:
            self._lineages.pop(table, None)

    # --- what they answered ---------------------------------------------------------------------

    def answer(self, table: str) -> Applied | None:
        """The answer of all its gateways together to the table as it is wanted now.

        None while nobody is connected, or somebody may still answer. A gateway that takes longer than the
        patience no longer counts.
        """
        if table not in self._wanted:
            return None
        late = self._loop.time() >= self._since[table] + self._patience
        return united(self._lineage(table).version, self._standings(table), without_late=late)

    def gateways(self) -> tuple[GatewayVersion, ...]:
        """Every gateway, here and at the other replicas, and the version it holds."""
        versions = []
        for table in sorted(self._wanted | self._of_table.keys()):
            wanted = self._lineage(table).version
            for standing in self._standings(table):
                holds = standing.holds or Applied(version="")
                error = holds.error or self._problem(table, standing, wanted)
                name = f"{table}: {standing.gateway}"
                versions.append(
                    GatewayVersion(
                        name=name,
                        version=holds.version,
                        wanted=wanted,
                        error=error,
                        identity=standing.identity,
                        certificate_ends=standing.certificate_ends,
                    )
                )
        return tuple(sorted(versions, key=lambda version: version.name))

    def _problem(self, table: str, standing: Standing, wanted: str) -> str:
        if not standing.connected:
            return "its stream ended; it is expected back"
        holds = standing.holds
        if holds is None or holds.version != wanted:
            late = table in self._since and self._loop.time() >= self._since[table] + self._patience
            return f"it has not answered for {self._patience:g} s" if late else ""
        return f"it refuses {len(holds.rejected)} resources" if holds.rejected else ""

    def _standings(self, table: str) -> list[Standing]:
        """Away for a moment, elsewhere, and here; each gateway once, by what is known best."""
        now = self._loop.time()
        found: dict[str, Standing] = {}
        for (of_table, gateway), away in self._away.items():
            if of_table == table and away.until > now:
                found[gateway] = Standing(gateway, away.holds, connected=False)
        for relay in self._relays.values():
            for answer in relay.by_table.get(table, ()) if relay.until > now else ():
                found[answer.gateway] = Standing(
                    answer.gateway,
                    answer.holds,
                    answer.refused,
                    identity=answer.identity,
                    certificate_ends=answer.certificate_ends,
                )
        for stream in self._of_table.get(table, {}).values():
            found[stream.gateway] = Standing(
                stream.gateway,
                stream.holds,
                stream.refused,
                identity=stream.shown.identity,
                certificate_ends=stream.shown.ends,
            )
        return list(found.values())

    def local_answers(self) -> tuple[GatewayAnswer, ...]:
        """What a follower relays to the leader."""
        return tuple(
            GatewayAnswer(
                gateway=stream.gateway,
                table=stream.table,
                holds=stream.holds or Applied(version=""),
                refused=stream.refused,
                bundle=stream.bundle,
                root_key=stream.root_key,
                identity=stream.shown.identity,
                certificate_ends=stream.shown.ends,
            )
            for stream in self._streams.values()
        )

    def take_relayed(self, relayed: Relayed, seconds: float) -> None:
        """What another replica says of its gateways; it counts for so many seconds."""
        by_table: dict[str, list[GatewayAnswer]] = {}
        for answer in relayed.answers:
            by_table.setdefault(answer.table, []).append(answer)
        before = self._relays.get(relayed.replica)
        self._relays[relayed.replica] = _Relay(by_table, relayed.bundle, self._loop.time() + seconds)
        for table in by_table.keys() | (before.by_table.keys() if before is not None else set()):
            self._look_at(table, for_seconds=seconds)

    # --- whom they trust ------------------------------------------------------------------------

    def trust_changed(self) -> None:
        """There is another trust bundle: every stream tells its gateway."""
        for stream in self._streams.values():
            stream.trust_changed()

    def trusts(self, stream: Stream, bundle: str, root_key: str) -> None:
        """A gateway said which bundle is in force there, and what root its certificate leads to."""
        if (stream.bundle, stream.root_key) != (bundle, root_key):
            stream.bundle, stream.root_key = bundle, root_key
            self.changed.set()

    def gateway_trust(self) -> tuple[GatewayTrust, ...]:
        """What every connected gateway said of it, here and at the other replicas."""
        now = self._loop.time()
        relayed = [
            GatewayTrust(gateway=f"{table}: {answer.gateway}", bundle=answer.bundle, root_key=answer.root_key)
            for relay in self._relays.values()
            for table, answers in relay.by_table.items()
            for answer in answers
            if relay.until > now
        ]
        local = [
            GatewayTrust(gateway=f"{stream.table}: {stream.gateway}", bundle=stream.bundle, root_key=stream.root_key)
            for stream in self._streams.values()
            if not stream.ended
        ]
        known = {trust.gateway: trust for trust in (*relayed, *local)}
        return tuple(known[name] for name in sorted(known))

    def replica_trust(self) -> tuple[ReplicaTrust, ...]:
        """The same of the other replicas of the controller."""
        now = self._loop.time()
        return tuple(
            ReplicaTrust(replica=name, bundle=relay.bundle) for name, relay in self._relays.items() if relay.until > now
        )

    # --- streams --------------------------------------------------------------------------------

    def open(self, gateway: str, table: str, holds: Applied | None, workload: str = "") -> Stream:
        """A gateway connected; whoever calls this closes the stream at its end."""
        if len(self._streams) >= MOST_STREAMS:
            raise TooManyStreamsError(f"{MOST_STREAMS} gateways are connected to this replica, and it takes no more")
        for other in self._of_table.get(table, {}).values():
            if other.gateway == gateway:
                other.end()  # the gateway came back before its old connection was found dead
        stream = Stream(gateway, table, self._lineage(table), holds, workload)
        self._streams[stream.id] = stream
        self._of_table.setdefault(table, {})[stream.id] = stream
        self._away.pop((table, gateway), None)
        self.changed.set()
        self._look_at(table)
        return stream

    def stream(self, stream_id: str) -> Stream | None:
        """The open stream of this id."""
        return self._streams.get(stream_id)

    def answered(self, stream: Stream, holds: Applied | None) -> None:
        """A gateway said what it holds; None is "as before"."""
        before = stream.holds
        stream.answered(holds)
        if holds is not None and holds != before:
            self.changed.set()
            self._look_at(stream.table)

    def close(self, stream: Stream) -> None:
        """The stream's connection ended."""
        if self._streams.pop(stream.id, None) is None:
            return
        of_table = self._of_table[stream.table]
        del of_table[stream.id]
        if not of_table:
            del self._of_table[stream.table]
        if stream.holds is not None and not stream.ended:
            self._away[stream.table, stream.gateway] = _Away(stream.holds, self._loop.time() + self._patience)
        self._forget(stream.table)
        self.changed.set()
        self._look_at(stream.table, for_seconds=self._patience)

    def end_all(self) -> None:
        """This replica stops: its gateways find another."""
        for stream in self._streams.values():
            stream.end()

    # --- telling --------------------------------------------------------------------------------

    def _look_at(self, table: str, *, for_seconds: float = 0.0) -> None:
        """Compares the answer with the one told last: once for all that happens now, and while the clock matters."""
        if for_seconds:
            until = self._loop.time() + for_seconds + _TICK_SECONDS
            self._timed[table] = max(until, self._timed.get(table, 0.0))
            if self._ticker is None:
                self._ticker = self._loop.call_later(_TICK_SECONDS, self._tick)
        if not self._to_look_at:
            self._loop.call_soon(self._look)
        self._to_look_at.add(table)

    def _tick(self) -> None:
        now = self._loop.time()
        for table in self._timed:
            self._look_at(table)
        self._timed = {table: until for table, until in self._timed.items() if until > now}
        self._ticker = self._loop.call_later(_TICK_SECONDS, self._tick) if self._timed else None

    def _look(self) -> None:
        tables, self._to_look_at = self._to_look_at, set()
        now = self._loop.time()
        self._away = {name: away for name, away in self._away.items() if away.until > now}
        self._relays = {name: relay for name, relay in self._relays.items() if relay.until > now}
        for table in sorted(tables & self._wanted):
            answer = self.answer(table)
            if self._last_told.get(table) != answer:
                self._last_told[table] = answer
                self._told(table)
