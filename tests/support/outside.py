"""An "outside" in network namespaces of a test's own: hosts at public, private and metadata addresses, and DNS.

Two namespaces, joined by a pair of interfaces: in one the gateway and its clients, in the other everything else.
Sockets belong to the namespace of the thread that made them, so that servers and clients live in the test's process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PUBLIC, OTHER_PUBLIC, THIRD_PUBLIC = "93.184.216.10", "93.184.216.20", "93.184.216.30"
PRIVATE, METADATA, SHARED = "10.9.9.9", "169.254.169.254", "100.64.0.9"
ADDRESSES = (PUBLIC, OTHER_PUBLIC, THIRD_PUBLIC, PRIVATE, METADATA, SHARED)
GATEWAY, BEYOND = "172.30.77.1", "172.30.77.2"
NAME_SERVER = f"{BEYOND}:53"

_NEW_NETWORK = 0x40000000
Zone = Mapping[str, Sequence[str] | Callable[[], Sequence[str]]]
"""Addresses of a name, or ``name.`` for an alias; called for each question where it is a function."""


def can_make_namespaces() -> bool:
    return os.geteuid() == 0 and shutil.which("ip") is not None


class Namespace:
    """A network namespace; entering it makes it, leaving it removes it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._thread = ThreadPoolExecutor(max_workers=1, initializer=self.enter)

    def make(self) -> None:
        _ip("netns", "add", self.name)
        _ip("-n", self.name, "link", "set", "lo", "up")

    def remove(self) -> None:
        self._thread.shutdown()
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True, timeout=10)

    def enter(self) -> None:
        """Moves the calling thread."""
        with Path(f"/run/netns/{self.name}").open(encoding="ascii") as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _NEW_NETWORK) != 0:
                raise OSError(ctypes.get_errno(), f"setns to {self.name}")

    def run(self, work: Callable[[], T], within: float = 30) -> T:
        """Do something in the namespace; for what makes sockets."""
        return self._thread.submit(work).result(timeout=within)

    def connect(self, address: str, port: int, source: str = "") -> socket.socket:
        return self.run(lambda: socket.create_connection((address, port), timeout=10, source_address=(source, 0)))


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=10)


class Outside:
    """Everything beyond the gateway: answers on ports 80 and 443 of every address, and counts who reached what."""

    def __init__(self, zone: Zone, context: ssl.SSLContext, *, within: str = "") -> None:
        """``within``: a namespace that is there already, whose way to everything else this becomes."""
        tag = f"{os.getpid() % 100_000}"
        self.inside, self.beyond = Namespace(within or f"egi{tag}"), Namespace(f"ego{tag}")
        self._made = (self.beyond,) if within else (self.inside, self.beyond)
        self.zone = dict(zone)
        self.reached: list[tuple[str, int]] = []
        """Address and port of each connection that brought a byte."""
        self.requests: list[tuple[str, str]] = []
        """Each request in the clear or over TLS: the address it came to, and its head."""
        self.heard: list[tuple[float, str]] = []
        """When (monotonic) bytes came, and at which address."""
        self.forged: dict[str, str] = {}
        """Names whose true answer comes behind others that somebody made up, with this address."""
        self.questions: list[str] = []
        self._context = context
        self._open: list[socket.socket] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[Outside]:
        try:
            for namespace in self._made:
                namespace.make()
            self._join()
            self._serve()
            yield self
        finally:
            for one in self._open:
                one.close()
            for namespace in self._made:
                namespace.remove()

    def hosts(self, address: str) -> list[str]:
        """What the requests to an address had as their Host."""
        heads = [head for reached, head in self.requests if reached == address]
        return [line[6:] for head in heads for line in head.split("\r\n") if line.lower().startswith("host: ")]

    def _join(self) -> None:
        one, other = self.inside.name, self.beyond.name
        _ip("-n", one, "link", "add", "out0", "type", "veth", "peer", "name", "eth0", "netns", other)
        for namespace, link, address in ((one, "out0", GATEWAY), (other, "eth0", BEYOND)):
            _ip("-n", namespace, "addr", "add", f"{address}/30", "dev", link)
            _ip("-n", namespace, "link", "set", link, "up")
        for address in ADDRESSES:
            _ip("-n", other, "addr", "add", f"{address}/32", "dev", "lo")
        _ip("-n", one, "route", "replace", "default", "via", BEYOND)

    def _serve(self) -> None:
        for port in (80, 443, 8443):
            listener = self.beyond.run(lambda port=port: socket.create_server(("0.0.0.0", port), backlog=64))  # type: ignore[misc]
            self._open.append(listener)
            threading.Thread(target=self._accept, args=(listener, port), daemon=True).start()
        names = self.beyond.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        names.bind((BEYOND, 53))
        self._open.append(names)
        threading.Thread(target=self._answer_names, args=(names,), daemon=True).start()

    def _accept(self, listener: socket.socket, port: int) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection, port), daemon=True).start()

    def _talk(self, connection: socket.socket, port: int) -> None:
        address = connection.getsockname()[0]
        with contextlib.suppress(OSError), connection:
            connection.settimeout(30)
            if not connection.recv(1, socket.MSG_PEEK):
                return
            self.reached.append((address, port))
            stream = connection if port == 80 else self._context.wrap_socket(connection, server_side=True)
            while request := stream.recv(65536):
                self.heard.append((time.monotonic(), address))
                self.requests.append((address, request.decode("latin-1")))
                if b"?wait" in request.split(b"\r\n", 1)[0]:
                    continue
                body = f"outside {address}".encode()
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def _answer_names(self, names: socket.socket) -> None:
        while True:
            try:
                question, client = names.recvfrom(4096)
            except OSError:
                return
            with contextlib.suppress(OSError, IndexError, struct.error):
                answer = self.answer(question)
                for made_up in self._forgeries(question):
                    names.sendto(made_up, client)
                names.sendto(answer, client)

    def _forgeries(self, question: bytes) -> Iterator[bytes]:
        """Answers with another identifier, and to another question."""
        name, rest = self._named(question)
        address = self.forged.get(name)
        if address is None:
            return
        header = struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0)
        record = _record(address, 1) or b""
        identifier = bytes(255 - byte for byte in question[:2])
        yield identifier + header + question[12:rest] + record
        yield question[:2] + header + _name("other.example") + question[rest - 4 : rest] + record

    def _named(self, question: bytes) -> tuple[str, int]:
        """The name that is asked for, and where its question ends."""
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode("ascii"))
            at += 1 + question[at]
        return ".".join(labels).lower(), at + 5

    def answer(self, question: bytes) -> bytes:
        """To one message of DNS, whatever carried it."""
        name, end = self._named(question)
        kind = struct.unpack("!H", question[end - 4 : end - 2])[0]
        self.questions.append(name)
        found = self.zone.get(name)
        values = [] if found is None else list(found() if callable(found) else found)
        records = [record for value in values if (record := _record(value, kind)) is not None]
        if len(values) == 1 and values[0].endswith("."):
            target = values[0].removesuffix(".")
            further = self.zone.get(target, ())
            more = further() if callable(further) else further
            records += [record for value in more if (record := _record(value, kind, owner=_name(target))) is not None]
        flags = 0x8180 if found is not None else 0x8183
        header = question[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
        return header + question[12:end] + b"".join(records)


def _name(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _record(value: str, kind: int, owner: bytes = b"\xc0\x0c") -> bytes | None:
    if value.endswith("."):
        data = _name(value.removesuffix("."))
        return owner + struct.pack("!HHIH", 5, 1, 0, len(data)) + data
    family, code = (socket.AF_INET6, 28) if ":" in value else (socket.AF_INET, 1)
    if code != kind:
        return None
    data = socket.inet_pton(family, value)
    return owner + struct.pack("!HHIH", code, 1, 0, len(data)) + data
