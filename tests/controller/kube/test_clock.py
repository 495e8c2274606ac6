from __future__ import annotations

from controller.kube.clock import Backoff
from controller.kube.rate import RateLimit
from tests.support.kube import SetClock


def test_waits_double_up_to_the_longest_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(1.0, 5.0, lambda: 1.0)
    assert [backoff.next() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert backoff.next() == 1.0


def test_chance_spreads_waits_over_the_upper_half() -> None:
    assert Backoff(8.0, 8.0, lambda: 0.0).next() == 4.0
    assert Backoff(8.0, 8.0, lambda: 0.5).next() == 6.0


def test_a_wait_stays_finite_after_any_number_of_failures() -> None:
    backoff = Backoff(0.1, 30.0, lambda: 0.0)
    assert max(backoff.next() for _ in range(5_000)) == 15.0


async def test_a_rate_lets_a_burst_through_and_then_so_many_a_second() -> None:
    clock = SetClock()
    began = clock.seconds
    rate = RateLimit(10.0, 5, clock)
    for _ in range(5):
        await rate.wait()
    assert clock.seconds == began
    for _ in range(20):
        await rate.wait()
    assert round(clock.seconds - began, 6) == 2.0


async def test_a_rest_fills_no_more_than_a_burst() -> None:
    clock = SetClock()
    rate = RateLimit(10.0, 5, clock)
    clock.seconds += 1_000.0
    began = clock.seconds
    for _ in range(6):
        await rate.wait()
    assert round(clock.seconds - began, 6) == 0.1
