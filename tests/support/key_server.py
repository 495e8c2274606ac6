"""An issuer's web server: gives its key set, and misbehaves as it is told to."""

from __future__ import annotations

import http.server
import json
import threading
from types import TracebackType
from typing import Self

from tests.support.tokens import Issuer

DISCOVERY = "/.well-known/openid-configuration"
SECONDS_OF_SLOWNESS = 30.0


class KeyServer:
    """Serves ``/keys``, and the document that names it. ``behaviour``: good, error, garbage, huge, slow, redirect."""

    def __init__(self, issuer: Issuer, *, max_age: int | None = 1) -> None:
        self.issuer = issuer
        self.behaviour = "good"
        self.asked = 0
        self._ending = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler(max_age))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.address}/keys"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _handler(self, max_age: int | None) -> type[http.server.BaseHTTPRequestHandler]:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                status, body = outer.answer(self.path)
                self.send_response(status)
                if status == 302:
                    self.send_header("location", outer.url)
                if max_age is not None:
                    self.send_header("cache-control", f"max-age={max_age}")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def answer(self, path: str) -> tuple[int, bytes]:
        if path == DISCOVERY:
            return 200, json.dumps({"issuer": self.issuer.name, "jwks_uri": self.url}).encode()
        match self.behaviour:
            case "error":
                return 500, b""
            case "redirect":
                return 302, b""
            case "garbage":
                return 200, b"<html>sign in first</html>"
            case "huge":
                return 200, b" " * (2 << 20)
            case "slow":
                self._ending.wait(SECONDS_OF_SLOWNESS)
        return 200, self.issuer.jwks().encode()
