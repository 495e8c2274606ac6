"""Network namespaces of a test's own, joined by a link; they need root, and are gone with the test."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_SECONDS = 30.0
_NETWORK = 0x4000_0000  # CLONE_NEWNET
_LIBC = ctypes.CDLL(None, use_errno=True)


def missing() -> str:
    """What keeps namespaces from being made here, or empty."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    return "the program ip is not installed" if shutil.which("ip") is None else ""


needs_namespaces = pytest.mark.skipif(bool(missing()), reason=missing())


def run(*command: str | Path, text: str = "") -> str:
    """Run a program to its end; what it printed."""
    ended = subprocess.run(
        [str(part) for part in command], input=text, capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    assert ended.returncode == 0, f"{command} ended with {ended.returncode}: {ended.stderr}"
    return ended.stdout


@dataclass(frozen=True)
class NetworkNamespace:
    """One namespace: its loopback is up."""

    name: str

    def command(self, *command: str | Path) -> list[str]:
        """A command line that runs inside."""
        return ["ip", "netns", "exec", self.name, *(str(part) for part in command)]

    def run(self, *command: str | Path, text: str = "") -> str:
        return run(*self.command(*command), text=text)

    def enter(self) -> None:
        """Have the calling thread's new sockets be of this namespace."""
        with (Path("/run/netns") / self.name).open("rb") as file:
            _set_namespace(file.fileno())

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The same for a while: a socket stays where it was made."""
        with Path("/proc/thread-self/ns/net").open("rb") as before:
            self.enter()
            try:
                yield
            finally:
                _set_namespace(before.fileno())


def _set_namespace(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _NETWORK) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def namespace() -> Iterator[NetworkNamespace]:
    """A namespace by itself."""
    made = NetworkNamespace(f"sekisho-{uuid.uuid4().hex[:8]}")
    run("ip", "netns", "add", made.name)
    try:
        made.run("ip", "link", "set", "lo", "up")
        yield made
    finally:
        run("ip", "netns", "delete", made.name)


@contextmanager
def network(addresses: Sequence[str]) -> Iterator[tuple[NetworkNamespace, list[NetworkNamespace]]]:
    """A namespace with a bridge, and one namespace for each address (``10.0.0.1/24``), linked to it."""
    with namespace() as switch:
        switch.run("ip", "link", "add", "br0", "type", "bridge")
        switch.run("ip", "link", "set", "br0", "up")
        made: list[NetworkNamespace] = []
        try:
            for index, address in enumerate(addresses):
                one = NetworkNamespace(f"sekisho-{uuid.uuid4().hex[:8]}")
                run("ip", "netns", "add", one.name)
                made.append(one)
                one.run("ip", "link", "set", "lo", "up")
                port = f"p{index}"
                switch.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", one.name)
                switch.run("ip", "link", "set", port, "master", "br0", "up")
                one.run("ip", "address", "add", address, "dev", "eth0")
                one.run("ip", "link", "set", "eth0", "up")
                one.run("ip", "route", "add", "default", "dev", "eth0")
            yield switch, made
        finally:
            for one in made:
                run("ip", "netns", "delete", one.name)
