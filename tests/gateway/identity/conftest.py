"""An authority, and a gateway's trust in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.ca.authority import Authority
from gateway.identity.trust import ControllerTrust


@pytest.fixture
def authority() -> Authority:
    return Authority.create()


@pytest.fixture
def trust(tmp_path: Path, authority: Authority) -> ControllerTrust:
    (tmp_path / "ca.crt").write_text(authority.bundle_pem)
    return ControllerTrust(tmp_path / "ca.crt")
