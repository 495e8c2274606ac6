"""Command-line options of a gateway process, and the commands that ask a running one.

Parsing and wiring only. The console command itself is ``controller.cli``, because standalone runs
both halves; ``gateway`` must not know it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gateway.admin.server import AdminAddress
from gateway.config import DEFAULT_ADMIN, DEFAULT_DRAIN_SECONDS, GatewaySettings, default_workers


def add_gateway_options(parser: argparse.ArgumentParser, *, access_log: str) -> None:
    """The options of a process that moves traffic."""
    parser.add_argument(
        "--admin",
        default=DEFAULT_ADMIN,
        metavar="HOST:PORT",
        help="where the admin page, metrics and health are (default: %(default)s)",
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        metavar="DIRECTORY",
        help="keep the last good table here, private keys included, and serve it at the next start",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=default_workers(),
        metavar="N",
        help="threads that move traffic (default: one for each core, here %(default)s)",
    )
    parser.add_argument(
        "--access-log",
        default=access_log,
        metavar="stdout|none|PATH",
        help="where one JSON line for each request goes (default: %(default)s)",
    )
    parser.add_argument(
        "--drain-timeout",
        type=float,
        default=DEFAULT_DRAIN_SECONDS,
        metavar="SECONDS",
        help="how long open connections may take to end at a stop (default: %(default)g)",
    )


def gateway_settings(arguments: argparse.Namespace) -> GatewaySettings:
    """The settings that the options say."""
    return GatewaySettings(
        admin=AdminAddress.parse(arguments.admin),
        workers=arguments.workers,
        access_log=arguments.access_log,
        state_dir=arguments.state_dir,
        drain_seconds=arguments.drain_timeout,
    )


def add_admin_option(parser: argparse.ArgumentParser, *, default: str | None) -> None:
    """The option of a command that asks a running gateway."""
    parser.add_argument(
        "--admin",
        default=default,
        metavar="URL",
        help=f"admin address of the running gateway (default: {DEFAULT_ADMIN})",
    )
