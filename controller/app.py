"""Composition root of standalone: controller and gateway in one process, live from manifest files.

The order of the start is the order in which traffic needs things: the gateway with its last good
table, the manifests, one publication, the terminal; then changes until a signal.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from controller.config import StandaloneSettings
from controller.key_sets.fetch import client, fetch
from controller.key_sets.follower import KeySetFollower
from controller.pipeline import Pipeline
from controller.publish.batches import batches
from controller.publish.publisher import Published, Publisher
from controller.sources import Change, ManifestSource
from controller.sources.denied import follow_denied
from controller.standalone_authority import StandaloneAuthority
from controller.store import Key
from controller.terminal.announce import Changed, Started, announce, announce_change
from controller.terminal.curl import CurlLine, curl_lines
from controller.terminal.ways_out import way_out_line
from controller.terminal.writer import Writer, counted
from gateway.admin.explain import Question, encode_question
from gateway.admin.status import GatewayVersion, Problem, StatusReport
from gateway.agent.compiled import regex_problem
from gateway.app import GatewayApp
from gateway.routing_table import describe
from gateway.routing_table.model import Applied

_RETRY_BIND_SECONDS = 5.0
_FIRST_KEYS_SECONDS = 3.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

logger = logging.getLogger(__name__)


class Standalone:
    """`sekisho up`."""

    def __init__(self, settings: StandaloneSettings, writer: Writer, *, authority: Path | None = None) -> None:
        """``authority``: certificate file for the curl lines that are printed."""
        self._settings = settings
        self._writer = writer
        self._authority = authority
        self._began = time.perf_counter()
        self._stop = asyncio.Event()
        # 1. Traffic: the last good table is served from here on.
        self._gateway = GatewayApp(settings.gateway)
        # 2. Everything that makes the next table.
        state = settings.gateway.state_dir
        self._source = ManifestSource(settings.paths, without=() if state is None else (state,))
        trust_domain = settings.authority.trust_domain if settings.authority is not None else ""
        self._pipeline = Pipeline(settings.translation, regex_problem, trust_domain)
        held = self._gateway.agent.state.version
        self._publisher = Publisher(
            self._gateway.agent, int(held) if held.isdecimal() else 0, self._gateway.agent.table
        )
        self._mesh_authority = StandaloneAuthority(settings.authority) if settings.authority is not None else None
        self._problems: tuple[Problem, ...] = ()
        self._queue: asyncio.Queue[Change] = asyncio.Queue()
        self._http = client()
        self._key_sets = KeySetFollower(functools.partial(fetch, self._http), self._queue.put_nowait)
        self._report = StatusReport()

    async def run(self) -> int:
        """Until a signal; returns the exit status."""
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._signalled)
        background: list[asyncio.Task[None]] = []
        try:
            if self._mesh_authority is not None:
                self._mesh_authority.bind(lambda: self._pipeline.sidecars)
                # Before the first table: it may have endpoints in the mesh.
                self._mesh_authority.identify(self._gateway.identify)
            self._gateway.start(self._reported)
            await self._first_table()
            background = [
                asyncio.create_task(self._follow_changes(), name="changes"),
                asyncio.create_task(self._retry_unbound(), name="unbound-listeners"),
            ]
            if self._mesh_authority is not None:
                work = (self._mesh_authority.run(), self._mesh_authority.keep_identity(self._gateway.identify))
                background += [asyncio.create_task(one, name="authority") for one in work]
                for task in background[-len(work) :]:
                    task.add_done_callback(self._authority_ended)
            await self._stop.wait()
            await self._drain()
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await self._key_sets.close()
            await self._http.aclose()
            await self._gateway.close()
        return 0

    # --- the first table ------------------------------------------------------------------------

    async def _first_table(self) -> None:
        change = await asyncio.to_thread(self._source.load)
        if self._mesh_authority is not None:
            follow_denied(self._mesh_authority.authority, self._queue.put_nowait)
        self._pipeline.take([change], self._source.places())
        await self._first_keys()
        kept = self._keeps_last_table(change)
        published = None if kept else await self._publisher.publish(self._pipeline.table)
        self._publish_sidecars()
        self._take_answer(published)
        state = self._gateway.agent.state
        announce(
            self._writer,
            Started(
                table=self._publisher.held,
                listeners=state.listeners,
                version=state.version,
                milliseconds=(time.perf_counter() - self._began) * 1000,
                paths=self._settings.paths,
                sources={item.key: item.source for item in self._report.objects},
                problems=self._problems,
                left_alone=self._report.left_alone,
                curl=await asyncio.to_thread(self._lines_to_try),
                admin_url=self._gateway.admin_url,
                notice=kept or self._gateway.notice,
            ),
        )

    def _lines_to_try(self) -> tuple[CurlLine, ...]:
        table = self._publisher.held
        outward = way_out_line(table, self._explain)
        inward = curl_lines(table, self._explain, authority=self._authority)
        return (*inward, outward) if outward is not None else inward

    async def _first_keys(self) -> None:
        """A table without keys refuses tokens: it waits a moment for those that come at once."""
        self._key_sets.want(self._pipeline.key_locations)
        await self._key_sets.settle(_FIRST_KEYS_SECONDS)
        fetched = [self._queue.get_nowait() for _ in range(self._queue.qsize())]
        if fetched:
            self._pipeline.take(fetched, self._source.places())

    def _keeps_last_table(self, change: Change) -> str:
        """Why the table of the last run stays in force, or empty: broken manifests are no wish for silence."""
        state = self._gateway.agent.state
        broken = any(problem.severity == "error" for problem in change.problems)
        if not (state.restored and broken) or self._pipeline.table.listeners:
            return ""
        return f"the manifests define no usable listener; the last run's table v{state.version} is served until they do"

    def _publish_sidecars(self) -> None:
        if self._mesh_authority is not None:
            self._mesh_authority.publish(self._pipeline.tables)

    def _explain(self, question: Question) -> dict[str, Any]:
        answer: dict[str, Any] = msgspec.json.decode(self._gateway.engine.explain(encode_question(question)))
        return answer

    def _take_answer(self, published: Published | None) -> None:
        """Brings the report up to what the data plane says now."""
        state = self._gateway.agent.state
        error = published.error if published is not None else ""
        applied = Applied(version=state.version, rejected=state.rejected, listeners=state.listeners, error=error)
        report = self._pipeline.answer(applied)
        refused = () if not error else (Problem(message=f"the engine refused the whole table: {error}"),)
        self._problems = (*refused, *report.problems)
        self._report = StatusReport(
            gateways=(
                GatewayVersion(name="standalone", version=state.version, wanted=self._publisher.version, error=error),
            ),
            objects=report.objects,
            problems=self._problems,
            left_alone=report.left_alone,
        )

    def _reported(self) -> StatusReport:
        """The report, with the sidecars as they are now."""
        if self._mesh_authority is None:
            return self._report
        gateways = (*self._report.gateways, *self._mesh_authority.sidecars())
        return msgspec.structs.replace(self._report, gateways=gateways, workloads=self._pipeline.workloads())

    # --- changes --------------------------------------------------------------------------------

    async def _follow_changes(self) -> None:
        reader = asyncio.create_task(self._read_changes(self._queue), name="manifests")
        try:
            async for batch in batches(self._queue):
                try:
                    await self._change(batch)
                except Exception as error:
                    logger.exception("a change could not be taken over")
                    text = f"a change could not be taken over: {error!r}; the table before it is served"
                    self._report = msgspec.structs.replace(
                        self._report, problems=(Problem(message=text), *self._problems)
                    )
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _read_changes(self, queue: asyncio.Queue[Change]) -> None:
        async for change in self._source.changes():
            await queue.put(change)

    async def _change(self, batch: list[Change]) -> None:
        began = time.perf_counter()
        before, problems, places_before = self._publisher.held, self._problems, self._pipeline.places
        places = self._source.places()
        changed = self._pipeline.take(batch, places)
        self._key_sets.want(self._pipeline.key_locations)
        published = await self._publisher.publish(self._pipeline.table)
        self._publish_sidecars()
        milliseconds = (time.perf_counter() - began) * 1000
        self._take_answer(published)
        known, now = set(problems), set(self._problems)
        announce_change(
            self._writer,
            Changed(
                files=_files(changed, places, places_before),
                before=before,
                after=self._publisher.held,
                version=self._gateway.agent.state.version,
                milliseconds=milliseconds,
                problems=tuple(problem for problem in self._problems if problem not in known),
                solved=len(known - now),
            ),
        )

    async def _retry_unbound(self) -> None:
        """A port that was taken may be free by now; the engine tries again with every update."""
        while True:
            await asyncio.sleep(_RETRY_BIND_SECONDS)
            unbound = {state.key for state in self._gateway.agent.state.unbound}
            if not unbound:
                continue
            await self._gateway.agent.refresh()
            bound = unbound - {state.key for state in self._gateway.agent.state.unbound}
            if bound:
                self._take_answer(None)
            for listener in self._publisher.held.listeners:
                if listener.key in bound:
                    where = f" on {describe.listener_url(listener)} ({listener.key})"
                    self._writer.line(("now listening", "good"), where)

    # --- the end --------------------------------------------------------------------------------

    def _signalled(self) -> None:
        if self._stop.is_set():
            self._writer.line("stopped at once")
            os._exit(1)
        self._stop.set()

    def _authority_ended(self, task: asyncio.Task[None]) -> None:
        """Traffic goes on without it, but not unsaid."""
        if not task.cancelled() and task.exception() is not None:
            logger.critical("the mesh's authority ended", exc_info=task.exception())

    async def _drain(self) -> None:
        active = self._gateway.active_connections()
        if active:
            seconds = self._settings.gateway.drain_seconds
            again = ", Ctrl-C again to stop at once" if self._writer.styled else ""
            self._writer.line(f"draining {counted(active, 'connection')} for at most {seconds:g} s{again}")
        left = await self._gateway.drain()
        self._writer.line("stopped" if not left else f"stopped with {counted(left, 'connection')} still open")


def run_standalone(settings: StandaloneSettings, writer: Writer) -> int:
    """Runs `sekisho up` to its end; the exit status."""
    return run_until_done(lambda: Standalone(settings, writer).run())


def run_until_done(program: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Runs a program on the process's own event loop."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(program())


def _files(changed: frozenset[Key], after: Mapping[Key, str], before: Mapping[Key, str]) -> tuple[str, ...]:
    """The names of the files that the changed objects stand in, or stood in."""
    places = (after.get(key) or before.get(key, "") for key in changed)
    return tuple(sorted({Path(place.rpartition(":")[0]).name for place in places if place}))
