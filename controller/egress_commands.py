"""``sekisho egress``: what the records of decisions say, and a policy from it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import yaml
from rich.table import Table

from controller.egress_records import Line, Record, records, report, suggest
from controller.terminal.writer import Writer
from gateway.errors import SettingsError

Command = Callable[[argparse.Namespace, Writer], int]

_HELP = "a log with records of decisions; '-' is standard input; may be repeated"


def fill_parser(parser: argparse.ArgumentParser) -> None:
    """The two commands."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    summed = commands.add_parser("report", help="sum the records: who reached what, and what was or would be denied")
    summed.add_argument("-f", "--file", action="append", required=True, metavar="PATH", help=_HELP)
    summed.add_argument("--output", choices=("text", "json"), default="text")
    summed.set_defaults(command=_report)
    suggested = commands.add_parser("suggest", help="write an EgressPolicy, in Report mode, from what was let out")
    suggested.add_argument("-f", "--file", action="append", required=True, metavar="PATH", help=_HELP)
    suggested.add_argument("--name", default="observed", help="name of the policy (default: observed)")
    suggested.add_argument("--gateway", required=True, metavar="NAMESPACE/NAME", help="the Gateway that it is for")
    suggested.set_defaults(command=_suggest)


def _read(paths: list[str]) -> Iterator[Record]:
    with ExitStack() as stack:
        for path in paths:
            try:
                file = sys.stdin if path == "-" else stack.enter_context(Path(path).open(encoding="utf-8"))
            except OSError as error:
                raise SettingsError(f"{path}: {error.strerror}") from error
            yield from records(file)


def _report(arguments: argparse.Namespace, writer: Writer) -> int:
    lines = report(_read(arguments.file))
    if arguments.output == "json":
        writer.json(msgspec.json.encode(lines))
        return 0
    if not lines:
        writer.line("no records of egress are in there")
        return 0
    if writer.styled:
        writer.block(_table(lines))
        return 0
    for line in lines:
        writer.line("  ".join(_cells(line)))
    return 0


def _table(lines: list[Line]) -> Table:
    table = Table("who", "destination", "allowed", "would deny", "denied", "failed", "bytes out", "bytes in", "why")
    for line in lines:
        table.add_row(*_cells(line))
    return table


def _cells(line: Line) -> tuple[str, ...]:
    counts = (line.allowed, line.would_deny, line.denied, line.failed, line.bytes_received, line.bytes_sent)
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(line.reasons.items()))
    return (line.caller, f"{line.host}:{line.port}", *map(str, counts), reasons)


def _suggest(arguments: argparse.Namespace, writer: Writer) -> int:
    namespace, slash, name = arguments.gateway.partition("/")
    if not slash or not namespace or not name or "/" in name:
        raise SettingsError(f"--gateway {arguments.gateway}: write NAMESPACE/NAME")
    policy = suggest(_read(arguments.file), arguments.name, namespace, {"name": name})
    if not policy["spec"]["rules"]:
        raise SettingsError("nothing was let out in there, so there is nothing to suggest")
    writer.line(yaml.safe_dump(policy, sort_keys=False).rstrip())
    return 0
