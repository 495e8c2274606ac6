"""`sekisho sidecar-init`: its options, and what it does."""

from __future__ import annotations

import argparse

from gateway.capture.install import install, installed_tool, shown, undo
from gateway.capture.settings import INBOUND_PORT, OUTBOUND_PORT, PROXY_ID, CaptureSettings


def add_capture_options(parser: argparse.ArgumentParser) -> None:
    """What is captured, and how."""
    for option, what in (("--uid", "user"), ("--gid", "group")):
        parser.add_argument(
            option,
            action="append",
            type=int,
            default=[],
            metavar="N",
            help=f"{what} of the sidecar, whose connections are not captured; may be repeated (default: {PROXY_ID})",
        )
    for option, default, what in (
        ("--inbound-port", INBOUND_PORT, "where the sidecar takes what comes in"),
        ("--outbound-port", OUTBOUND_PORT, "where it takes what goes out"),
    ):
        parser.add_argument(option, type=int, default=default, metavar="PORT", help=f"{what} (default: %(default)s)")
    parser.add_argument("--no-inbound", action="store_true", help="leave what comes in as it is")
    parser.add_argument("--no-outbound", action="store_true", help="leave what goes out as it is")
    for option, metavar, what in (
        ("--exclude-inbound-port", "PORT[-PORT]", "leave connections to this port as they are"),
        ("--exclude-outbound-port", "PORT[-PORT]", "leave connections to this port elsewhere as they are"),
        ("--exclude-outbound-cidr", "BLOCK", "leave connections to these addresses as they are"),
    ):
        parser.add_argument(option, action="append", default=[], metavar=metavar, help=f"{what}; may be repeated")
    parser.add_argument("--tool", choices=("nft", "iptables"), help="default: nft where it is installed")
    does = parser.add_mutually_exclusive_group()
    does.add_argument("--print", dest="only_print", action="store_true", help="show the rules, and do nothing")
    does.add_argument("--undo", action="store_true", help="take the rules away, and nothing else")


def capture(arguments: argparse.Namespace) -> str:
    """Does what the options say; what is to be printed."""
    settings = CaptureSettings(
        users=tuple(arguments.uid) or (PROXY_ID,),
        groups=tuple(arguments.gid) or (PROXY_ID,),
        inbound=not arguments.no_inbound,
        outbound=not arguments.no_outbound,
        inbound_port=arguments.inbound_port,
        outbound_port=arguments.outbound_port,
        excluded_inbound_ports=tuple(arguments.exclude_inbound_port),
        excluded_outbound_ports=tuple(arguments.exclude_outbound_port),
        excluded_outbound_ranges=tuple(arguments.exclude_outbound_cidr),
    )
    if arguments.only_print:
        return shown(arguments.tool or "nft", settings)
    tool = arguments.tool or installed_tool()
    if arguments.undo:
        undo(tool)
        return "connections are no longer captured\n"
    install(tool, settings)
    return f"connections are captured: in {settings.inbound_port}, out {settings.outbound_port}\n"
