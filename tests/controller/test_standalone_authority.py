"""The identity of standalone's own gateway: there before the first table, renewed, and new when the roots change."""

from __future__ import annotations

import asyncio
import datetime
from contextlib import suppress
from pathlib import Path

import pytest

from controller.ca.service_account import ServiceAccount
from controller.config import StandaloneAuthoritySettings
from controller.standalone_authority import GATEWAY, StandaloneAuthority
from gateway.admin.server import AdminAddress
from gateway.identity.credentials import Credentials
from tests.support.discovery import soon
from tests.support.fake_engine import FakeEngine


class Taking:
    """Takes identities as the data plane does."""

    def __init__(self) -> None:
        self.engine = FakeEngine()

    def __call__(self, chain: str, private_key: str, bundle: str, trust_domain: str) -> str:
        self.engine.set_identity(chain, private_key, bundle, trust_domain)
        return ""

    @property
    def credentials(self) -> list[Credentials]:
        return [Credentials.of(chain, key) for chain, key, _, _ in self.engine.identities]


def authority(directory: Path, seconds: float) -> StandaloneAuthority:
    settings = StandaloneAuthoritySettings(
        directory=directory / "ca",
        address=AdminAddress.parse("127.0.0.1:0"),
        names=("localhost",),
        trust_domain="example.org",
        lifetime=datetime.timedelta(seconds=seconds),
    )
    return StandaloneAuthority(settings)


async def test_the_gateway_is_somebody_in_the_mesh_s_trust_domain(tmp_path: Path) -> None:
    taking = Taking()
    left = authority(tmp_path, 3600).identify(taking)
    assert 3000 < left <= 3600
    assert ServiceAccount("sekisho-system", "sekisho-gateway") == GATEWAY
    assert taking.credentials[0].uri == GATEWAY.uri("example.org")
    assert taking.engine.identities[0][3] == "example.org"
    assert "BEGIN CERTIFICATE" in taking.engine.identities[0][2]


async def test_it_is_renewed_before_it_ends_with_another_key(tmp_path: Path) -> None:
    taking = Taking()
    keeping = asyncio.create_task(authority(tmp_path, 10).keep_identity(taking))
    await soon(lambda: len(taking.engine.identities) > 1)
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping
    first, second = taking.credentials[:2]
    assert second.begins < first.ends < second.ends
    assert first.private_key != second.private_key


async def test_what_the_data_plane_cannot_use_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority(tmp_path, 3600).identify(lambda *_: "the data plane cannot use it")
    assert "the data plane cannot use it" in caplog.text
