"""Command-line options of a gateway process, and the commands that ask a running one.

Parsing and wiring only. The console command itself is ``controller.cli``, because standalone runs
both halves; ``gateway`` must not know it.
"""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gateway.admin.server import AdminAddress
from gateway.config import (
    DEFAULT_ADMIN,
    DEFAULT_DRAIN_DELAY,
    DEFAULT_DRAIN_SECONDS,
    DEFAULT_EGRESS_LOG_BYTES,
    DEFAULT_EGRESS_LOG_FILES,
    SIDECAR_ADMIN,
    SIDECAR_HEALTH,
    ClusterSettings,
    CollectorSettings,
    GatewaySettings,
    default_workers,
)
from gateway.errors import SettingsError
from gateway.identity.settings import IdentitySettings


def add_gateway_options(
    parser: argparse.ArgumentParser, *, access_log: str, admin: str = f"default: {DEFAULT_ADMIN}"
) -> None:
    """The options of a process that moves traffic. ``admin``: what is said of that option's default."""
    parser.add_argument("--admin", metavar="HOST:PORT", help=f"where the admin page, metrics and health are ({admin})")
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
        "--egress-log",
        type=Path,
        metavar="PATH",
        help="a file for egress decisions, besides the access log; put aside when it is full",
    )
    parser.add_argument(
        "--egress-log-size",
        type=int,
        default=DEFAULT_EGRESS_LOG_BYTES,
        metavar="BYTES",
        help="how large that file becomes (default: %(default)s)",
    )
    parser.add_argument(
        "--egress-log-files",
        type=int,
        default=DEFAULT_EGRESS_LOG_FILES,
        metavar="N",
        help="how many such files are kept, the current one included (default: %(default)s)",
    )
    parser.add_argument(
        "--egress-otlp",
        default="",
        metavar="http[s]://HOST:PORT",
        help="a collector of OpenTelemetry that gets egress decisions as log records (OTLP over HTTP)",
    )
    for option, what in (
        ("--egress-otlp-ca", "certificates that the collector is verified by (default: the operating system's)"),
        ("--egress-otlp-certificate", "what the gateway shows to the collector; read again when the file changes"),
        ("--egress-otlp-key", "the private key of that certificate"),
        (
            "--egress-dns-ca",
            "certificates that name servers with TLS are verified by (default: the system's)",
        ),
    ):
        parser.add_argument(option, type=Path, metavar="FILE", help=what)
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
        admin=AdminAddress.parse(arguments.admin or DEFAULT_ADMIN),
        workers=arguments.workers,
        access_log=arguments.access_log,
        egress_log=arguments.egress_log,
        egress_log_bytes=arguments.egress_log_size,
        egress_log_files=arguments.egress_log_files,
        egress_otlp=CollectorSettings(
            url=arguments.egress_otlp,
            authorities=arguments.egress_otlp_ca,
            certificate=arguments.egress_otlp_certificate,
            private_key=arguments.egress_otlp_key,
        ),
        egress_dns_ca=arguments.egress_dns_ca,
        state_dir=arguments.state_dir,
        drain_seconds=arguments.drain_timeout,
    )


def add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """The options of a gateway in a cluster, besides those of every gateway."""
    parser.add_argument(
        "--role",
        choices=("edge", "sidecar"),
        default="edge",
        help="the gateway of a Gateway, or what stands beside one workload of the mesh (default: %(default)s)",
    )
    parser.add_argument(
        "--workload",
        default="",
        metavar="NAMESPACE/NAME",
        help="of a sidecar: its Pod or WorkloadEntry (default: $POD_NAMESPACE/$POD_NAME)",
    )
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


def fill_gateway_parser(parser: argparse.ArgumentParser) -> None:
    """The options of ``sekisho gateway``."""
    add_cluster_options(parser)
    add_gateway_options(parser, access_log="stdout", admin=f"default: {DEFAULT_ADMIN}, of a sidecar {SIDECAR_ADMIN}")


def cluster_settings(arguments: argparse.Namespace) -> ClusterSettings:
    """The settings that the options and the environment say."""
    sidecar = arguments.role == "sidecar"
    where = arguments.health or (SIDECAR_HEALTH if sidecar else None)
    gateway = gateway_settings(arguments)
    if sidecar and arguments.admin is None:
        gateway = replace(gateway, admin=AdminAddress.parse(SIDECAR_ADMIN))
    health = AdminAddress.parse(where, "--health") if where is not None else None
    return ClusterSettings(
        gateway=replace(gateway, health=health, drain_delay=arguments.drain_delay),
        identity=IdentitySettings(
            controller=arguments.controller.rstrip("/"),
            trust_bundle=arguments.trust_bundle,
            token=arguments.token,
            join_token=arguments.join_token,
            certificates=arguments.certificates,
            workload_api=arguments.workload_api,
        ),
        name=os.environ.get("POD_NAME") or socket.gethostname(),
        workload=_workload(arguments, os.environ),
    )


def _workload(arguments: argparse.Namespace, environment: Mapping[str, str]) -> str:
    """What a sidecar stands before; empty for other roles."""
    if arguments.role != "sidecar":
        if arguments.workload:
            raise SettingsError("--workload is for sidecars", "add --role sidecar, or leave it out")
        return ""
    namespace, name = environment.get("POD_NAMESPACE", ""), environment.get("POD_NAME", "")
    workload: str = arguments.workload or (f"{namespace}/{name}" if namespace and name else "")
    if not workload:
        raise SettingsError(
            "it is not known which workload this sidecar stands before",
            "give --workload NAMESPACE/NAME, or set POD_NAMESPACE and POD_NAME",
        )
    return workload


def add_admin_option(parser: argparse.ArgumentParser, *, default: str | None) -> None:
    """The option of a command that asks a running gateway."""
    parser.add_argument(
        "--admin",
        default=default,
        metavar="URL",
        help=f"admin address of the running gateway (default: {DEFAULT_ADMIN})",
    )
