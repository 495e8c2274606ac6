from __future__ import annotations

import asyncio
import datetime

import pytest

from controller.ca.join_tokens import JoinTokenError
from controller.ca.service_account import ServiceAccount, UnverifiableError
from controller.kube.client import Api
from controller.kube.join_token_secret import SECRET_NAME, TokenSecret
from tests.support.fake_apiserver import FakeApiServer

NAMESPACE = "sekisho-system"
HOUR = datetime.timedelta(hours=1)
EDGE = ServiceAccount("vm", "db")


async def test_a_token_is_redeemed_once_whichever_replica_is_asked(server: FakeApiServer, api: Api) -> None:
    replicas = [TokenSecret(api, NAMESPACE) for _ in range(4)]
    token = await replicas[0].create(EDGE, HOUR)
    other = await replicas[1].create(EDGE, HOUR)
    found = await asyncio.gather(*(replica.redeem(token) for replica in replicas), return_exceptions=True)
    assert [item for item in found if not isinstance(item, BaseException)] == [EDGE]
    assert all(isinstance(item, JoinTokenError | ServiceAccount) for item in found)
    assert await replicas[2].redeem(other) == EDGE
    assert token.rpartition(".")[2] not in str(server.get("Secret", SECRET_NAME, NAMESPACE))


async def test_without_a_secret_no_token_is_good(api: Api) -> None:
    with pytest.raises(JoinTokenError, match="no such join token"):
        await TokenSecret(api, NAMESPACE).redeem("sekisho-join.a.b")


async def test_what_the_api_server_does_not_answer_is_neither_yes_nor_no(server: FakeApiServer, api: Api) -> None:
    token = await TokenSecret(api, NAMESPACE).create(EDGE, HOUR)
    server.forbidden = {"secrets"}
    with pytest.raises(UnverifiableError):
        await TokenSecret(api, NAMESPACE).redeem(token)
    server.forbidden = set()
    assert await TokenSecret(api, NAMESPACE).redeem(token) == EDGE
