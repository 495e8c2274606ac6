"""A workload for tests on the one-machine cluster: tells what it was asked, and asks others on behalf of a test.

Run as a program, with nothing but Python. It listens on port 8080 of every address.

* ``/call`` makes the request that the headers describe: ``x-call-url``, ``x-call-method``, ``x-call-headers`` (JSON);
  the answer is JSON with ``status``, ``body`` and ``seconds``, or ``error`` where there was none.
* Everything else is answered with what was asked. ``status=`` and ``delay=`` (seconds) in the query say how;
  ``flaky=KEY`` is answered with 503 until it was asked for ``times=`` times.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

PORT = 8080
_CALL_SECONDS = 10.0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: ClassVar[Counter[str]] = Counter()
    lock: ClassVar[threading.Lock] = threading.Lock()

    def do_GET(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        self.rfile.read(length)
        if self.path.startswith("/call"):
            self._answer(200, self._called())
            return
        wanted = {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}
        time.sleep(float(wanted.get("delay", 0)))
        self._answer(self._status(wanted), self._told())

    def do_POST(self) -> None:
        self.do_GET()

    def _status(self, wanted: dict[str, str]) -> int:
        if "flaky" not in wanted:
            return int(wanted.get("status", 200))
        with self.lock:
            self.asked[wanted["flaky"]] += 1
            return 503 if self.asked[wanted["flaky"]] < int(wanted.get("times", 1)) else 200

    def _told(self) -> dict[str, object]:
        return {
            "pod": os.environ.get("POD_NAME", ""),
            "workload": os.environ.get("WORKLOAD", ""),
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "client": self.client_address[0],
        }

    def _called(self) -> dict[str, object]:
        url = urlsplit(self.headers["x-call-url"])
        headers = json.loads(self.headers.get("x-call-headers") or "{}")
        begun = time.monotonic()
        connection = HTTPConnection(url.hostname or "", url.port or 80, timeout=_CALL_SECONDS)
        try:
            path = f"{url.path or '/'}?{url.query}"
            connection.request(self.headers.get("x-call-method", "GET"), path, headers=headers)
            answer = connection.getresponse()
            body = answer.read().decode(errors="replace")
            return {"status": answer.status, "body": body, "seconds": time.monotonic() - begun}
        except (OSError, HTTPException) as error:
            return {"error": f"{type(error).__name__}: {error}"}
        finally:
            connection.close()

    def _answer(self, status: int, document: dict[str, object]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", PORT), _Handler).serve_forever()
