"""Keys kept fresh: asked again, rotated, kept through failures, and no longer asked for when nobody wants them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from controller.key_sets.fetch import Fetched, FetchError
from controller.key_sets.follower import MAX_LOCATIONS, KeySetFollower, Pace
from controller.resources import KeySet
from controller.sources import Change
from controller.store import Key

ONE, OTHER = "https://one.example/keys", "https://other.example/keys"
FAST = Pace(usual=0.01, least=0.001, first_retry=0.001, last_retry=0.01)


class Server:
    """Answers in turn; the last answer stays."""

    def __init__(self, *answers: str | FetchError) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []
        self.times: list[float] = []
        """When it was asked, in seconds of the loop."""

    async def __call__(self, location: str) -> Fetched:
        self.asked.append(location)
        self.times.append(asyncio.get_running_loop().time())
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, FetchError):
            raise answer
        return Fetched(answer)


def told(
    server: Server, play: Callable[[KeySetFollower, list[Change]], Awaitable[None]], pace: Pace = FAST
) -> list[Change]:
    changes: list[Change] = []

    async def run() -> None:
        follower = KeySetFollower(server, changes.append, pace=pace, chance=lambda: 1.0)
        try:
            async with asyncio.timeout(10):
                await play(follower, changes)
        finally:
            await follower.close()

    asyncio.run(run())
    assert all(change.keeps_problems for change in changes)
    return changes


async def until(condition: Callable[[], bool]) -> None:
    """Within the time that the whole play has."""
    while True:
        if condition():
            return
        await asyncio.sleep(0.001)


def seen(changes: list[Change]) -> list[tuple[str, str]]:
    return [(item.keys, item.problem) for change in changes for item in change.upserts if isinstance(item, KeySet)]


def test_rotated_keys_are_told() -> None:
    async def play(follower: KeySetFollower, changes: list[Change]) -> None:
        follower.want([ONE])
        await until(lambda: ("second", "") in seen(changes))

    assert seen(told(Server("first", "second"), play))[:2] == [("first", ""), ("second", "")]


def test_the_last_good_keys_stay_while_the_server_is_down() -> None:
    async def play(follower: KeySetFollower, changes: list[Change]) -> None:
        follower.want([ONE])
        await until(lambda: ("second", "") in seen(changes))

    server = Server("first", FetchError("down"), FetchError("down"), "second")
    assert seen(told(server, play))[:4] == [("first", ""), ("first", "down"), ("first", "down"), ("second", "")]


def test_until_the_first_answer_there_are_no_keys() -> None:
    async def play(follower: KeySetFollower, changes: list[Change]) -> None:
        follower.want([ONE])
        await until(lambda: len(changes) > 1)

    assert seen(told(Server(FetchError("down")), play))[:2] == [("", "down"), ("", "down")]


def test_failures_are_asked_again_less_and_less_often() -> None:
    server = Server(FetchError("down"))

    async def play(follower: KeySetFollower, _: list[Change]) -> None:
        follower.want([ONE])
        await until(lambda: len(server.times) >= 5)

    told(server, play, Pace(usual=10, least=0.001, first_retry=0.02, last_retry=0.08))
    between = [later - earlier for earlier, later in itertools.pairwise(server.times)]
    assert all(wait >= least * 0.9 for wait, least in zip(between, [0.02, 0.04, 0.08, 0.08], strict=False)), between


def test_what_nobody_wants_any_more_is_forgotten_and_not_asked() -> None:
    server = Server("keys")

    async def play(follower: KeySetFollower, _: list[Change]) -> None:
        follower.want([ONE, OTHER])
        await until(lambda: {ONE, OTHER} <= set(server.asked))
        follower.want([OTHER])
        asked = server.asked.count(ONE)
        count = server.asked.count(OTHER)
        await until(lambda: server.asked.count(OTHER) > count + 3)
        assert server.asked.count(ONE) == asked

    changes = told(server, play)
    assert [change.deletes for change in changes if change.deletes] == [(Key.of(KeySet.at(ONE)),)]


def test_it_settles_when_all_have_been_asked_and_waits_no_longer_than_it_may() -> None:
    async def play(follower: KeySetFollower, changes: list[Change]) -> None:
        await follower.settle(5)
        follower.want([ONE])
        await follower.settle(5)
        assert changes

    told(Server(FetchError("down")), play)

    async def never(_: str) -> Fetched:
        await asyncio.Event().wait()
        raise AssertionError

    async def run() -> float:
        follower = KeySetFollower(never, lambda _: None)
        follower.want([ONE])
        began = asyncio.get_running_loop().time()
        await follower.settle(0.05)
        await follower.close()
        return asyncio.get_running_loop().time() - began

    assert 0.04 <= asyncio.run(run()) < 5


def test_more_places_than_can_be_followed_are_said() -> None:
    async def play(follower: KeySetFollower, changes: list[Change]) -> None:
        follower.want(f"https://issuer-{number:04}.example/" for number in range(MAX_LOCATIONS + 1))
        await until(lambda: any("more than" in problem for _, problem in seen(changes)))

    told(Server("keys"), play)
