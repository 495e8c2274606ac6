"""Options that several commands of ``sekisho`` have, and how every command introduces itself."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias

from controller.config import DEFAULT_ADDRESS, TranslationSettings
from controller.terminal.writer import Writer

Command = Callable[[argparse.Namespace, Writer], int]
"""What answers a command; its exit status."""

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - it has no other name
"""To which a command is added; a text, because it is generic to type checkers alone."""

PROBLEM = 1
"""Exit status where what was asked could be told, and it is not well."""


def add_command(
    commands: Commands,
    name: str,
    command: Command,
    summary: str,
    examples: str,
) -> argparse.ArgumentParser:
    """The parser of a command, whose help has a summary and examples."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=command)
    return parser


def add_paths(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """The manifests that a command reads."""
    parser.add_argument(
        "-f",
        "--file",
        dest="paths",
        action="append",
        required=required,
        metavar="PATH",
        help="manifest file or folder, or - for standard input; may be repeated",
    )


def add_translation_options(parser: argparse.ArgumentParser) -> None:
    """Where the listeners of manifests are bound."""
    parser.add_argument(
        "--address",
        default=DEFAULT_ADDRESS,
        metavar="IP",
        help="bound where a Gateway asks for no address (default: %(default)s)",
    )
    parser.add_argument(
        "--port-offset",
        type=int,
        default=0,
        metavar="N",
        help="added to every listener's port: 8000 turns 80 into 8080",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """How a command answers: for people, or for programs."""
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="default: %(default)s")


def translation_settings(arguments: argparse.Namespace) -> TranslationSettings:
    """What :func:`add_translation_options` has read."""
    return TranslationSettings(address=arguments.address, port_offset=arguments.port_offset)
