"""Traps that implementations of the Gateway API fall into, by number: each has a test that names it.

Numbers 6 (in part: ListenerSets), 15 (several controllers) and 16 (kinds without conformance tests) concern kinds and
clusters that a standalone gateway does not have; what of them applies is here.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.backends.grpc_echo import GrpcBackend
from tests.support.backends.http1 import Http1Backend


@pytest.fixture(scope="module")
def origin() -> Iterator[Http1Backend]:
    with Http1Backend("origin") as server:
        yield server


@pytest.fixture(scope="module")
def calls() -> Iterator[GrpcBackend]:
    with GrpcBackend("calls") as server:
        yield server
