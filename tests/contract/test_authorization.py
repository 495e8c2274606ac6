"""The policies of the decisions that the engine is held to are such as the routing table takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.routing_table import validate
from gateway.routing_table.model import AuthorizationPolicy


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    policies: tuple[AuthorizationPolicy, ...]
    allowed: bool
    policy: str | None
    rule: int | None
    request: dict[str, Any] | None = None
    connection: dict[str, Any] | None = None
    asks: tuple[str, ...] = ()


CASES = msgspec.json.decode((Path(__file__).parent / "authorization" / "decisions.json").read_bytes(), type=list[Case])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_policies_of_a_decision_are_valid(case: Case) -> None:
    assert [validate.problem(policy) for policy in case.policies] == [None] * len(case.policies)
    assert (case.request is None) != (case.connection is None)
    assert case.policy is None or case.policy in {policy.key for policy in case.policies}


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 120
    assert sum(case.connection is not None for case in CASES) >= 20
    assert len({case.name for case in CASES}) == len(CASES)
