"""Engines of one mesh: the edge, a sidecar, and the app behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.backends.http1 import Http1Backend
from tests.support.mesh_engine import Mesh, Node


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return Mesh()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def app(stack: ExitStack) -> Http1Backend:
    return stack.enter_context(Http1Backend("app"))


@pytest.fixture
def edge(stack: ExitStack, mesh: Mesh, tmp_path: Path) -> Node:
    return stack.enter_context(Node(mesh, "edge", tmp_path))


@pytest.fixture
def sidecar(stack: ExitStack, mesh: Mesh, tmp_path: Path) -> Node:
    return stack.enter_context(Node(mesh, "cart", tmp_path))
