"""`sekisho explain`: its options, the question they make, and who answers it: manifests, or a running gateway."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from controller.options import PROBLEM, Commands, add_command, add_output, add_paths
from controller.terminal.explanation import write_explanation
from controller.terminal.writer import Writer
from gateway.admin.explain import Question, QuestionError, checked, header_from_text
from gateway.cli import add_admin_option
from gateway.config import DEFAULT_ADMIN
from gateway.errors import SettingsError


def add_explain(commands: Commands) -> None:
    """The command and its options."""
    parser = add_command(
        commands,
        "explain",
        _explain,
        "tell which route takes a request and why, on manifests or on a running gateway",
        "  sekisho explain GET http://shop.example.com/cart\n"
        "  sekisho explain -f shop.yaml GET http://shop.example.com/cart -H 'x-canary: 1'\n"
        "  sekisho explain --admin 10.0.0.7:9901 POST https://shop.example.com/buy --output json\n"
        "  sekisho explain -f shop.yaml --workload shop/cart-1 --from spiffe://cluster.local/ns/shop/sa/web \\\n"
        "    GET http://cart.shop:8080/cart\n"
        "  sekisho explain -f egress.yaml --from spiffe://cluster.local/ns/shop/sa/cart CONNECT api.example.com:443\n"
        "  sekisho explain -f egress.yaml POST http://pay.example.com/a.B/New -H 'content-type: application/grpc'",
    )
    parser.add_argument("method", metavar="METHOD", help="for example GET")
    parser.add_argument("url", metavar="URL", help="scheme and port choose the listener; https is TLS with that name")
    parser.add_argument("-H", "--header", action="append", default=[], metavar="'NAME: VALUE'", help="may be repeated")
    parser.add_argument(
        "--from",
        dest="identity",
        default="",
        metavar="spiffe://…",
        help="the client's identity, as a verified certificate would tell it (default: none)",
    )
    parser.add_argument(
        "--source", default="", metavar="ADDRESS", help="the client's address, for policies (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--workload",
        default="",
        metavar="NAMESPACE/NAME",
        help="with -f: ask the sidecar before this Pod or WorkloadEntry; the URL has the workload's port",
    )
    add_paths(parser, required=False)
    add_admin_option(parser, default=None)
    add_output(parser)


def _explain(arguments: argparse.Namespace, writer: Writer) -> int:
    question = _question(arguments)
    answer = _ask(arguments, question)
    if arguments.output == "json":
        writer.json(msgspec.json.encode(answer))
    else:
        write_explanation(writer, question, answer)
    return 0 if answer["decision"] in ("route", "egress") else PROBLEM


def _question(arguments: argparse.Namespace) -> Question:
    try:
        return checked(
            Question(
                url=arguments.url,
                method=arguments.method.upper(),
                headers=tuple(header_from_text(text) for text in arguments.header),
                from_=arguments.identity,
                source=arguments.source,
            )
        )
    except QuestionError as error:
        raise SettingsError(str(error)) from error


def _ask(arguments: argparse.Namespace, question: Question) -> dict[str, Any]:
    if not arguments.paths:
        if arguments.workload:
            raise SettingsError("--workload needs manifests", "give -f, or --admin of the sidecar without --workload")
        from gateway.admin.client import AdminClient  # noqa: PLC0415

        return AdminClient(arguments.admin or DEFAULT_ADMIN).explain(question)
    if arguments.admin is not None:
        raise SettingsError("-f and --admin exclude each other", "-f asks manifests, --admin a running gateway")
    from controller.offline import Offline  # noqa: PLC0415

    offline = Offline(arguments.paths)
    try:
        if arguments.workload:
            return offline.explain_before(arguments.workload, question)
        return offline.explain(question)
    except ValueError as error:
        raise SettingsError(str(error)) from error
