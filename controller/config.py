"""Settings of the controller's processes. Nothing here is read again after the start."""

from __future__ import annotations

import datetime
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from gateway.admin.server import AdminAddress
from gateway.config import GatewaySettings
from gateway.errors import SettingsError

DEFAULT_ADDRESS = "127.0.0.1"
DEFAULT_DISCOVERY: Final = "0.0.0.0:15012"
DEFAULT_HEALTH: Final = "0.0.0.0:15021"
DEFAULT_TRUST_DOMAIN: Final = "cluster.local"
CONTROLLER_SERVICE: Final = "sekisho-controller"
"""The name of the controller's Service, and of its account in certificates."""
PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
DEFAULT_CERTIFICATE_LIFETIME: Final = "24h"
_TRUST_DOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9._]{0,253}[a-z0-9])?")
_SHORTEST_LIFE: Final = datetime.timedelta(seconds=10)
_LONGEST_LIFE: Final = datetime.timedelta(days=90)
_MAX_PORT_OFFSET = 65_534


@dataclass(frozen=True)
class TranslationSettings:
    """Where listeners are bound when everything runs in one process."""

    address: str = DEFAULT_ADDRESS
    """Bound where a Gateway asks for no address."""
    port_offset: int = 0
    """Added to every listener's port."""

    def __post_init__(self) -> None:
        try:
            ip_address(self.address)
        except ValueError as error:
            raise SettingsError(
                f"--address {self.address!r} is not an IP address", "for example 127.0.0.1, or 0.0.0.0 for every one"
            ) from error
        if not 0 <= self.port_offset <= _MAX_PORT_OFFSET:
            raise SettingsError(f"--port-offset {self.port_offset} is outside 0 to {_MAX_PORT_OFFSET}")


@dataclass(frozen=True)
class StandaloneAuthoritySettings:
    """The mesh's authority of `sekisho up`."""

    directory: Path
    """Where the root and the join tokens are kept."""
    address: AdminAddress
    names: tuple[str, ...]
    """By which machines know it."""
    trust_domain: str = DEFAULT_TRUST_DOMAIN
    lifetime: datetime.timedelta = datetime.timedelta(hours=24)

    def __post_init__(self) -> None:
        check_issuing(self.trust_domain, self.lifetime)


@dataclass(frozen=True)
class StandaloneSettings:
    """`sekisho up`: controller and gateway in one process."""

    paths: tuple[str, ...]
    """Manifest files and folders; ``-`` is the standard input."""
    translation: TranslationSettings
    gateway: GatewaySettings
    authority: StandaloneAuthoritySettings | None = None


@dataclass(frozen=True)
class ClusterSettings:
    """`sekisho controller`: a cluster's objects in, tables for its gateways out."""

    namespace: str
    """The controller's own: its lease, its authority and its Service are there."""
    gateway_image: str
    """What the pods of a Gateway run."""
    discovery: AdminAddress
    health: AdminAddress
    admin: AdminAddress
    kubeconfig: Path | None = None
    """None: as a pod of the cluster."""
    watched_namespaces: tuple[str, ...] = ()
    """Empty: all."""
    mesh: bool = False
    """Workloads are looked at, sidecars are served, and Services can be parents of routes."""
    injection: AdminAddress | None = None
    """Where API servers ask what sidecars new pods get; None: nowhere."""
    webhook: str = "sekisho-injector"
    """The MutatingWebhookConfiguration that has them ask."""
    native_sidecars: bool = True
    """As init containers that are started again (Kubernetes 1.29)."""
    trust_domain: str = DEFAULT_TRUST_DOMAIN
    certificate_lifetime: datetime.timedelta = datetime.timedelta(hours=24)
    cluster_domain: str = "cluster.local"
    """Of the cluster's DNS."""
    root_namespace: str = "istio-system"
    """Policies about security in this namespace apply to every Gateway."""
    controller_url: str = ""
    """Where gateways find this controller; empty: its Service."""
    image_pull_policy: str = "IfNotPresent"
    """Of the gateways' image."""
    image_pull_secrets: tuple[str, ...] = ()
    """Of gateways whose GatewayParameters name none; each Gateway's namespace needs them."""
    log_level: str = "info"
    lease_seconds: int = 15
    """How long a leader that is not heard of is waited for."""

    def __post_init__(self) -> None:
        if self.injection is not None and not self.mesh:
            raise SettingsError("--injection without --mesh would inject sidecars that nobody serves", "give --mesh")
        if not self.namespace:
            raise SettingsError("the controller's namespace is not known", "give --namespace, or set POD_NAMESPACE")
        check_issuing(self.trust_domain, self.certificate_lifetime)
        if self.log_level not in LOG_LEVELS:
            raise SettingsError(f"--log-level {self.log_level!r} is not one of {', '.join(LOG_LEVELS)}")
        if not self.controller_url:
            url = f"https://{CONTROLLER_SERVICE}.{self.namespace}.svc:{self.discovery.port}"
            object.__setattr__(self, "controller_url", url)


def check_issuing(trust_domain: str, lifetime: datetime.timedelta) -> None:
    """What certificates are issued for and for how long; raises ``SettingsError``."""
    if not _TRUST_DOMAIN.fullmatch(trust_domain):
        raise SettingsError(
            f"--trust-domain {trust_domain!r} is no trust domain", "use lower-case letters, digits, '-', '.' and '_'"
        )
    if not _SHORTEST_LIFE <= lifetime <= _LONGEST_LIFE:
        raise SettingsError(
            f"--certificate-lifetime {lifetime} is outside {_SHORTEST_LIFE} to {_LONGEST_LIFE}",
            "hours are usual: certificates are renewed by themselves",
        )


@dataclass(frozen=True)
class ProcessIdentity:
    """Which replica this is, from the pod's environment."""

    name: str
    address: str
    """Where the other replicas reach it; empty outside of a pod."""

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> ProcessIdentity:
        """The pod's name and address, the host's name elsewhere."""
        return cls(environment.get("POD_NAME") or socket.gethostname(), environment.get("POD_IP", ""))
