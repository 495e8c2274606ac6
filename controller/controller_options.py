"""Options of `sekisho controller`, and the settings that they are."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from controller.ca_options import add_lifetime_options, duration
from controller.config import DEFAULT_DISCOVERY, DEFAULT_HEALTH, LOG_LEVELS, PULL_POLICIES, ClusterSettings
from gateway.admin.server import AdminAddress
from gateway.config import DEFAULT_ADMIN


def fill_parser(parser: argparse.ArgumentParser) -> None:
    """The options."""
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


def controller_settings(arguments: argparse.Namespace) -> ClusterSettings:
    """The settings that the options say."""
    return ClusterSettings(
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
