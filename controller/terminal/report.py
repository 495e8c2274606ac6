"""Objects and their conditions: what `sekisho check` and `sekisho status` print."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from controller.terminal.announce import left_alone, problem_section
from controller.terminal.writer import Writer, counted, grid, text
from gateway.admin.status import Condition, ObjectStatus, Part, StatusReport


def write_report(writer: Writer, report: StatusReport) -> None:
    """Every object with its conditions, then the problems."""
    if writer.styled:
        _styled(writer, report)
    else:
        _plain(writer, report)
    problem_section(writer, report.problems)
    left_alone(writer, report.left_alone)


def write_verdict(writer: Writer, report: StatusReport) -> None:
    """How it went, in one line."""
    errors = sum(problem.severity == "error" for problem in report.problems)
    warnings = len(report.problems) - errors
    if not report.problems:
        writer.line(("ok", "good"), f": {counted(len(report.objects), 'object')}, no problem")
        return
    words = [counted(number, noun) for number, noun in ((errors, "error"), (warnings, "warning")) if number]
    if writer.styled:
        writer.line()
    writer.line((", ".join(words), "bad" if errors else "warn"))


def _styled(writer: Writer, report: StatusReport) -> None:
    if report.gateways:
        writer.heading("Gateways")
        writer.block(grid([_gateway_row(item.name, item.version, item.wanted, item.error) for item in report.gateways]))
    if report.objects:
        writer.heading("Objects")
        rows = [row for item in report.objects for row in _object_rows(item)]
        writer.block(grid(rows))


def _gateway_row(name: str, version: str, wanted: str, error: str) -> list[Text]:
    # A gateway of its own does not know what its controller wants.
    current = not error and bool(version) and wanted in ("", version)
    shown = f"table v{version}" if version else "no table yet"
    lag = "" if current else f"should hold v{wanted}" if wanted else ""
    return [
        text(("●" if current else "✗", "good" if current else "bad"), " ", name),
        text(shown),
        text((error or lag, "bad")),
    ]


def _object_rows(item: ObjectStatus) -> list[list[Text]]:
    name = f"{item.namespace}/{item.name}" if item.namespace else item.name
    rows = [[text((item.kind, "soft")), text((name, "title")), _marks(item.conditions), text((item.source, "where"))]]
    rows += [[text(), text(("  " + _part_name(part), "soft")), _marks(part.conditions), text()] for part in item.parts]
    return rows


def _part_name(part: Part) -> str:
    if part.attached_routes is None:
        return part.name
    where = f" {' '.join(part.urls)}" if part.urls else ""
    return f"{part.name}{where} ({counted(part.attached_routes, 'route')} attached)"


def _marks(conditions: Iterable[Condition]) -> Text:
    result = Text()
    for condition in conditions:
        fine = condition.fine
        if fine and condition.status == "False":
            continue  # a "Conflicted" that is False is no news
        words = condition.type if fine else f"{condition.type}: {condition.reason}"
        style = "good" if fine else "warn" if condition.status == "Unknown" else "bad"
        result.append_text(text(("✓ " if fine else "✗ ", style), (words, style), "  "))
    return result


def _plain(writer: Writer, report: StatusReport) -> None:
    for gateway in report.gateways:
        suffix = f": {gateway.error}" if gateway.error else ""
        wanted = f" of v{gateway.wanted}" if gateway.wanted else ""
        writer.line(f"gateway {gateway.name} holds v{gateway.version or '-'}{wanted}{suffix}")
    for item in report.objects:
        head = f"{item.key}{f' ({item.source})' if item.source else ''}"
        writer.line(f"{head}: {_sentence(item.conditions)}" if item.conditions else head)
        for part in item.parts:
            writer.line(f"  {_part_name(part)}: {_sentence(part.conditions)}")


def _sentence(conditions: Iterable[Condition]) -> str:
    return ", ".join(f"{item.type}={item.status} {item.reason}".strip() for item in conditions)
