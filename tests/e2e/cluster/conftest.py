"""Fixtures of the tests on a real API server, which run inside the one-machine cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.cluster_load import LEDGER
from tests.support.cluster_site import Site, open_site
from tests.support.real_cluster import RealCluster, inside

_OUTAGES = ("test_faults_server.py", "test_installed.py")


@pytest.fixture(scope="session")
def cluster() -> RealCluster:
    """The cluster with the chart installed. Without it the tests are skipped, and counted as such."""
    found = inside()
    if found is None:
        missing = "" if os.geteuid() == 0 else ", and that needs root"
        pytest.skip(f"these tests run inside the one-machine cluster: make test-cluster{missing}")
    return found


@pytest.fixture(scope="session")
def site(cluster: RealCluster) -> Iterator[Site]:
    """The Gateway whose traffic no fault of these tests may touch."""
    with open_site(cluster, "site") as opened:
        yield opened


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that stop the API server go last: the cluster's own controllers are slow for a while after it."""
    items.sort(key=lambda item: item.path.name in _OUTAGES)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was sent while something was wrong."""
    if LEDGER.lines():
        terminalreporter.section("load under faults")
        for line in LEDGER.lines():
            terminalreporter.line(line)
