"""Sums of egress records for people: a heading for each caller, a line for each destination."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from rich.filesize import decimal
from rich.text import Text

from controller.egress_records import Line
from controller.terminal.writer import Writer, counted, grid, text

_COUNTS: Final = (
    ("allowed", "allowed", "good"),
    ("would_deny", "would be denied", "warn"),
    ("denied", "denied", "bad"),
    ("failed", "failed", "warn"),
)


def write_egress_report(writer: Writer, lines: Sequence[Line]) -> None:
    """All sums first, then callers in the order of ``lines``."""
    if not lines:
        writer.line("no records of egress are in there")
        return
    # Plain lines each say everything: they are cut and sorted by other programs.
    if not writer.styled:
        for line in lines:
            writer.line(f"{line.caller} {line.host}:{line.port}: {_outcome(line).plain}{_moved(line)}")
        return
    callers = list(dict.fromkeys(line.caller for line in lines))
    total = Line(caller="", host="", port=0, reasons={})
    for name in ("allowed", "would_deny", "denied", "failed", "bytes_received", "bytes_sent"):
        setattr(total, name, sum(getattr(line, name) for line in lines))
    destinations = len({(line.host, line.port) for line in lines})
    head = f"{counted(len(callers), 'caller')}, {counted(destinations, 'destination')}: "
    writer.line(head, *_parts(total), (_moved(total), "soft"))
    by_caller = sorted(lines, key=lambda line: callers.index(line.caller))
    for caller, reached in groupby(by_caller, lambda line: line.caller):
        writer.heading(caller or "unknown")
        writer.block(grid([_row(line) for line in reached]))


def _row(line: Line) -> list[Text]:
    return [text(f"{line.host}:{line.port}"), _outcome(line).append(_moved(line), style="soft")]


def _outcome(line: Line) -> Text:
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(line.reasons.items()))
    return text(*_parts(line), (f" ({reasons})" if reasons else "", "soft"))


def _parts(line: Line) -> Iterable[tuple[str, str]]:
    """``3 allowed, 1 denied``: what there is any of."""
    counts = [(getattr(line, field), words, style) for field, words, style in _COUNTS]
    shown = [(f"{count:,} {words}", style) for count, words, style in counts if count] or [("nothing decided", "soft")]
    for place, (words, style) in enumerate(shown):
        yield (", " if place else "") + words, style


def _moved(line: Line) -> str:
    """Bytes, as the client sent and got them; empty where there were none."""
    if not line.bytes_received and not line.bytes_sent:
        return ""
    return f"; {decimal(line.bytes_received)} out, {decimal(line.bytes_sent)} in"
