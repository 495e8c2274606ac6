from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.admin.client import AdminClient
from gateway.admin.explain import Question
from gateway.admin.server import AdminAddress, AdminServer
from gateway.admin.status import Problem, StatusReport
from gateway.errors import AdminUnreachableError
from tests.gateway.admin.conftest import Admin
from tests.support.ports import free_port


@asynccontextmanager
async def serving(admin: Admin) -> AsyncIterator[AdminClient]:
    server = AdminServer(AdminAddress("127.0.0.1", 0))
    stop = asyncio.Event()
    running = asyncio.create_task(server.run(admin.app(), stop))
    try:
        yield AdminClient(str(server.address))
    finally:
        stop.set()
        await running


async def test_it_reads_status_and_explanation(admin: Admin) -> None:
    admin.report = StatusReport(problems=(Problem(message="no such Service"),))
    async with serving(admin) as client:
        assert await asyncio.to_thread(client.status) == admin.report
        explanation = await asyncio.to_thread(client.explain, Question(url="http://a/"))
        assert explanation["decision"] == "no_listener"


async def test_a_question_that_is_refused_says_why(admin: Admin) -> None:
    async with serving(admin) as client:
        with pytest.raises(AdminUnreachableError, match=r"400.*not of the form"):
            await asyncio.to_thread(client.explain, Question(url="nonsense"))


def test_where_nobody_answers_it_says_so() -> None:
    with pytest.raises(AdminUnreachableError, match="no gateway answers"):
        AdminClient(f"http://127.0.0.1:{free_port()}/").status()


def test_a_url_that_is_none_is_one_sentence() -> None:
    with pytest.raises(AdminUnreachableError, match="no gateway answers"):
        AdminClient("http://[::1").status()
