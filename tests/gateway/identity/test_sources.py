"""Identities that others give: a directory that is rotated, and a SPIFFE Workload API. Swapped live, as a whole."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from controller.ca.authority import Authority, AuthoritySettings, Issued
from controller.ca.service_account import ServiceAccount
from controller.publish.connection import load_issued
from gateway.errors import SettingsError
from gateway.identity import directory_source
from gateway.identity.controller_source import ControllerSource
from gateway.identity.credentials import Credentials, IdentityError
from gateway.identity.directory_source import DirectorySource
from gateway.identity.identity import identity_source
from gateway.identity.settings import IdentitySettings
from gateway.identity.source import IdentitySource
from gateway.identity.trust import ControllerTrust
from gateway.identity.workload_api import decoded
from gateway.identity.workload_source import WorkloadSource
from tests.support.authorities import HOUR, LeafPlan, leaf, root_of, utc_now
from tests.support.discovery import soon
from tests.support.workload_api import WorkloadApi, field, response

EDGE = ServiceAccount("prod", "edge")
URI = EDGE.uri("cluster.local")


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_source, "_LOOK_SECONDS", 0.02)


def _has(told: list[tuple[Credentials, str]], count: int) -> bool:
    return len(told) == count


@asynccontextmanager
async def kept(source: IdentitySource) -> AsyncIterator[list[tuple[Credentials, str]]]:
    """Runs a source; the list grows with what it tells."""
    told: list[tuple[Credentials, str]] = []
    source.on_change(lambda credentials, bundle: told.append((credentials, bundle)))
    keeping = asyncio.create_task(source.keep())
    try:
        yield told
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


def put(directory: Path, issued: Issued, bundle: str) -> None:
    """As cert-manager's volumes do it: another directory, then one link."""
    directory.mkdir(exist_ok=True)
    new = directory / f"..{len(list(directory.iterdir()))}"
    new.mkdir()
    for name, text in (("tls.crt", issued.chain), ("tls.key", issued.private_key), ("ca.crt", bundle)):
        (new / name).write_text(text)
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")
    (directory / "..next").symlink_to(new.name)
    (directory / "..next").replace(directory / "..data")


# --- what is no identity ----------------------------------------------------------------------------

WRONG = {
    "expired": (LeafPlan(uris=[URI], ends=-HOUR), "has ended"),
    "not-yet-valid": (LeafPlan(uris=[URI], begins=HOUR, ends=2 * HOUR), "maybe this machine's clock is wrong"),
    "two-names": (LeafPlan(uris=[URI, URI]), "has 2 URIs"),
    "no-name": (LeafPlan(names=False), "has 0 URIs"),
    "no-spiffe": (LeafPlan(uris=["https://example.com/edge"]), "no SPIFFE identifier"),
    "server-only": (LeafPlan(uris=[URI], usages=[ExtendedKeyUsageOID.SERVER_AUTH]), "clientAuth is missing"),
    "client-only": (LeafPlan(uris=[URI], usages=[ExtendedKeyUsageOID.CLIENT_AUTH]), "serverAuth is missing"),
    "signs-others": (LeafPlan(uris=[URI], ca=True), "CA:TRUE"),
}


@pytest.mark.parametrize("name", sorted(WRONG))
async def test_what_is_no_identity_is_not_taken_and_says_why(
    name: str, tmp_path: Path, authority: Authority, trust: ControllerTrust
) -> None:
    plan, text = WRONG[name]
    put(tmp_path / "svid", leaf(plan, root_of(authority)), authority.bundle_pem)
    source = DirectorySource(tmp_path / "svid", trust, utc_now)
    with pytest.raises(IdentityError, match=text):
        await source.context()
    assert source.credentials is None


def test_a_server_with_a_wrong_usage_is_refused_by_the_gateway(authority: Authority, trust: ControllerTrust) -> None:
    good = authority.issue(EDGE)
    client = Credentials.of(good.chain, good.private_key).context(trust.read())
    for usages, believed in (([ExtendedKeyUsageOID.CLIENT_AUTH], False), ([ExtendedKeyUsageOID.SERVER_AUTH], True)):
        plan = LeafPlan(uris=[URI], hosts=["localhost"], usages=usages)
        assert _handshake(client, leaf(plan, root_of(authority))) is believed


def _handshake(client: ssl.SSLContext, server: Issued) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_issued(context, server)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(down, up, server_hostname="localhost"),
        context.wrap_bio(up, down, server_side=True),
    ]
    for _ in range(6):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return True


# --- a directory ------------------------------------------------------------------------------------


async def test_a_directory_is_followed_as_it_is_rotated(
    tmp_path: Path, authority: Authority, trust: ControllerTrust
) -> None:
    directory = tmp_path / "svid"
    put(directory, authority.issue(EDGE), authority.bundle_pem)
    source = DirectorySource(directory, trust, utc_now)
    async with kept(source) as told:
        await soon(lambda: len(told) == 1)
        assert (await source.context()).verify_mode is ssl.CERT_REQUIRED
        for count in range(2, 5):
            put(directory, authority.issue(EDGE), authority.bundle_pem)
            await soon(partial(_has, told, count))
        other = Authority.create().bundle_pem
        (directory / "..data" / "ca.crt").write_text(authority.bundle_pem + other)
        await soon(lambda: len(told) == 5)
        assert told[4][0] == told[3][0], "the certificate has not changed"
        assert source.bundle == authority.bundle_pem + other
        assert source.renewed.is_set()


async def test_a_pair_that_is_half_written_is_waited_for(
    tmp_path: Path, authority: Authority, trust: ControllerTrust, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "svid"
    put(directory, authority.issue(EDGE), authority.bundle_pem)
    source = DirectorySource(directory, trust, utc_now)
    async with kept(source) as told:
        await soon(lambda: told)
        new = authority.issue(EDGE)
        for text in (new.chain[:100], new.chain):
            (directory / "..data" / "tls.crt").write_text(text)
            await asyncio.sleep(0.03)
        assert len(told) == 1
        assert "not renewed" not in caplog.text
        (directory / "..data" / "tls.key").write_text(new.private_key)
        await soon(lambda: len(told) == 2)

        (directory / "..data" / "tls.key").unlink()
        await soon(lambda: "private key" in caplog.text)
        assert len(told) == 2
        assert "BEGIN" not in caplog.text


# --- a Workload API ---------------------------------------------------------------------------------


async def test_a_workload_api_swaps_the_identity_live(
    tmp_path: Path, authority: Authority, trust: ControllerTrust
) -> None:
    async with WorkloadApi(tmp_path / "agent.sock") as api:
        api.send(response(URI, authority.issue(EDGE), authority.bundle_pem))
        source = WorkloadSource(api.socket, trust, utc_now, lambda: 0.0)
        async with kept(source) as told:
            context = await source.context()
            assert context.check_hostname
            assert source.bundle == authority.bundle_pem
            for count in range(2, 5):
                other = Authority.create()
                both = authority.bundle_pem + other.bundle_pem
                api.send(response(URI, authority.issue(EDGE), both))
                await soon(partial(_has, told, count))
                assert source.bundle == both
            assert source.credentials is not None
            assert source.credentials.uri == URI
            assert len({credentials.chain for credentials, _ in told}) == 4
            assert source.warning() == ""
        assert api.calls == 1


async def test_a_workload_api_that_was_away_is_found_again_and_the_identity_stays(
    tmp_path: Path, authority: Authority, trust: ControllerTrust, caplog: pytest.LogCaptureFixture
) -> None:
    api = WorkloadApi(tmp_path / "agent.sock")
    source = WorkloadSource(api.socket, trust, utc_now, lambda: 0.0)
    async with kept(source) as told:
        await soon(lambda: "cannot be reached" in caplog.text)
        with pytest.raises(IdentityError, match="cannot be reached"):
            await source.context()
        async with api:
            api.send(response(URI, authority.issue(EDGE), authority.bundle_pem))
            await soon(lambda: told)
        await soon(lambda: "not renewed" in caplog.text)
        assert await source.context() is not None, "what was received is used until it ends"
        async with api:
            api.send(response(URI, authority.issue(EDGE), authority.bundle_pem))
            await soon(lambda: len(told) == 2)


async def test_a_workload_api_without_an_identity_for_us_says_so(
    tmp_path: Path, trust: ControllerTrust, caplog: pytest.LogCaptureFixture
) -> None:
    async with WorkloadApi(tmp_path / "agent.sock") as api:
        api.denies = True
        source = WorkloadSource(api.socket, trust, utc_now, lambda: 0.0)
        async with kept(source):
            await soon(lambda: "maybe no identity is registered for this process" in caplog.text)
            assert "this gateway has no identity" in source.warning()


def test_what_a_workload_api_says_wrongly_is_refused(authority: Authority) -> None:
    issued = authority.issue(EDGE)
    good = response(URI, issued, authority.bundle_pem)
    assert decoded(good).bundle == authority.bundle_pem
    wrong = {
        b"": "no identity for this process",
        good[:-200]: "cut off",
        b"\xff" * 12: "cut off",
        b"\x0b": "no protobuf",
        field(1, field(2, b"hello")): "no certificate",
        response("spiffe://cluster.local/ns/prod/sa/other", issued, authority.bundle_pem): "and its certificate",
        field(1, field(1, URI.encode())): "no private key",
    }
    for message, text in wrong.items():
        with pytest.raises(IdentityError, match=text):
            decoded(message)


# --- how long it lasts ------------------------------------------------------------------------------


async def test_little_life_is_said_early_and_its_end_too(
    tmp_path: Path, trust: ControllerTrust, caplog: pytest.LogCaptureFixture
) -> None:
    now = utc_now()
    authority = Authority.create(AuthoritySettings(lifetime=4 * HOUR), lambda: now)
    put(tmp_path / "svid", authority.issue(EDGE), authority.bundle_pem)
    source = DirectorySource(tmp_path / "svid", trust, lambda: now)
    async with kept(source) as told:
        await soon(lambda: told)
        assert source.warning() == ""
        now += 3.2 * HOUR
        await soon(lambda: "ends in 28" in caplog.text)  # certificates know whole seconds
        assert "it is used until then" in source.warning()
        now += HOUR
        await soon(lambda: "peers refuse new connections" in caplog.text)
        with pytest.raises(IdentityError, match="has ended"):
            await source.context()
        assert caplog.text.count("it is used until then") == 1
        put(tmp_path / "svid", authority.issue(EDGE), authority.bundle_pem)
        await soon(lambda: len(told) == 2)
        assert source.warning() == ""


# --- which source -----------------------------------------------------------------------------------


def test_one_source_is_chosen(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.crt"
    chosen = {
        ControllerSource: IdentitySettings("https://c:1", bundle, token=tmp_path),
        DirectorySource: IdentitySettings("https://c:1", bundle, certificates=tmp_path),
        WorkloadSource: IdentitySettings("https://c:1", bundle, workload_api="unix:///run/agent.sock"),
    }
    for kind, settings in chosen.items():
        assert isinstance(identity_source(settings, utc_now, lambda: 0.0), kind)
    with pytest.raises(SettingsError, match="only one"):
        IdentitySettings("https://c:1", bundle)
    with pytest.raises(SettingsError, match="only one"):
        IdentitySettings("https://c:1", bundle, token=tmp_path, join_token=tmp_path)
    with pytest.raises(SettingsError, match="unix:///PATH"):
        IdentitySettings("https://c:1", bundle, workload_api="tcp://127.0.0.1:80")


def test_what_the_controller_tells_holds_until_another_file_is_mounted(
    tmp_path: Path, authority: Authority, trust: ControllerTrust
) -> None:
    told, mounted = Authority.create().bundle_pem, Authority.create().bundle_pem
    assert trust.read().strip() == authority.bundle_pem.strip()
    trust.tell(told)
    assert trust.read() == told
    assert trust.digest != ""
    with pytest.raises(IdentityError, match="no PEM"):
        trust.tell("hello")
    assert trust.read() == told
    (tmp_path / "ca.crt").write_text(mounted)
    assert trust.read().strip() == mounted.strip()
