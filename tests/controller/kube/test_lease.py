from __future__ import annotations

import pytest

from controller.kube.client import Api
from controller.kube.lease import LeaderElection, LeaseSettings
from tests.support.fake_apiserver import FakeApiServer
from tests.support.kube import Object, SetClock

LEASES = "coordination.k8s.io/leases"


class Member:
    """One controller in an election, with a clock of its own."""

    def __init__(self, api: Api, identity: str, clock: SetClock) -> None:
        self.told: list[bool] = []
        self.clock = clock
        self.election = LeaderElection(
            api, LeaseSettings("system", identity), self.told.append, clock=clock, chance=lambda: 0.0
        )

    async def step(self) -> bool:
        await self.election.step()
        return self.election.leads


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def first(api: Api, clock: SetClock) -> Member:
    return Member(api, "first", clock)


@pytest.fixture
def second(api: Api, clock: SetClock) -> Member:
    return Member(api, "second", clock)


def lease(server: FakeApiServer) -> Object:
    spec: Object = server.objects[LEASES, "system", "sekisho-controller"]["spec"]
    return spec


async def test_the_first_to_come_leads_and_the_second_follows(
    server: FakeApiServer, first: Member, second: Member
) -> None:
    assert await first.step()
    assert not await second.step()
    assert second.election.holder == "first"
    assert (first.told, second.told) == ([True], [])
    assert lease(server)["holderIdentity"] == "first"


async def test_a_leader_that_renews_keeps_the_lease(first: Member, second: Member, clock: SetClock) -> None:
    await first.step()
    for _ in range(20):
        clock.seconds += 5
        assert await first.step()
        assert not await second.step()
    assert first.told == [True]


async def test_a_leader_that_is_gone_is_followed_after_the_duration(
    server: FakeApiServer, first: Member, second: Member, clock: SetClock
) -> None:
    await first.step()
    await second.step()
    clock.seconds += 14
    assert not await second.step()
    clock.seconds += 1
    assert await second.step()
    assert lease(server)["leaseTransitions"] == 1
    assert not await first.step()
    assert first.told == [True, False]


async def test_the_clock_of_another_machine_does_not_matter(api: Api, first: Member) -> None:
    await first.step()
    ahead = SetClock()
    ahead.seconds = 1_000_000.0
    late = Member(api, "late", ahead)
    assert not await late.step()
    ahead.seconds += 14
    assert not await late.step()


async def test_a_lease_that_is_given_back_is_taken_at_once(
    server: FakeApiServer, first: Member, second: Member
) -> None:
    await first.step()
    await second.step()
    await first.election.release()
    assert first.told == [True, False]
    assert "holderIdentity" not in lease(server)
    assert await second.step()


async def test_a_follower_has_nothing_to_give_back(server: FakeApiServer, first: Member, second: Member) -> None:
    await first.step()
    await second.step()
    await second.election.release()
    assert lease(server)["holderIdentity"] == "first"


async def test_a_leader_without_an_answer_stops_before_another_may_begin(
    server: FakeApiServer, first: Member, clock: SetClock
) -> None:
    await first.step()
    server.fail(500, times=20)
    clock.seconds += 9
    assert await first.step()
    clock.seconds += 1
    assert not first.election.leads
    await first.step()
    assert first.told == [True, False]
    server.faults.clear()
    assert await first.step()
    assert first.told == [True, False, True]


async def test_of_two_that_try_at_once_one_leads(
    server: FakeApiServer, first: Member, second: Member, clock: SetClock
) -> None:
    await first.step()
    await second.step()
    clock.seconds += 20

    def somebody_else(key: tuple[str, str, str]) -> None:
        server._store(key, {**server.objects[key], "spec": {**lease(server), "holderIdentity": "third"}}, status=False)

    server.before_write = somebody_else
    assert not await second.step()
    assert lease(server)["holderIdentity"] == "third"


async def test_a_lease_that_was_removed_is_made_again(server: FakeApiServer, first: Member) -> None:
    await first.step()
    del server.objects[LEASES, "system", "sekisho-controller"]
    assert await first.step()
    assert lease(server)["holderIdentity"] == "first"


async def test_a_leader_survives_a_restart_of_the_server(server: FakeApiServer, first: Member, clock: SetClock) -> None:
    await first.step()
    await server.stop()
    clock.seconds += 2
    assert await first.step()
    await server.start()
    clock.seconds += 2
    assert await first.step()
    assert first.told == [True]
