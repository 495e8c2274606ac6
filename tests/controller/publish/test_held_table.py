"""What a gateway holds after an update of which parts were refused."""

from __future__ import annotations

from controller.publish.held_table import HeldTable
from gateway.routing_table.model import (
    AuthorizationPolicy,
    Backend,
    Delta,
    Rejection,
    Resources,
    Snapshot,
)

OLD = AuthorizationPolicy(key="shop/p")
NEW = AuthorizationPolicy(key="shop/p", action="DENY")
REFUSED = (Rejection(kind="authorization_policies", key="shop/p", reason="not understood"),)


def held() -> HeldTable:
    table = HeldTable()
    resources = Resources(authorization_policies=(OLD,), backends=(Backend(key="b"),))
    table.apply(Snapshot(version="1", resources=resources), ())
    assert table.resources.authorization_policies == (OLD,)
    return table


def test_a_refused_policy_leaves_no_previous_version_after_a_delta() -> None:
    table = held()
    table.apply(Delta(version="2", base="1", upsert=Resources(authorization_policies=(NEW,))), REFUSED)
    assert table.resources.authorization_policies == ()
    assert len(table.resources.backends) == 1


def test_a_refused_policy_leaves_no_previous_version_after_a_snapshot() -> None:
    table = held()
    table.apply(Snapshot(version="2", resources=Resources(authorization_policies=(NEW,))), REFUSED)
    assert table.resources.authorization_policies == ()


def test_a_policy_that_could_not_even_be_decoded_leaves_no_previous_version() -> None:
    table = held()
    table.apply(Delta(version="2", base="1"), REFUSED)
    assert table.resources.authorization_policies == ()
