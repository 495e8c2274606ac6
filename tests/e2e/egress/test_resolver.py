"""Names are asked for once, and remembered for as long as their server says and no longer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.egress import EgressGateway, egress_policy, status_of, ways_out
from tests.support.outside import PUBLIC, Outside

POLICY = egress_policy("base", {"name": "ok", "to": [{"names": ["**.example"], "protocols": ["TCP"]}]})


def connect(gateway: EgressGateway, name: str) -> int:
    client, answer = gateway.tunnel(f"{name}:443")
    client.close()
    return status_of(answer)


@pytest.fixture(scope="module")
def gateway(outside: Outside, directory: Path) -> Iterator[EgressGateway]:
    outside.zone |= {
        "once.example": [PUBLIC],
        "loop.example": ["loop.example."],
        "one-way.example": ["other-way.example."],
        "other-way.example": ["one-way.example."],
    }
    with EgressGateway(outside, directory / "named", ways_out(POLICY)) as running:
        yield running


def test_a_name_that_does_not_exist_is_asked_for_once_in_a_moment(gateway: EgressGateway, outside: Outside) -> None:
    began = time.monotonic()
    statuses = {connect(gateway, "nowhere.once.example") for _ in range(10)}
    took = time.monotonic() - began
    assert statuses == {502}
    # A and AAAA, anew for each second that has passed.
    assert outside.questions.count("nowhere.once.example") <= 2 * (1 + int(took) + 1)


def test_an_answer_that_has_run_out_is_not_used(gateway: EgressGateway, outside: Outside) -> None:
    assert connect(gateway, "once.example") == 200
    assert outside.questions.count("once.example") == 2
    outside.zone["once.example"] = ["10.9.9.9"]
    time.sleep(1.1)
    assert connect(gateway, "once.example") == 403
    assert outside.questions.count("once.example") == 4


@pytest.mark.parametrize("name", ["loop.example", "one-way.example"])
def test_aliases_without_end_lead_nowhere(gateway: EgressGateway, name: str) -> None:
    assert connect(gateway, name) == 502
