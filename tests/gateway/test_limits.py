"""Limits of the process."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from gateway.limits import raise_file_limit


@pytest.fixture
def low_limit() -> Iterator[int]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, before[1]), before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_as_many_files_as_the_administrator_allows(low_limit: int) -> None:
    assert raise_file_limit() == low_limit
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (low_limit, low_limit)
