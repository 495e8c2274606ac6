"""From the process's settings to those of its parts."""

from __future__ import annotations

from typing import Final

from controller.config import ClusterSettings, ProcessIdentity
from controller.kube.connection import Connection, from_kubeconfig, in_cluster
from controller.provision.settings import ProvisionSettings
from controller.resources import KINDS, MESH_KINDS
from controller.sources.kubernetes import KubernetesSettings
from controller.translate import Options
from gateway.agent.compiled import regex_problem

_WILDCARD: Final = "0.0.0.0"  # noqa: S104 - in the gateway's pod, behind its Service
_WILDCARD_6: Final = "::"


def provision_settings(settings: ClusterSettings, bundle: str) -> ProvisionSettings:
    """What is the same for all Gateways; ``bundle``: what they know the controller by."""
    return ProvisionSettings(
        image=settings.gateway_image,
        controller_url=settings.controller_url,
        bundle_pem=bundle,
        image_pull_policy=settings.image_pull_policy,
        image_pull_secrets=settings.image_pull_secrets,
    )


def connection_of(settings: ClusterSettings) -> Connection:
    """How to reach the API server."""
    return from_kubeconfig(settings.kubeconfig) if settings.kubeconfig is not None else in_cluster()


def watched(settings: ClusterSettings) -> KubernetesSettings:
    """What is read of the cluster: workloads only where there is a mesh."""
    kinds = (*KINDS, *MESH_KINDS) if settings.mesh else KINDS
    return KubernetesSettings(kinds=kinds, namespaces=settings.watched_namespaces)


def cluster_options(settings: ClusterSettings, identity: ProcessIdentity) -> Options:
    """How objects of a cluster are translated: nothing is implied, and each Gateway has a table of its own."""
    return Options(
        regex_problem=regex_problem,
        namespace=settings.namespace,
        cluster_domain=settings.cluster_domain,
        root_namespace=settings.root_namespace,
        mesh=settings.mesh,
        trust_domain=settings.trust_domain,
        # Pods of one cluster have their first address of one family, and Services by default are of that one.
        address=_WILDCARD_6 if ":" in identity.address else _WILDCARD,
        merge=False,
        provision=True,
        implicit_class=False,
        implicit_namespaces=False,
        external_names=False,
    )
