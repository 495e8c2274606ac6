from __future__ import annotations

from pathlib import Path

import pytest

from gateway.admin.server import AdminAddress
from gateway.config import GatewaySettings, default_workers
from gateway.errors import SettingsError

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
        ({"access_log": "/nowhere/at/all"}, "access log"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(settings: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        GatewaySettings(**{"admin": ADMIN, "workers": 1, **settings})  # type: ignore[arg-type]


def test_an_access_log_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    assert GatewaySettings(admin=ADMIN, workers=1, access_log=str(path)).access_log == str(path)
