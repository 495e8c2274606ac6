"""An engine of the test's own, and backends of streams and datagrams behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.layer4 import (
    DatagramBackend,
    Edge,
    StreamBackend,
)
from tests.support.ports import free_port


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    edge = Edge(tmp_path / "access.log")
    yield edge
    edge.engine.close()


@pytest.fixture
def streams() -> Iterator[dict[str, StreamBackend]]:
    """Two plain backends."""
    backends = {name: StreamBackend(name) for name in ("one", "two")}
    yield backends
    for backend in backends.values():
        backend.close()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def datagrams() -> Iterator[dict[str, DatagramBackend]]:
    backends = {name: DatagramBackend(name) for name in ("one", "two")}
    yield backends
    for backend in backends.values():
        backend.close()
