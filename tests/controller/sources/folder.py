"""A folder of manifests for tests, with a clock of its own."""

from __future__ import annotations

import time
from pathlib import Path

from controller.sources import ManifestSource
from controller.store import Key


def config_map(name: str, text: str = "x") -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  text: {text}\n"


def key(name: str) -> Key:
    return Key("ConfigMap", "default", name)


class Folder:
    """Files below ``root``; ``now`` is what sources take for the time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = time.time()

    def source(self) -> ManifestSource:
        return ManifestSource([self.root], now=lambda: self.now)

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def remove(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)
