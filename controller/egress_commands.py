"""``sekisho egress``: what the records of decisions say, and a policy from it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import yaml

from controller.egress_records import Record, records, report, suggest
from controller.terminal.egress_report import write_egress_report
from controller.terminal.writer import Writer
from gateway.errors import SekishoError, SettingsError

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
    write_egress_report(writer, lines)
    return 0


def _suggest(arguments: argparse.Namespace, writer: Writer) -> int:
    namespace, slash, name = arguments.gateway.partition("/")
    if not slash or not namespace or not name or "/" in name:
        raise SettingsError(f"--gateway {arguments.gateway}: write NAMESPACE/NAME")
    policy = suggest(_read(arguments.file), arguments.name, namespace, {"name": name})
    if not policy["spec"]["rules"]:
        raise SekishoError(
            "nothing was let out in there, so there is nothing to suggest",
            "let a policy of mode Report watch for a while, or see 'sekisho egress report' for what was denied",
        )
    writer.line(yaml.safe_dump(policy, sort_keys=False).rstrip())
    return 0
