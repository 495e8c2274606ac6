"""An asyncio server on a thread of its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.support.backends.exchange import Journal
from tests.support.ports import free_port

T = TypeVar("T")


class ThreadedServer:
    """Starts and stops with a block; subclasses say how to listen."""

    address = "127.0.0.1"
    """Where it listens; another is set before the start."""

    def __init__(self, name: str, *, tls: ssl.SSLContext | None = None, port: int | None = None) -> None:
        self.name = name
        self.tls = tls
        self.port = port or free_port()
        self.journal = Journal()
        self.enter: Callable[[], None] = stay
        """What its thread does first, such as entering a network namespace; set before the start."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"backend {name}", daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.BaseTransport] = set()

    async def listen(self) -> asyncio.Server:
        raise NotImplementedError

    def start(self) -> None:
        self._thread.start()
        self._server = self.call(self.listen())

    def stop(self) -> None:
        """Stop listening, and cut every connection."""
        self.call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the server's thread, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    def cut_connections(self) -> None:
        """Abort every open connection, as a crashing backend does."""

        async def cut() -> None:
            self._abort()

        self.call(cut())

    def stop_listening(self) -> None:
        """Refuse new connections; the open ones go on."""

        async def close() -> None:
            assert self._server is not None
            self._server.close()

        self.call(close())

    def listen_again(self) -> None:
        self._server = self.call(self.listen())

    def track(self, transport: asyncio.BaseTransport) -> None:
        self._writers.add(transport)

    def forget(self, transport: asyncio.BaseTransport) -> None:
        self._writers.discard(transport)

    @property
    def open_connections(self) -> int:
        return len(self._writers)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
        self._abort()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _abort(self) -> None:
        for transport in list(self._writers):
            assert isinstance(transport, asyncio.WriteTransport)
            transport.abort()

    def _run(self) -> None:
        self.enter()
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def stay() -> None:
    """Nothing."""


def tls_facts(transport: asyncio.BaseTransport) -> dict[str, str | None] | None:
    """What the backend's side of a TLS connection knows."""
    session = transport.get_extra_info("ssl_object")
    if session is None:
        return None
    return {
        "version": session.version(),
        "alpn": session.selected_alpn_protocol(),
        "sni": getattr(session, "requested_name", None),
        "client": "yes" if session.getpeercert(binary_form=True) else None,
    }


def record_server_names(context: ssl.SSLContext) -> ssl.SSLContext:
    """Keep on each session the SNI that its client sent."""

    def remember(session: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        session.requested_name = name  # type: ignore[attr-defined]

    context.sni_callback = remember
    return context
