from __future__ import annotations

import pytest

from gateway.admin.status import BAD_WHEN_TRUE, Condition


@pytest.mark.parametrize("type_", sorted(BAD_WHEN_TRUE | {"InsecureFrontendValidationMode"}))
def test_a_condition_of_negative_polarity_is_fine_while_it_is_false(type_: str) -> None:
    assert Condition(type=type_, status="False").fine
    assert not Condition(type=type_, status="True").fine
    assert not Condition(type=type_, status="Unknown").fine


def test_other_conditions_are_fine_while_they_are_true() -> None:
    assert Condition(type="Accepted", status="True").fine
    assert not Condition(type="Accepted", status="False").fine
