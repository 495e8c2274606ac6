from __future__ import annotations

from pathlib import Path

import pytest

from gateway.admin.server import AdminAddress
from gateway.config import ClusterSettings, GatewaySettings, default_workers
from gateway.errors import SettingsError
from gateway.identity.settings import IdentitySettings

ADMIN = AdminAddress("127.0.0.1", 0)


def test_there_is_a_worker_for_each_core() -> None:
    assert default_workers() >= 1
    assert GatewaySettings(admin=ADMIN, workers=default_workers()).access_log == "stdout"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"workers": 0}, "--workers"),
        ({"workers": 1_000}, "--workers"),
        ({"drain_seconds": -1.0}, "--drain-timeout"),
        ({"drain_delay": -1.0}, "--drain-delay"),
        ({"access_log": "/nowhere/at/all"}, "access log"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(settings: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        GatewaySettings(**{"admin": ADMIN, "workers": 1, **settings})  # type: ignore[arg-type]


def test_an_access_log_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    assert GatewaySettings(admin=ADMIN, workers=1, access_log=str(path)).access_log == str(path)


@pytest.mark.parametrize(
    ("controller", "name"),
    [
        ("http://controller:15012", "edge-1"),
        ("controller:15012", "edge-1"),
        ("https://", "edge-1"),
        ("https://controller:15012/path", "edge-1"),
        ("https://user@controller:15012", "edge-1"),
        ("https://controller:15012", ""),
        ("https://controller:15012", "x" * 300),
    ],
)
def test_a_cluster_setting_that_cannot_work_is_refused(tmp_path: Path, controller: str, name: str) -> None:
    identity = IdentitySettings(controller=controller, trust_bundle=tmp_path / "ca.crt", token=tmp_path / "token")
    with pytest.raises(SettingsError, match=r"--controller|POD_NAME"):
        ClusterSettings(gateway=GatewaySettings(admin=ADMIN, workers=1), identity=identity, name=name)
