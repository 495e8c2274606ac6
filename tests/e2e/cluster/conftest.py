"""Fixtures of the tests on a real API server, which run inside the one-machine cluster."""

from __future__ import annotations

import os

import pytest

from tests.support.real_cluster import RealCluster, inside


@pytest.fixture(scope="session")
def cluster() -> RealCluster:
    """The cluster with the chart installed. Without it the tests are skipped, and counted as such."""
    found = inside()
    if found is None:
        missing = "" if os.geteuid() == 0 else ", and that needs root"
        pytest.skip(f"these tests run inside the one-machine cluster: make test-cluster{missing}")
    return found
