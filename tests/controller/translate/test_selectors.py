from __future__ import annotations

import pytest

from controller.resources import LabelSelector, LabelSelectorRequirement
from controller.translate.selectors import selects, unknown_operator

LABELS = {"team": "shop", "stage": "live"}


def term(key: str, operator: str, *values: str) -> LabelSelector:
    return LabelSelector(match_expressions=(LabelSelectorRequirement(key=key, operator=operator, values=values),))


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (LabelSelector(), True),
        (LabelSelector(match_labels={"team": "shop"}), True),
        (LabelSelector(match_labels={"team": "shop", "stage": "test"}), False),
        (LabelSelector(match_labels={"absent": "x"}), False),
        (term("team", "In", "blog", "shop"), True),
        (term("team", "In", "blog"), False),
        (term("absent", "In", "x"), False),
        (term("team", "NotIn", "blog"), True),
        (term("team", "NotIn", "shop"), False),
        (term("absent", "NotIn", "x"), True),
        (term("team", "Exists"), True),
        (term("absent", "Exists"), False),
        (term("team", "DoesNotExist"), False),
        (term("absent", "DoesNotExist"), True),
        (term("team", "Like", "shop"), False),
    ],
)
def test_what_a_selector_selects(selector: LabelSelector, expected: bool) -> None:
    assert selects(selector, LABELS) is expected


def test_an_operator_that_nobody_knows_is_named() -> None:
    assert unknown_operator(term("team", "Like", "shop")) == "Like"
    assert unknown_operator(term("team", "In", "shop")) == ""
