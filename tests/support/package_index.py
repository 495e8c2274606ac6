"""A package index with one package, over TLS, for pip."""

from __future__ import annotations

import base64
import hashlib
import http.server
import ssl
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

NAME, VERSION = "outside-demo", "1.0"
_MODULE = "outside_demo"
WHEEL = f"{_MODULE}-{VERSION}-py3-none-any.whl"


def write_index(directory: Path) -> None:
    """A simple index (PEP 503) below ``simple``, and the wheel that it names."""
    folder = directory / "simple" / NAME
    folder.mkdir(parents=True)
    files = {
        f"{_MODULE}.py": b"ANSWER = 42\n",
        f"{_MODULE}-{VERSION}.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n".encode()
        ),
        f"{_MODULE}-{VERSION}.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items())
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)
        wheel.writestr(f"{_MODULE}-{VERSION}.dist-info/RECORD", record)
    (folder / "index.html").write_text(f'<!DOCTYPE html><a href="{WHEEL}">{WHEEL}</a>')


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


Server = http.server.ThreadingHTTPServer


@contextmanager
def serving(
    directory: Path, address: tuple[str, int], context: ssl.SSLContext, make: Callable[[Callable[[], Server]], Server]
) -> Iterator[None]:
    """``make`` calls what it is given where the socket is to be, such as in a network namespace."""
    server = make(lambda: Server(address, partial(_Quiet, directory=str(directory))))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(timeout=5)
        server.server_close()
