"""The ``sekisho`` command: arguments, and which part of the program answers them.

Heavy parts are imported by the command that needs them, so that ``--help`` and a mistyped option
answer at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from controller import egress_commands
from controller.ca_options import (
    add_lifetime_options,
    add_standalone_options,
    duration,
    fill_parser,
    standalone_authority,
)
from controller.config import (
    DEFAULT_ADDRESS,
    DEFAULT_DISCOVERY,
    DEFAULT_HEALTH,
    LOG_LEVELS,
    PULL_POLICIES,
    ClusterSettings,
    StandaloneSettings,
    TranslationSettings,
)
from controller.inject_command import fill_parser as fill_inject_parser
from controller.inject_command import injection_settings, run_inject
from controller.terminal.announce import problems
from controller.terminal.explanation import write_explanation
from controller.terminal.report import write_report, write_verdict
from controller.terminal.writer import Writer
from gateway import __version__
from gateway.admin.explain import Question, QuestionError, checked, header_from_text
from gateway.admin.server import AdminAddress
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

Command = Callable[[argparse.Namespace, Writer], int]

_PROBLEM = 1
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
    return _USAGE if isinstance(error, SettingsError) else _PROBLEM


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
    _add_explain(commands)
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


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    command: Command,
    summary: str,
    examples: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=command)
    return parser


def _add_egress(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    summary = "read records of egress: who reached what, and a policy from it"
    parser = commands.add_parser("egress", help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    egress_commands.fill_parser(parser)


def _add_up(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "up",
        _up,
        "serve manifests: controller and gateway in one process, reloaded live",
        "  sekisho up -f shop.yaml\n"
        "  sekisho up -f manifests/ --port-offset 8000 --state-dir /var/lib/sekisho\n"
        "  kubectl get gateways,httproutes,services -o yaml | sekisho up -f -",
    )
    _add_paths(parser, required=True)
    _add_translation_options(parser)
    add_gateway_options(parser, access_log="none" if sys.stdout.isatty() else "stdout")
    add_standalone_options(parser)


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "check",
        _check,
        "judge manifests without serving them: every condition, every problem; exits 1 on any problem",
        "  sekisho check -f manifests/\n  sekisho check -f shop.yaml --output json",
    )
    _add_paths(parser, required=True)
    _add_output(parser)


def _add_explain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "explain",
        _explain,
        "tell which route takes a request and why, on manifests or on a running gateway",
        "  sekisho explain GET http://shop.example.com/cart\n"
        "  sekisho explain -f shop.yaml GET http://shop.example.com/cart -H 'x-canary: 1'\n"
        "  sekisho explain --admin 10.0.0.7:9901 POST https://shop.example.com/buy --output json\n"
        "  sekisho explain -f shop.yaml --workload shop/cart-1 --from spiffe://cluster.local/ns/shop/sa/web \\\n"
        "    GET http://cart.shop:8080/cart\n"
        "  sekisho explain -f egress.yaml --from spiffe://cluster.local/ns/shop/sa/cart CONNECT api.example.com:443",
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
    _add_paths(parser, required=False)
    add_admin_option(parser, default=None)
    _add_output(parser)


def _add_status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "status",
        _status,
        "show objects, conditions, and which gateways hold which table version",
        "  sekisho status\n  sekisho status --admin 127.0.0.1:9901 --output json",
    )
    add_admin_option(parser, default=DEFAULT_ADMIN)
    _add_output(parser)


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
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
    _add_translation_options(parser)
    add_gateway_options(parser, access_log="none" if sys.stdout.isatty() else "stdout")


def _add_controller(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "controller",
        _controller,
        "serve a Kubernetes cluster: translate its objects, provision and feed its gateways, write statuses",
        "  sekisho controller --gateway-image registry.example.com/sekisho:1.0\n"
        "  sekisho controller --kubeconfig ~/.kube/config --namespace sekisho-system --gateway-image sekisho:dev",
    )
    parser.add_argument("--gateway-image", required=True, metavar="IMAGE", help="what the pods of a Gateway run")
    parser.add_argument(
        "--gateway-image-pull-policy",
        choices=PULL_POLICIES,
        default="IfNotPresent",
        help="of that image (default: %(default)s)",
    )
    parser.add_argument(
        "--gateway-image-pull-secret",
        dest="gateway_image_pull_secrets",
        action="append",
        default=[],
        metavar="NAME",
        help="a Secret of each Gateway's namespace to pull it with; may be repeated",
    )
    parser.add_argument(
        "--namespace",
        default=os.environ.get("POD_NAMESPACE", ""),
        metavar="NAMESPACE",
        help="the controller's own, for its lease and its authority (default: $POD_NAMESPACE)",
    )
    parser.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="how to reach the API server (default: as a pod of the cluster)"
    )
    parser.add_argument(
        "--watch-namespace",
        dest="watched_namespaces",
        action="append",
        default=[],
        metavar="NAMESPACE",
        help="read objects of this namespace alone; may be repeated (default: all)",
    )
    parser.add_argument(
        "--mesh",
        action="store_true",
        help="serve sidecars: look at workloads, and let routes attach to Services",
    )
    parser.add_argument(
        "--injection",
        metavar="HOST:PORT",
        help="where API servers ask what sidecar a new pod gets (default: nowhere); goes with --mesh",
    )
    parser.add_argument(
        "--injection-webhook",
        default="sekisho-injector",
        metavar="NAME",
        help="the MutatingWebhookConfiguration that has them ask; its caBundle is kept true (default: %(default)s)",
    )
    parser.add_argument(
        "--classic-sidecars",
        action="store_true",
        help="inject containers beside the workload's, for clusters older than Kubernetes 1.29",
    )
    add_lifetime_options(parser)
    parser.add_argument(
        "--controller-url",
        default="",
        metavar="URL",
        help="where gateways find this controller (default: its Service sekisho-controller)",
    )
    for option, default, what in (
        ("--discovery", DEFAULT_DISCOVERY, "where gateways get their certificates and tables"),
        ("--health", DEFAULT_HEALTH, "where probes and metrics are answered"),
        ("--admin", DEFAULT_ADMIN, "where 'sekisho status' and a page for people are answered"),
    ):
        parser.add_argument(option, default=default, metavar="HOST:PORT", help=f"{what} (default: %(default)s)")
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="info", help="default: %(default)s")


def _add_ca(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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


def _add_inject(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "inject",
        _inject,
        "add sidecars to the workloads of manifests",
        "  sekisho inject -f shop.yaml --image registry.example.com/sekisho:1.0 | kubectl apply -f -",
    )
    fill_inject_parser(parser)


def _add_gateway(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
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


def _add_sidecar_init(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "sidecar-init",
        _sidecar_init,
        "redirect the connections of this network namespace to its sidecar",
        "  sekisho sidecar-init --exclude-inbound-port 22\n"
        "  sekisho sidecar-init --exclude-outbound-cidr 169.254.169.254/32 --print\n"
        "  sekisho sidecar-init --undo",
    )
    add_capture_options(parser)


def _add_paths(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "-f",
        "--file",
        dest="paths",
        action="append",
        required=required,
        metavar="PATH",
        help="manifest file or folder, or - for standard input; may be repeated",
    )


def _add_translation_options(parser: argparse.ArgumentParser) -> None:
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


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="default: %(default)s")


# --- commands -------------------------------------------------------------------------------------


def _up(arguments: argparse.Namespace, writer: Writer) -> int:
    from controller.app import run_standalone  # noqa: PLC0415

    settings = StandaloneSettings(
        paths=tuple(arguments.paths),
        translation=_translation_settings(arguments),
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
    return _PROBLEM if shown.problems else 0


def _explain(arguments: argparse.Namespace, writer: Writer) -> int:
    try:
        headers = tuple(header_from_text(text) for text in arguments.header)
        question = checked(
            Question(
                url=arguments.url,
                method=arguments.method.upper(),
                headers=headers,
                from_=arguments.identity,
                source=arguments.source,
            )
        )
    except QuestionError as error:
        raise SettingsError(str(error)) from error
    answer = _ask(arguments, question)
    if arguments.output == "json":
        writer.json(msgspec.json.encode(answer))
    else:
        write_explanation(writer, question, answer)
    return 0 if answer["decision"] in ("route", "egress") else _PROBLEM


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

    return run_demo(arguments.directory, _translation_settings(arguments), gateway_settings(arguments), writer)


def _controller(arguments: argparse.Namespace, _writer: Writer) -> int:
    from controller.cluster.process import run_controller  # noqa: PLC0415

    return run_controller(
        ClusterSettings(
            namespace=arguments.namespace,
            gateway_image=arguments.gateway_image,
            image_pull_policy=arguments.gateway_image_pull_policy,
            image_pull_secrets=tuple(arguments.gateway_image_pull_secrets),
            discovery=AdminAddress.parse(arguments.discovery, "--discovery"),
            health=AdminAddress.parse(arguments.health, "--health"),
            admin=AdminAddress.parse(arguments.admin),
            kubeconfig=arguments.kubeconfig,
            watched_namespaces=tuple(arguments.watched_namespaces),
            mesh=arguments.mesh,
            injection=AdminAddress.parse(arguments.injection, "--injection") if arguments.injection else None,
            webhook=arguments.injection_webhook,
            native_sidecars=not arguments.classic_sidecars,
            trust_domain=arguments.trust_domain,
            certificate_lifetime=duration(arguments.certificate_lifetime),
            controller_url=arguments.controller_url,
            log_level=arguments.log_level,
        )
    )


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


def _translation_settings(arguments: argparse.Namespace) -> TranslationSettings:
    return TranslationSettings(address=arguments.address, port_offset=arguments.port_offset)


if __name__ == "__main__":
    sys.exit(main())
