from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from aiohttp import web

from controller.ca.service_account import ServiceAccount, UnverifiableError
from controller.kube.client import Api
from controller.kube.connection import Connection
from controller.kube.token_review import TokenReview
from gateway.routing_table.discovery import AUDIENCE


class Reviewer:
    """The one resource that is not kept: what is created is answered."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = {}
        self.failing = 0
        self.asked: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.Response:
        if self.failing:
            return web.json_response({"message": "no"}, status=self.failing)
        body = await request.json()
        self.asked.append(body)
        return web.json_response({**body, "status": self.status}, status=201)


@pytest.fixture
def reviewer() -> Reviewer:
    return Reviewer()


@pytest.fixture
async def review(reviewer: Reviewer) -> AsyncGenerator[TokenReview, None]:
    application = web.Application()
    application.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", reviewer.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api = Api(Connection(server=f"http://127.0.0.1:{runner.addresses[0][1]}"))
    yield TokenReview(api, AUDIENCE)
    await api.close()
    await runner.cleanup()


def authenticated(user: str, *audiences: str) -> dict[str, Any]:
    return {"authenticated": True, "user": {"username": user}, "audiences": list(audiences)}


async def test_a_good_token_is_its_service_account(reviewer: Reviewer, review: TokenReview) -> None:
    reviewer.status = authenticated("system:serviceaccount:prod:edge", AUDIENCE)
    assert await review("a-token") == ServiceAccount("prod", "edge")
    assert reviewer.asked[0]["spec"] == {"token": "a-token", "audiences": [AUDIENCE]}


@pytest.mark.parametrize(
    "status",
    [
        {"authenticated": False, "error": "token has expired"},
        {},
        authenticated("system:serviceaccount:prod:edge"),
        authenticated("system:serviceaccount:prod:edge", "https://kubernetes.default.svc"),
        authenticated("admin", AUDIENCE),
        authenticated("system:serviceaccount:prod:", AUDIENCE),
    ],
    ids=["expired", "silent", "no audience", "another audience", "a person", "half a name"],
)
async def test_other_tokens_are_nobodys(reviewer: Reviewer, review: TokenReview, status: dict[str, Any]) -> None:
    reviewer.status = status
    assert await review("a-token") is None


@pytest.mark.parametrize("status", [403, 500])
async def test_an_api_server_that_does_not_review_proves_nothing(
    reviewer: Reviewer, review: TokenReview, status: int
) -> None:
    reviewer.failing = status
    with pytest.raises(UnverifiableError, match=str(status)):
        await review("a-token")
