"""Sums of egress records, as people and as programs read them."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.text import Text

from controller.egress_records import Line
from controller.terminal.egress_report import write_egress_report
from controller.terminal.writer import Writer

CART = "spiffe://cluster.local/ns/shop/sa/cart"
LINES = (
    Line(caller="10.0.0.7", host="example.org", port=443, denied=2, reasons={"egress_denied": 2}),
    Line(caller=CART, host="api.stripe.com", port=443, allowed=1200, bytes_received=1500, bytes_sent=2_000_000),
    Line(caller=CART, host="example.org", port=443, would_deny=3, failed=1),
)


def written(lines: Sequence[Line], *, styled: bool = False, width: int = 80) -> list[str]:
    file = io.StringIO()
    write_egress_report(Writer(file, styled=styled, width=width), lines)
    return file.getvalue().splitlines()


def test_programs_get_a_whole_line_for_each_caller_and_destination() -> None:
    assert written(LINES) == [
        "10.0.0.7 example.org:443: 2 denied (egress_denied 2)",
        f"{CART} api.stripe.com:443: 1,200 allowed; 1.5 kB out, 2.0 MB in",
        f"{CART} example.org:443: 3 would be denied, 1 failed",
    ]


def test_people_see_each_caller_once_and_whole_in_a_narrow_terminal() -> None:
    shown = Text.from_ansi("\n".join(written(LINES, styled=True, width=72))).plain
    assert shown.count(CART) == 1
    assert "2 callers, 2 destinations: " in shown
    for part in ("api.stripe.com:443", "1,200 allowed", "3 would be denied", "2 denied", "(egress_denied 2)"):
        assert part in shown, part


def test_a_log_without_records_is_said() -> None:
    assert written(()) == ["no records of egress are in there"]
