"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.certificates import Authority, shared_authority


@pytest.fixture(scope="session")
def authority() -> Authority:
    return shared_authority()


@pytest.fixture(scope="session")
def authority_file(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return authority.write(tmp_path_factory.mktemp("authority") / "ca.pem")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the test module."""
    return tmp_path_factory.mktemp("module")
