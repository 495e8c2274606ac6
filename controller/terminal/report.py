"""Objects and their conditions: what `sekisho check` and `sekisho status` print."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from rich.text import Text

from controller.terminal.announce import left_alone, problem_section
from controller.terminal.writer import Writer, counted, grid, text
from gateway.admin.status import Condition, GatewayVersion, ObjectStatus, Part, StatusReport, WorkloadStatus


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
        writer.block(grid([_gateway_row(item) for item in report.gateways]))
    if report.workloads:
        writer.heading("Workloads")
        writer.block(grid([_workload_row(item) for item in report.workloads]))
    if report.objects:
        writer.heading("Objects")
        rows = [row for item in report.objects for row in _object_rows(item)]
        writer.block(grid(rows))


def _gateway_row(gateway: GatewayVersion) -> list[Text]:
    # A gateway of its own does not know what its controller wants.
    current = not gateway.error and bool(gateway.version) and gateway.wanted in ("", gateway.version)
    shown = f"table v{gateway.version}" if gateway.version else "no table yet"
    lag = "" if current else f"should hold v{gateway.wanted}" if gateway.wanted else ""
    return [
        text(("●" if current else "✗", "good" if current else "bad"), " ", gateway.name),
        text(shown),
        text((_certified(gateway), "soft")),
        text((gateway.error or lag, "bad")),
    ]


def _certified(gateway: GatewayVersion) -> str:
    """Who it is, and until when its certificate says so."""
    if not gateway.identity:
        return ""
    ends = datetime.datetime.fromtimestamp(gateway.certificate_ends, datetime.UTC)
    return f"{gateway.identity} until {ends:%F %T}Z"


def _workload_row(workload: WorkloadStatus) -> list[Text]:
    return [
        text((workload.kind, "soft")),
        text((f"{workload.namespace}/{workload.name}", "title")),
        text(workload.identity),
        text((_modes(workload), "good" if workload.mode == "STRICT" else "warn")),
        text((_policies(workload), "soft")),
    ]


def _modes(workload: WorkloadStatus) -> str:
    """What it takes, such as ``mTLS STRICT, 8080 DISABLE``."""
    ports = [f"{port} {mode}" for port, mode in workload.port_modes.items()]
    return "mTLS " + ", ".join([workload.mode, *ports] if workload.mode else ports or ["on no port"])


def _policies(workload: WorkloadStatus) -> str:
    return ", ".join(workload.policies) or "no policy"


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
        certified = f" as {_certified(gateway)}" if gateway.identity else ""
        writer.line(f"gateway {gateway.name} holds v{gateway.version or '-'}{wanted}{certified}{suffix}")
    for workload in report.workloads:
        name = f"{workload.kind}/{workload.namespace}/{workload.name}"
        writer.line(f"workload {name} is {workload.identity}: {_modes(workload)}; {_policies(workload)}")
    for item in report.objects:
        head = f"{item.key}{f' ({item.source})' if item.source else ''}"
        writer.line(f"{head}: {_sentence(item.conditions)}" if item.conditions else head)
        for part in item.parts:
            writer.line(f"  {_part_name(part)}: {_sentence(part.conditions)}")


def _sentence(conditions: Iterable[Condition]) -> str:
    return ", ".join(f"{item.type}={item.status} {item.reason}".strip() for item in conditions)
