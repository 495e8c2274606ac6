from __future__ import annotations

import asyncio
import base64

import pytest

from controller.ca.authority import Authority, AuthorityError
from controller.ca.root import Root
from controller.ca.rotation import next_phase
from controller.kube.authority_secret import SECRET_NAME, follow, load_or_create, material_of, save
from controller.kube.client import Api, ApiError
from tests.support.authorities import utc_now
from tests.support.fake_apiserver import FakeApiServer
from tests.support.kube import HastyClock, comes_true

NAMESPACE = "sekisho-system"


async def test_the_first_replica_makes_it_and_the_others_read_it(server: FakeApiServer, api: Api) -> None:
    replicas = await asyncio.gather(*(load_or_create(api, NAMESPACE) for _ in range(4)))
    assert len({authority.bundle_pem for authority in replicas}) == 1
    secret = server.get("Secret", SECRET_NAME, NAMESPACE)
    assert base64.b64decode(secret["data"]["ca.crt"]).decode() == replicas[0].bundle_pem
    again = await load_or_create(api, NAMESPACE)
    assert again.private_key_pem == replicas[0].private_key_pem


async def test_who_is_second_at_the_last_moment_takes_the_first_one(
    server: FakeApiServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Authority.create

    def create_while_another_does(*_: object) -> Authority:
        put(server, create())
        return create()

    monkeypatch.setattr(Authority, "create", create_while_another_does)
    authority = await load_or_create(api, NAMESPACE)

    kept = server.get("Secret", SECRET_NAME, NAMESPACE)["data"]["ca.crt"]
    assert base64.b64decode(kept).decode() == authority.bundle_pem


def put(server: FakeApiServer, authority: Authority) -> None:
    data = {"ca.crt": authority.bundle_pem, "ca.key": authority.private_key_pem}
    put_data(server, {name: base64.b64encode(text.encode()).decode() for name, text in data.items()})


def put_data(server: FakeApiServer, data: dict[str, str]) -> None:
    metadata = {"name": SECRET_NAME, "namespace": NAMESPACE}
    server.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({}, "has no ca.crt"),
        ({"ca.crt": "AAAA", "ca.key": "!"}, "does not hold PEM"),
        ({"ca.crt": "AAAA", "ca.key": "AAAA"}, "is not PEM"),
    ],
)
async def test_a_secret_that_is_none_says_what_to_do(
    server: FakeApiServer, api: Api, data: dict[str, str], text: str
) -> None:
    put_data(server, data)
    with pytest.raises(AuthorityError, match=f"Secret {NAMESPACE}/{SECRET_NAME}.*{text}.*delete it"):
        await load_or_create(api, NAMESPACE)


async def test_what_the_api_server_does_not_allow_is_an_error(server: FakeApiServer, api: Api) -> None:
    server.forbidden = {"secrets"}
    with pytest.raises(ApiError):
        await load_or_create(api, NAMESPACE)


async def test_a_changed_secret_takes_effect_and_a_broken_one_is_said_once(
    server: FakeApiServer, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    authority = await load_or_create(api, NAMESPACE)
    following = asyncio.create_task(follow(api, NAMESPACE, authority, HastyClock()))
    secret = server.get("Secret", SECRET_NAME, NAMESPACE)
    introduced = next_phase(material_of(secret), Root.create(utc_now()))
    await save(api, secret, introduced)
    await comes_true(lambda: authority.material.digest == introduced.digest)

    put_data(server, {"ca.crt": "!"})
    await comes_true(lambda: "goes on as it was before" in caplog.text)
    await asyncio.sleep(0.05)
    assert caplog.text.count("goes on as it was before") == 1
    assert authority.material.digest == introduced.digest

    put(server, Authority.create())
    await comes_true(lambda: authority.material.digest != introduced.digest)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_a_change_that_was_made_meanwhile_is_not_overwritten(server: FakeApiServer, api: Api) -> None:
    await load_or_create(api, NAMESPACE)
    secret = server.get("Secret", SECRET_NAME, NAMESPACE)
    other = Authority.create()
    put(server, other)
    with pytest.raises(ApiError, match="409"):
        await save(api, secret, next_phase(material_of(secret), Root.create(utc_now())))
    assert material_of(server.get("Secret", SECRET_NAME, NAMESPACE)).digest == other.material.digest
