"""A WebSocket backend that echoes messages and reports the request that opened the connection."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.support.backends.threaded import stay
from tests.support.ports import free_port

_SILENT = logging.getLogger("websocket backend")
# Its thread outlives the streams that a test's log goes to.
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class WebSocketBackend:
    """The message ``report`` is answered with the opening request; ``close CODE`` closes with that code."""

    address = "127.0.0.1"
    """Where it listens; another is set before the start."""

    def __init__(self, name: str = "websocket", *, port: int | None = None) -> None:
        self.name = name
        self.enter: Callable[[], None] = stay
        """What its thread does first, such as entering a network namespace; set before the start."""
        self.port = port or free_port()
        self.opened = 0
        self.closed_codes: list[int | None] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"backend {name}", daemon=True)
        self._server: Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(timeout=5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    def _run(self) -> None:
        self.enter()
        self._loop.run_forever()

    async def _listen(self) -> Server:
        return await serve(
            self._echo,
            self.address,
            self.port,
            logger=_SILENT,
            select_subprotocol=_select,
            max_size=16 * 1024 * 1024,
            ping_interval=None,
        )

    async def _shut(self) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self._server.connections):
            connection.transport.abort()
        await self._server.wait_closed()

    async def _echo(self, connection: ServerConnection) -> None:
        self.opened += 1
        request = connection.request
        assert request is not None
        try:
            async for message in connection:
                if message == "report":
                    await connection.send(
                        json.dumps(
                            {
                                "backend": self.name,
                                "path": request.path,
                                "headers": list(request.headers.raw_items()),
                                "subprotocol": connection.subprotocol,
                            }
                        )
                    )
                elif isinstance(message, str) and message.startswith("close "):
                    await connection.close(int(message.split()[1]), "as ordered")
                else:
                    await connection.send(message)
        except ConnectionClosed:
            pass  # its code is recorded below
        finally:
            self.closed_codes.append(connection.close_code)


def _select(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((name for name in offered if name in {"chat", "superchat"}), None)
