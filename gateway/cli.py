"""Command-line options of a gateway process, and the commands that ask a running one.

Parsing and wiring only. The console command itself is ``controller.cli``, because standalone runs
both halves; ``gateway`` must not know it.
"""

from __future__ import annotations

import argparse
import os
import socket
from dataclasses import replace
from pathlib import Path

from gateway.admin.server import AdminAddress
from gateway.config import (
    DEFAULT_ADMIN,
    DEFAULT_DRAIN_DELAY,
    DEFAULT_DRAIN_SECONDS,
    ClusterSettings,
    GatewaySettings,
    default_workers,
)
from gateway.errors import SettingsError
from gateway.identity.settings import IdentitySettings


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


def add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """The options of a gateway in a cluster, besides those of every gateway."""
    parser.add_argument("--role", default="edge", metavar="edge", help="what it stands for (default: %(default)s)")
    parser.add_argument(
        "--controller", required=True, metavar="URL", help="where discovery is served: https://HOST:PORT"
    )
    parser.add_argument(
        "--trust-bundle",
        type=Path,
        required=True,
        metavar="FILE",
        help="certificates that the controller is verified by; read again when the file changes",
    )
    source = parser.add_argument_group("identity", "who this gateway is; one of:")
    for option, metavar, what in (
        ("--token", "FILE", "service-account token, shown for every certificate; read again at each use"),
        ("--join-token", "FILE", "token of 'sekisho ca token create', good once; its certificate is renewed by itself"),
        ("--certificates", "DIRECTORY", "tls.crt, tls.key and ca.crt that others rotate, as cert-manager does"),
    ):
        source.add_argument(option, type=Path, metavar=metavar, help=what)
    source.add_argument(
        "--workload-api", metavar="unix:///PATH", help="socket of a SPIFFE Workload API, such as SPIRE's agent"
    )
    parser.add_argument(
        "--health", metavar="HOST:PORT", help="serve only health and metrics here, for the kubelet and Prometheus"
    )
    parser.add_argument(
        "--drain-delay",
        type=float,
        default=DEFAULT_DRAIN_DELAY,
        metavar="SECONDS",
        help="how long it still accepts after SIGTERM, while endpoints are taken out (default: %(default)g)",
    )


def cluster_settings(arguments: argparse.Namespace) -> ClusterSettings:
    """The settings that the options and the environment say."""
    if arguments.role != "edge":
        raise SettingsError(
            f"--role {arguments.role} is not in this release: it has the role edge alone", "use --role edge"
        )
    health = AdminAddress.parse(arguments.health, "--health") if arguments.health is not None else None
    return ClusterSettings(
        gateway=replace(gateway_settings(arguments), health=health, drain_delay=arguments.drain_delay),
        identity=IdentitySettings(
            controller=arguments.controller.rstrip("/"),
            trust_bundle=arguments.trust_bundle,
            token=arguments.token,
            join_token=arguments.join_token,
            certificates=arguments.certificates,
            workload_api=arguments.workload_api,
        ),
        name=os.environ.get("POD_NAME") or socket.gethostname(),
    )


def add_admin_option(parser: argparse.ArgumentParser, *, default: str | None) -> None:
    """The option of a command that asks a running gateway."""
    parser.add_argument(
        "--admin",
        default=default,
        metavar="URL",
        help=f"admin address of the running gateway (default: {DEFAULT_ADMIN})",
    )
