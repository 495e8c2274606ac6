from __future__ import annotations

import pytest

from tests.chart.helm import Helm, find_helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    command = find_helm()
    if command is None:
        pytest.skip("helm is missing: run `make chart`, which builds it")
    return Helm(command)
