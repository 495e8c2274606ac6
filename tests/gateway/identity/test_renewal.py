"""When an identity that the controller signs is renewed, and what happens where it cannot be."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

import pytest

from controller.ca.authority import Authority, AuthoritySettings
from controller.ca.service_account import ServiceAccount
from gateway.identity.controller_source import ControllerSource
from gateway.identity.credentials import IdentityError
from gateway.identity.settings import IdentitySettings
from tests.support.authorities import utc_now
from tests.support.discovery import soon

EDGE = ServiceAccount("prod", "edge")


@pytest.mark.usefixtures("trust")
async def test_renewal_is_at_a_random_point_of_the_second_half(tmp_path: Path) -> None:
    now = utc_now()
    authority = Authority.create(AuthoritySettings(lifetime=datetime.timedelta(seconds=100)), lambda: now)
    settings = IdentitySettings("https://localhost:1", tmp_path / "ca.crt", token=tmp_path / "token")
    points = []
    for chance in (0.0, 0.5, 0.999):
        source = ControllerSource(settings, lambda: now, lambda chance=chance: chance)  # type: ignore[misc]

        async def signed(request: object) -> str:
            return authority.sign(request.pem, EDGE)  # type: ignore[attr-defined]

        source._signed = signed  # type: ignore[method-assign]
        await source.context()
        assert source._renew_at is not None
        points.append((source._renew_at - now).total_seconds())
    assert points == pytest.approx([50.0, 65.0, 80.0], abs=1.0)  # certificates know whole seconds


@pytest.mark.usefixtures("trust")
async def test_failures_back_off_and_end_with_a_renewal(tmp_path: Path) -> None:
    now = utc_now()
    authority = Authority.create(AuthoritySettings(lifetime=datetime.timedelta(hours=1)), lambda: now)
    settings = IdentitySettings("https://localhost:1", tmp_path / "ca.crt", token=tmp_path / "token")
    source = ControllerSource(settings, lambda: now, lambda: 0.999)
    fails = False

    async def signed(request: object) -> str:
        if fails:
            raise IdentityError("the controller is away")
        return authority.sign(request.pem, EDGE)  # type: ignore[attr-defined]

    source._signed = signed  # type: ignore[method-assign]
    await source.context()
    first, fails, pauses = source.credentials, True, []
    for _ in range(8):
        assert source._renew_at is not None
        now = source._renew_at
        await source._try_to_renew()
        pauses.append((source._renew_at - now).total_seconds())
    assert pauses[:6] == pytest.approx([1, 2, 4, 8, 16, 32], rel=0.01)
    assert max(pauses) <= 60
    assert source.credentials == first
    fails = False
    now += datetime.timedelta(minutes=1)
    await source._try_to_renew()
    assert source.credentials != first
    assert source.warning() == ""


@pytest.mark.usefixtures("trust")
async def test_an_authority_away_for_longer_than_a_life_is_said_early_and_what_is_there_is_used_until_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = utc_now()
    authority = Authority.create(AuthoritySettings(lifetime=datetime.timedelta(hours=1)), lambda: now)
    settings = IdentitySettings("https://localhost:1", tmp_path / "ca.crt", token=tmp_path / "token")
    source = ControllerSource(settings, lambda: now, lambda: 0.0)
    away = False

    async def signed(request: object) -> str:
        if away:
            raise IdentityError("the controller is away")
        return authority.sign(request.pem, EDGE)  # type: ignore[attr-defined]

    source._signed = signed  # type: ignore[method-assign]
    await source.context()
    first, away = source.credentials, True
    keeping = asyncio.create_task(source.keep())
    for minutes, text in ((31, ""), (46, "the controller is away; it is used until then"), (61, "peers refuse new")):
        assert first is not None
        now = first.ends - datetime.timedelta(minutes=60 - minutes)
        source._look.set()
        await soon(lambda text=text: text in source.warning() and text in caplog.text)  # type: ignore[misc]
        assert source.credentials == first
        if minutes < 60:
            assert await source.context() is not None
    with pytest.raises(IdentityError, match="the controller is away"):
        await source.context()
    away = False
    await source.context()
    assert source.warning() == ""
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
