"""The ``sekisho`` command: arguments, and which part of the program answers them.

Heavy parts are imported by the command that needs them, so that ``--help`` and a mistyped option
answer at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from controller import egress_commands
from controller.ca_options import add_standalone_options, fill_parser, standalone_authority
from controller.config import StandaloneSettings
from controller.controller_options import controller_settings
from controller.controller_options import fill_parser as fill_controller_parser
from controller.explain_command import add_explain
from controller.inject_command import fill_parser as fill_inject_parser
from controller.inject_command import injection_settings, run_inject
from controller.options import (
    PROBLEM,
    Command,
    Commands,
    add_command,
    add_output,
    add_paths,
    add_translation_options,
    translation_settings,
)
from controller.terminal.announce import problems
from controller.terminal.report import write_report, write_verdict
from controller.terminal.writer import Writer
from gateway import __version__
from gateway.admin.status import StatusReport
from gateway.capture.cli import add_capture_options, capture
from gateway.cli import (
    add_admin_option,
    add_gateway_options,
    cluster_settings,
    fill_gateway_parser,
    gateway_settings,
)
from gateway.config import DEFAULT_ADMIN
from gateway.errors import SekishoError, SettingsError

_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console command; the exit status."""
    parsed = _parser().parse_args(arguments)
    command: Command = parsed.command
    try:
        return command(parsed, Writer())
    except SekishoError as error:
        return failed(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of a pipe has seen enough.
        sys.stderr.close()
        return 0


def failed(error: SekishoError) -> int:
    """Says what keeps a command from being done; the exit status."""
    writer = Writer(sys.stderr)
    writer.line(("error: ", "bad"), error.message)
    if error.remedy:
        writer.line(("  hint: ", "good"), error.remedy)
    return _USAGE if isinstance(error, SettingsError) else PROBLEM


# --- arguments ------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sekisho",
        description="A Gateway API gateway: manifests in, live traffic through.",
        epilog="Start with 'sekisho demo', then 'sekisho up -f FILE'. 'sekisho COMMAND --help' has examples.",
    )
    parser.add_argument("--version", action="version", version=f"sekisho {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_up(commands)
    _add_check(commands)
    add_explain(commands)
    _add_status(commands)
    _add_demo(commands)
    _add_gateway(commands)
    _add_sidecar_init(commands)
    _add_controller(commands)
    _add_ca(commands)
    _add_egress(commands)
    _add_inject(commands)
    version = commands.add_parser("version", help="print the version")
    version.set_defaults(command=_version)
    return parser


def _add_egress(commands: Commands) -> None:
    summary = "read records of egress: who reached what, and a policy from it"
    parser = commands.add_parser("egress", help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    egress_commands.fill_parser(parser)


def _add_up(commands: Commands) -> None:
    parser = add_command(
        commands,
        "up",
        _up,
        "serve manifests: controller and gateway in one process, reloaded live",
        "  sekisho up -f shop.yaml\n"
        "  sekisho up -f manifests/ --port-offset 8000 --state-dir /var/lib/sekisho\n"
        "  kubectl get gateways,httproutes,services -o yaml | sekisho up -f -",
    )
    add_paths(parser, required=True)
    add_translation_options(parser)
    add_gateway_options(parser, access_log="none" if sys.stdout.isatty() else "stdout")
    add_standalone_options(parser)


def _add_check(commands: Commands) -> None:
    parser = add_command(
        commands,
        "check",
        _check,
        "judge manifests without serving them: every condition, every problem; exits 1 on any problem",
        "  sekisho check -f manifests/\n  sekisho check -f shop.yaml --output json",
    )
    add_paths(parser, required=True)
    add_output(parser)


def _add_status(commands: Commands) -> None:
    parser = add_command(
        commands,
        "status",
        _status,
        "show objects, conditions, and which gateways hold which table version",
        "  sekisho status\n  sekisho status --admin 127.0.0.1:9901 --output json",
    )
    add_admin_option(parser, default=DEFAULT_ADMIN)
    add_output(parser)


def _add_demo(commands: Commands) -> None:
    parser = add_command(
        commands,
        "demo",
        _demo,
        "run the quickstart: a gateway, sample backends, a certificate, and curl lines to try",
        "  sekisho demo\n  sekisho demo --port-offset 1000",
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path(".state/demo"),
        metavar="DIRECTORY",
        help="where manifests to play with and a certificate are written (default: %(default)s)",
    )
    add_translation_options(parser)
    add_gateway_options(parser, access_log="none" if sys.stdout.isatty() else "stdout")


def _add_controller(commands: Commands) -> None:
    parser = add_command(
        commands,
        "controller",
        _controller,
        "serve a Kubernetes cluster: translate its objects, provision and feed its gateways, write statuses",
        "  sekisho controller --gateway-image registry.example.com/sekisho:1.0\n"
        "  sekisho controller --kubeconfig ~/.kube/config --namespace sekisho-system --gateway-image sekisho:dev",
    )
    fill_controller_parser(parser)


def _add_ca(commands: Commands) -> None:
    parser = commands.add_parser(
        "ca",
        help="the mesh's authority: its root, join tokens, who is denied",
        description="The mesh's authority, in a directory (--ca-dir) or in a cluster (--namespace).",
        epilog="examples:\n"
        "  sekisho ca token create --ca-dir /var/lib/sekisho/ca --identity spiffe://cluster.local/ns/vm/sa/db\n"
        "  sekisho ca rotate --namespace sekisho-system --kubeconfig ~/.kube/config --admin 127.0.0.1:9901",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fill_parser(parser)


def _add_inject(commands: Commands) -> None:
    parser = add_command(
        commands,
        "inject",
        _inject,
        "add sidecars to the workloads of manifests",
        "  sekisho inject -f shop.yaml --image registry.example.com/sekisho:1.0 | kubectl apply -f -",
    )
    fill_inject_parser(parser)


def _add_gateway(commands: Commands) -> None:
    parser = add_command(
        commands,
        "gateway",
        _gateway,
        "move the traffic of a Gateway, or of a workload of the mesh, by the tables of a controller",
        "  sekisho gateway --role edge --controller https://sekisho-controller.sekisho-system.svc:15012 \\\n"
        "    --trust-bundle /etc/sekisho/ca/ca.crt --token /var/run/secrets/sekisho/token \\\n"
        "    --state-dir /var/lib/sekisho --health 0.0.0.0:15021\n"
        "  sekisho gateway --role sidecar --controller https://10.0.0.1:15012 --trust-bundle ca.crt \\\n"
        "    --join-token token --workload shop/cart-machine",
    )
    fill_gateway_parser(parser)


def _add_sidecar_init(commands: Commands) -> None:
    parser = add_command(
        commands,
        "sidecar-init",
        _sidecar_init,
        "redirect the connections of this network namespace to its sidecar",
        "  sekisho sidecar-init --exclude-inbound-port 22\n"
        "  sekisho sidecar-init --exclude-outbound-cidr 169.254.169.254/32 --print\n"
        "  sekisho sidecar-init --undo",
    )
    add_capture_options(parser)


# --- commands -------------------------------------------------------------------------------------


def _up(arguments: argparse.Namespace, writer: Writer) -> int:
    from controller.app import run_standalone  # noqa: PLC0415

    settings = StandaloneSettings(
        paths=tuple(arguments.paths),
        translation=translation_settings(arguments),
        gateway=gateway_settings(arguments),
        authority=standalone_authority(arguments),
    )
    return run_standalone(settings, writer)


def _check(arguments: argparse.Namespace, writer: Writer) -> int:
    from controller.offline import Offline  # noqa: PLC0415

    offline = Offline(arguments.paths)
    report, workloads = offline.report(), offline.workloads()
    shown = StatusReport(
        workloads=workloads, objects=report.objects, problems=report.problems, left_alone=report.left_alone
    )
    if arguments.output == "json":
        writer.json(msgspec.json.encode(shown))
    else:
        write_report(writer, shown)
        problems(writer, report.notices)
        write_verdict(writer, shown)
    return PROBLEM if shown.problems else 0


def _status(arguments: argparse.Namespace, writer: Writer) -> int:
    from gateway.admin.client import AdminClient  # noqa: PLC0415

    client = AdminClient(arguments.admin)
    if arguments.output == "json":
        writer.json(client.status_document())
    else:
        write_report(writer, client.status())
    return 0


def _demo(arguments: argparse.Namespace, writer: Writer) -> int:
    from controller.demo import run_demo  # noqa: PLC0415

    return run_demo(arguments.directory, translation_settings(arguments), gateway_settings(arguments), writer)


def _controller(arguments: argparse.Namespace, _writer: Writer) -> int:
    from controller.cluster.process import run_controller  # noqa: PLC0415

    return run_controller(controller_settings(arguments))


def _inject(arguments: argparse.Namespace, _writer: Writer) -> int:
    run_inject(arguments.paths, injection_settings(arguments), sys.stdout, sys.stderr)
    return 0


def _gateway(arguments: argparse.Namespace, _writer: Writer) -> int:
    from gateway.edge import run_edge  # noqa: PLC0415

    return run_edge(cluster_settings(arguments))


def _sidecar_init(arguments: argparse.Namespace, writer: Writer) -> int:
    for line in capture(arguments).splitlines():
        writer.line(line)
    return 0


def _version(_arguments: argparse.Namespace, writer: Writer) -> int:
    writer.line(f"sekisho {__version__}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
