"""`sekisho up` as a process: manifests in a folder, its admin endpoint, access log and memory."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.manifests import Manifest, write
from tests.support.ports import free_port
from tests.support.processes import ManagedProcess
from tests.support.waiting import eventually

START_SECONDS = 20.0
APPLY_SECONDS = 10.0


def sekisho_command(*arguments: str | Path) -> list[str]:
    """The command line of `sekisho`; ``SEKISHO_COMMAND`` replaces the program."""
    chosen = os.environ.get("SEKISHO_COMMAND")
    installed = Path(sys.executable).with_name("sekisho")
    if chosen:
        program = shlex.split(chosen)
    elif installed.exists():
        program = [str(installed)]
    else:
        program = [sys.executable, "-m", "controller.cli"]
    return [*program, *(str(argument) for argument in arguments)]


def run_sekisho(*arguments: str | Path, within: float = 30.0) -> subprocess.CompletedProcess[str]:
    """Run a command of `sekisho` to its end."""
    return subprocess.run(
        sekisho_command(*arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=within,
        stdin=subprocess.DEVNULL,
    )


class Sekisho:
    """One standalone gateway. Entering waits until it is ready."""

    def __init__(
        self,
        directory: Path,
        manifests: Iterable[Manifest] | str = (),
        *,
        arguments: Sequence[str | Path] = (),
        workers: int = 2,
        wait: bool = True,
    ) -> None:
        self.directory = directory
        self.manifests = directory / "manifests"
        self.manifests.mkdir(parents=True, exist_ok=True)
        self.state = directory / "state"
        self.log = directory / "access.log"
        self.admin_port = free_port()
        self._wait = wait
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self.admin_port}", trust_env=False, timeout=10)
        if manifests:
            self.write(manifests)
        options: list[str | Path] = ["--admin", f"127.0.0.1:{self.admin_port}", "--state-dir", self.state]
        options += ["--workers", str(workers), "--access-log", self.log]
        command = sekisho_command("up", "-f", self.manifests, *options, *arguments)
        self.process = ManagedProcess(command, directory / "output.log")

    # --- manifests ------------------------------------------------------------------------------

    def write(self, manifests: Iterable[Manifest] | str, name: str = "main") -> None:
        """Create or replace a file of the folder that is watched."""
        write(self.manifests / f"{name}.yaml", manifests)

    def remove(self, name: str) -> None:
        (self.manifests / f"{name}.yaml").unlink()

    def change(self, manifests: Iterable[Manifest] | str, name: str = "main") -> None:
        """Write a file, and wait until the data plane serves what it says."""
        before = self.version()
        self.write(manifests, name)
        try:
            eventually(lambda: self.version() != before, within=APPLY_SECONDS, what="a new table in force")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output()[-4000:]}") from error

    # --- admin endpoint -------------------------------------------------------------------------

    def admin(self, path: str, **parameters: str) -> httpx.Response:
        return self._client.get(path, params=parameters)

    def version(self) -> str:
        return str(self.admin("/healthz/ready").json()["version"])

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = self.admin("/status").json()
        return document

    def explain(self, url: str, method: str = "GET", headers: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        """What the live table does with a request."""
        answer = self._client.post(
            "/explain", json={"method": method, "url": url, "headers": [list(h) for h in headers]}
        )
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples that carry these labels."""
        total = 0.0
        for line in self.admin("/metrics").text.splitlines():
            head, _, value = line.rpartition(" ")
            if head.partition("{")[0] == name and all(f'{key}="{text}"' in head for key, text in labels.items()):
                total += float(value)
        return total

    # --- what it writes -------------------------------------------------------------------------

    def access_log(self) -> list[dict[str, Any]]:
        """The records written so far."""
        if not self.log.exists():
            return []
        whole = self.log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def logged(self, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for the access log's record of a request; it must be the only one that matches."""

        def find() -> list[dict[str, Any]]:
            return [record for record in self.access_log() if matches(record)]

        found = eventually(find, what="the access log's record")
        assert len(found) == 1, f"{len(found)} records match: {found}"
        return found[0]

    def output(self) -> str:
        return self.process.output()

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        self.process.start()
        if self._wait:
            self.wait_until_ready()

    def ready(self) -> bool:
        code = self.process.exit_code
        if code is not None:
            raise RuntimeError(f"sekisho ended with {code}:\n{self.output()}")
        try:
            return self.admin("/healthz/ready").status_code == 200
        except httpx.TransportError:
            return False

    def wait_until_ready(self) -> None:
        try:
            eventually(self.ready, within=START_SECONDS, what="readiness")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output()}") from error

    def stop(self) -> int:
        self._client.close()
        return self.process.stop(within=15)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
