"""The discovery half of a controller in the test's own process: real TLS on the loopback, tokens by table."""

from __future__ import annotations

import asyncio
import datetime
import inspect
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from controller.ca.authority import Authority, AuthoritySettings
from controller.ca.join_tokens import TokenBook
from controller.ca.service_account import ServiceAccount, UnverifiableError
from controller.publish.discovery import DiscoveryParts
from controller.publish.server import DiscoveryServer
from controller.publish.stream_response import Pace
from controller.publish.subscriptions import Subscriptions
from gateway.agent.agent import Agent
from gateway.agent.discovery import Discovery, Subscriber
from gateway.identity.controller_source import ControllerSource
from gateway.identity.settings import IdentitySettings
from gateway.routing_table.model import Applied, Resources
from tests.support.fake_engine import FakeEngine

EDGE = ServiceAccount("prod", "edge-sekisho")
CONTROLLER = ServiceAccount("sekisho-system", "sekisho-controller")
TABLE = "prod/edge"
TOKEN = "the-token-of-the-edge"


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class ControllerHalf:
    """Use it as an async context, again after its end for a restart on the same port."""

    def __init__(
        self,
        authority: Authority | None = None,
        *,
        pace: Pace | None = None,
        patience: float = 5.0,
        lifetime: float = 3600.0,
        port: int = 0,
    ) -> None:
        settings = AuthoritySettings(lifetime=datetime.timedelta(seconds=lifetime))
        self.authority = authority or Authority.create(settings)
        self.tokens: dict[str, ServiceAccount] = {TOKEN: EDGE}
        self.tables: dict[ServiceAccount, str] = {EDGE: TABLE}
        self.workloads: dict[tuple[ServiceAccount, str], str] = {}
        self.told: list[str] = []
        self.book = TokenBook()
        self.reviews = 0
        self.reviews_fail = False
        self.port = port
        self._pace = pace or Pace(heartbeat=0.2, silence=2.0)
        self._patience = patience
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.subscriptions: Subscriptions

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def _table_of(self, account: ServiceAccount, workload: str) -> str | None:
        return self.workloads.get((account, workload)) if workload else self.tables.get(account)

    async def _review(self, token: str) -> ServiceAccount | None:
        self.reviews += 1
        if self.reviews_fail:
            raise UnverifiableError("the API server is away")
        return self.tokens.get(token)

    async def _join(self, token: str) -> ServiceAccount:
        self.book, account = self.book.without(token, utc_now())
        return account

    def join_token(self, account: ServiceAccount = EDGE, life: float = 60.0) -> str:
        self.book, token = self.book.with_new(account, datetime.timedelta(seconds=life), utc_now())
        return token

    async def __aenter__(self) -> ControllerHalf:
        self.subscriptions = Subscriptions(self.told.append, patience=self._patience)
        parts = DiscoveryParts(
            subscriptions=self.subscriptions,
            authority=self.authority,
            tokens=self._review,
            table_of=self._table_of,
            account=CONTROLLER,
            replica="controller-1",
            pace=self._pace,
            join=self._join,
        )
        server = DiscoveryServer("127.0.0.1", self.port, parts, ("localhost",))
        self.port = server.port
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(server.run(self._stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        if self._task is not None:
            await self._task

    def set(self, table: Resources, name: str = TABLE) -> None:
        self.subscriptions.set_tables({name: table})

    async def answer(self, name: str = TABLE) -> Applied:
        """The answer to the table as it is wanted now, once there is one."""
        found = await soon(lambda: self.subscriptions.answer(name))
        assert isinstance(found, Applied)
        return found


class GatewayHalf:
    """A gateway without traffic: agent, identity and discovery as in the process, on an engine that a test asks."""

    def __init__(
        self,
        directory: Path,
        controller: ControllerHalf,
        *,
        token: str = TOKEN,
        name: str = "edge-1",
        bundle: str = "",
        joins: bool = False,
        url: str = "",
        workload: str = "",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.token = directory / "token"
        self.token.write_text(token)
        self.bundle = directory / "ca.crt"
        self.bundle.write_text(bundle or controller.authority.bundle_pem)
        self.engine = FakeEngine()
        self.agent = Agent(self.engine, None, lambda: 1_000.0)
        settings = IdentitySettings(
            controller=url or controller.url,
            trust_bundle=self.bundle,
            token=None if joins else self.token,
            join_token=self.token if joins else None,
        )
        self.identity = ControllerSource(settings, utc_now, random.random)
        self.discovery = Discovery(controller.url, Subscriber(name, workload), self.agent, self.identity, lambda: 0.0)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> GatewayHalf:
        self._tasks = [asyncio.create_task(self.discovery.run()), asyncio.create_task(self.identity.keep())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def error(self) -> str:
        return self.discovery.state.last_error


async def soon(probe: Callable[[], Any], *, within: float = 15.0) -> Any:
    """The first true result of ``probe``, which may be asynchronous."""
    async with asyncio.timeout(within):
        while True:
            result = probe()
            if inspect.isawaitable(result):
                result = await result
            if result:
                return result
            await asyncio.sleep(0.01)


def kinds_sent(engine: FakeEngine) -> list[str]:
    """``snapshot`` or ``delta``, for each update an engine was given."""
    return ["snapshot" if b'"snapshot"' in update[:40] else "delta" for update in engine.updates]


def headers(token: str = TOKEN) -> Mapping[str, str]:
    return {"authorization": f"Bearer {token}"}
