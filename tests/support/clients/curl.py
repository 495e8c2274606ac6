"""curl, the client that people try first."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.backends.exchange import Received

MAX_SECONDS = 20


@dataclass(frozen=True)
class CurlResult:
    """What curl reports of its last transfer."""

    exit_code: int
    status: int
    version: str
    """``1.0``, ``1.1`` or ``2``."""
    headers: list[tuple[str, str]]
    """Header and trailer fields of the last response, names in lower case."""
    interim: list[int]
    """Status codes of the responses before the last."""
    body: bytes
    errors: str

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name.lower()]
        assert len(values) < 2, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def report(self) -> Received:
        """What the backend says that it received."""
        assert self.body, f"curl got no body: status {self.status}, {self.errors}"
        return Received.from_report(self.body)


def curl(url: str, *arguments: str | Path) -> CurlResult:
    """Run curl once; it gives up by itself after :data:`MAX_SECONDS`."""
    with tempfile.TemporaryDirectory() as directory:
        head, body = Path(directory, "head"), Path(directory, "body")
        command = ["curl", "--silent", "--show-error", "--max-time", str(MAX_SECONDS), "--noproxy", "*"]
        command += ["--dump-header", str(head), "--output", str(body), "--write-out", "%{json}"]
        done = subprocess.run(
            [*command, *(str(part) for part in arguments), url],
            capture_output=True,
            text=True,
            check=False,
            timeout=MAX_SECONDS + 5,
        )
        facts = json.loads(done.stdout)
        blocks = _blocks(head.read_bytes().decode("latin-1") if head.exists() else "")
        return CurlResult(
            exit_code=done.returncode,
            status=int(facts["http_code"]),
            version=str(facts["http_version"]),
            headers=blocks[-1][1] if blocks else [],
            interim=[status for status, _ in blocks[:-1]],
            body=body.read_bytes() if body.exists() else b"",
            errors=done.stderr.strip(),
        )


def _blocks(text: str) -> list[tuple[int, list[tuple[str, str]]]]:
    blocks: list[tuple[int, list[tuple[str, str]]]] = []
    for line in text.split("\r\n"):
        if line.startswith("HTTP/"):
            blocks.append((int(line.split(" ")[1]), []))
        elif line and blocks:
            name, _, value = line.partition(":")
            blocks[-1][1].append((name.lower(), value.strip()))
    return blocks
