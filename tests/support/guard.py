"""A service for external authorization: says what the client asks it to say, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

VERDICT = "x-verdict"
"""Header with the answer wanted, as JSON: ``status``, ``headers``, ``body`` and ``delay`` in seconds."""


@dataclass(frozen=True)
class Asked:
    """One question."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case."""
    connection: int
    """The client's port, the same for all questions of one connection."""


@dataclass
class Guard:
    """Listens on loopback while it is entered. Without a verdict in the request it allows."""

    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    def __enter__(self) -> Self:
        guard = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                guard.asked.append(Asked(self.command, self.path, headers, self.client_address[1]))
                verdict: dict[str, Any] = json.loads(headers.get(VERDICT, "{}"))
                time.sleep(verdict.get("delay", 0))
                body = str(verdict.get("body", "")).encode()
                self.send_response(verdict.get("status", 200))
                for name, value in verdict.get("headers", {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                # Whoever asked may not have waited.
                with contextlib.suppress(ConnectionError):
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(body)

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                """Says nothing."""

        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
            setattr(Handler, f"do_{method}", Handler.answer)
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self) -> list[Asked]:
        """The questions since the last call."""
        taken, self.asked = self.asked, []
        return taken


def verdict(status: int = 200, body: str = "", delay: float = 0, **headers: str) -> str:
    """The header for curl that brings this answer about; ``_`` in names stands for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return f"{VERDICT}: " + json.dumps({"status": status, "body": body, "delay": delay, "headers": named})
