from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from controller.ca import directory as directory_module
from controller.ca.authority import Authority
from controller.ca.directory import AuthorityDirectory
from controller.ca.material import Phase
from controller.ca.root import AuthorityError, Root
from controller.ca.rotation import next_phase
from tests.support.authorities import signing, utc_now
from tests.support.kube import comes_true

DENIED = "spiffe://cluster.local/ns/prod/sa/edge"


def kept(path: Path) -> AuthorityDirectory:
    return AuthorityDirectory(path, utc_now)


def test_a_root_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ca"
    first = kept(path).load_or_create()
    assert path.stat().st_mode & 0o777 == 0o700
    assert (path / "ca.pem").stat().st_mode & 0o777 == 0o600
    assert kept(path).load_or_create().texts() == first.texts()


def test_a_root_of_the_user_is_taken(tmp_path: Path) -> None:
    root = signing("ours")
    tmp_path.chmod(0o700)
    (tmp_path / "ca.pem").write_text(root.pem + root.key_pem)
    (tmp_path / "ca.pem").chmod(0o600)
    assert kept(tmp_path).load_or_create().bundle_pem == root.pem


def test_what_is_open_to_others_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ca"
    kept(path).load_or_create()
    (path / "ca.pem").chmod(0o640)
    with pytest.raises(AuthorityError, match=r"open to others than its owner .*chmod 600"):
        kept(path).load_or_create()
    (path / "ca.pem").chmod(0o600)
    path.chmod(0o755)
    with pytest.raises(AuthorityError, match="chmod 700"):
        kept(path).load_or_create()


def test_a_file_that_holds_no_pair_says_so_without_the_key(tmp_path: Path) -> None:
    path = tmp_path / "ca"
    material = kept(path).load_or_create()
    for text, why in (("hello", "does not hold a private key"), (material.signing.private_key_pem, "does not hold")):
        (path / "ca.pem").write_text(text)
        with pytest.raises(AuthorityError, match=why) as caught:
            kept(path).read()
        assert "BEGIN" not in str(caught.value)


def test_a_change_of_roots_and_who_is_denied_are_kept(tmp_path: Path) -> None:
    store = kept(tmp_path / "ca")
    material = store.load_or_create()
    for phase in (Phase.INTRODUCED, Phase.SWITCHED, Phase.STABLE):
        material = replace(next_phase(material, Root.create(utc_now())), denied=frozenset({DENIED}))
        store.save(material)
        assert store.read().texts() == material.texts()
        assert store.read().phase is phase
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "ca").iterdir()}
    assert {name for name in modes if name.startswith((".", "next", "previous"))} == set()
    assert modes["ca.pem"] == 0o600


def test_a_crash_between_two_files_loses_no_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = kept(tmp_path / "ca")
    introduced = next_phase(store.load_or_create(), Root.create(utc_now()))
    store.save(introduced)
    switched = next_phase(introduced, Root.create(utc_now()))
    write = AuthorityDirectory.write
    for steps in range(1, 4):
        left = [steps]

        def write_or_die(self: AuthorityDirectory, name: str, text: str, left: list[int] = left) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            write(self, name, text)

        monkeypatch.setattr(AuthorityDirectory, "write", write_or_die)
        if steps < 3:
            with pytest.raises(KeyboardInterrupt):
                store.save(switched)
        else:
            store.save(switched)
        monkeypatch.setattr(AuthorityDirectory, "write", write)
        assert store.read().digest == switched.digest
    assert store.read().phase is Phase.SWITCHED


async def test_a_running_authority_follows_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(directory_module, "_LOOK_SECONDS", 0.01)
    store = kept(tmp_path / "ca")
    authority = Authority.of(store.load_or_create())
    following = asyncio.create_task(store.follow(authority))
    await asyncio.sleep(0.02)

    material = next_phase(authority.material, Root.create(utc_now()))
    await asyncio.to_thread(store.save, material)
    await comes_true(lambda: authority.material.phase is Phase.INTRODUCED)

    (tmp_path / "ca" / "ca.pem").write_text("half writ")
    await comes_true(lambda: "what was before goes on" in caplog.text)
    assert authority.material.digest == material.digest
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
