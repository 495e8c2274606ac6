"""The mesh's authority of standalone as people use it: `sekisho up --ca-dir` and `sekisho ca`, machines that join."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.ca.directory import AuthorityDirectory
from controller.ca.material import Phase
from controller.ca.rotation import key_identifier
from gateway.identity.controller_source import ControllerSource
from gateway.identity.credentials import IdentityError
from gateway.identity.settings import IdentitySettings
from gateway.routing_table.discovery import trust_digest
from tests.support.authorities import utc_now
from tests.support.discovery import soon
from tests.support.manifests import gateway, gateway_class, http_listener
from tests.support.ports import free_port
from tests.support.sekisho import Sekisho, run_sekisho

IDENTITY = "spiffe://example.org/ns/machines/sa/db"


@dataclass(frozen=True)
class Mesh:
    sekisho: Sekisho
    port: int
    directory: Path

    def command(self, *arguments: str, ok: bool = True) -> str:
        """A command of `sekisho ca` on this authority."""
        done = run_sekisho("ca", *arguments, "--ca-dir", self.directory)
        assert (done.returncode == 0) is ok, done.stdout + done.stderr
        return (done.stdout + done.stderr).strip()

    def token(self) -> str:
        return self.command("token", "create", "--identity", IDENTITY, "--trust-domain", "example.org", "--ttl", "5m")

    def machine(self, directory: Path, token: str, bundle: str = "") -> ControllerSource:
        directory.mkdir()
        (directory / "ca.crt").write_text(bundle or self.authority().read().bundle_pem)
        (directory / "token").write_text(token)
        url = f"https://localhost:{self.port}"
        settings = IdentitySettings(url, directory / "ca.crt", join_token=directory / "token")
        return ControllerSource(settings, utc_now, lambda: 0.0)

    def authority(self) -> AuthorityDirectory:
        return AuthorityDirectory(self.directory, utc_now)


@pytest.fixture
def mesh(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Mesh]:
    port, directory = free_port(), tmp_path / "ca"
    manifests = [gateway_class(), gateway(http_listener(free_port()))]
    options: list[str | Path] = ["--ca-dir", directory, "--ca", f"127.0.0.1:{port}"]
    options += ["--trust-domain", "example.org", "--certificate-lifetime", request.param]
    with Sekisho(tmp_path / "up", manifests, arguments=options) as sekisho:
        yield Mesh(sekisho, port, directory)


@pytest.mark.parametrize("mesh", ["20s"], indirect=True)
async def test_a_machine_joins_by_a_token_and_renews_without_one(
    mesh: Mesh, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = mesh.token()
    machine = mesh.machine(tmp_path / "machine", token)
    keeping = asyncio.create_task(machine.keep())
    await machine.context()
    first = machine.credentials
    assert first is not None
    assert first.uri == IDENTITY
    assert mesh.directory.stat().st_mode & 0o777 == 0o700
    assert (mesh.directory / "ca.pem").stat().st_mode & 0o777 == 0o600

    thief = mesh.machine(tmp_path / "thief", token)
    with pytest.raises(IdentityError, match="used before"):
        await thief.context()

    mesh.command("deny", "--identity", IDENTITY, "--trust-domain", "example.org")
    await soon(lambda: "is denied" in caplog.text, within=20)
    assert machine.credentials == first
    mesh.command("allow", "--identity", IDENTITY, "--trust-domain", "example.org")
    await soon(lambda: machine.credentials != first, within=20)
    assert machine.warning() == ""
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)

    output = mesh.sekisho.output()
    assert "was used before" in output
    assert token not in output
    assert "PRIVATE KEY" not in output


@pytest.mark.parametrize("mesh", ["10s"], indirect=True)
async def test_the_root_changes_in_phases_that_each_last_for_a_life_of_certificates(mesh: Mesh, tmp_path: Path) -> None:
    old = mesh.authority().read()
    assert mesh.command("rotate").startswith("introduced:")
    assert "certificates live for 0:00:10" in mesh.command("rotate", ok=False)
    assert "waits" in mesh.command("status")
    await asyncio.sleep(10.1)
    assert mesh.command("rotate").startswith("switched:")
    new = mesh.authority().read()
    assert new.phase is Phase.SWITCHED
    assert trust_digest(new.bundle_pem) != old.digest

    # Who knows both is served by the new root; who knows the old one alone is too late.
    number = itertools.count()
    await soon(lambda: _signed_by(mesh.machine(tmp_path / f"machine-{next(number)}", mesh.token()), mesh))
    late = mesh.machine(tmp_path / "late", mesh.token(), bundle=old.bundle_pem)
    with pytest.raises(IdentityError, match="maybe the mounted trust bundle is not the controller's"):
        await late.context()

    assert mesh.command("rotate", "--force").startswith("stable:")
    assert mesh.authority().read().previous == ()


async def _signed_by(machine: ControllerSource, mesh: Mesh) -> bool:
    """Whether the root of now signs for a machine that has just come: the process reads its directory once a second."""
    with suppress(IdentityError):
        await machine.context()
    root = mesh.authority().read().signing.certificate
    return machine.root_key == key_identifier(root)


def test_what_cannot_be_used_is_said_before_anything_runs(tmp_path: Path) -> None:
    directory = tmp_path / "ca"
    directory.mkdir(mode=0o755)
    manifest = tmp_path / "empty.yaml"
    manifest.write_text("")
    done = run_sekisho("up", "-f", manifest, "--ca-dir", directory, "--admin", f"127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "chmod 700" in done.stderr
    for options, text in (
        (("--certificate-lifetime", "soon"), "not a duration"),
        (("--certificate-lifetime", "1s"), "outside"),
        (("--trust-domain", "Example.Org"), "no trust domain"),
    ):
        done = run_sekisho("up", "-f", manifest, "--ca-dir", tmp_path / "other", *options)
        assert done.returncode == 2
        assert text in done.stderr
    assert "give --ca-dir" in run_sekisho("ca", "status").stderr
