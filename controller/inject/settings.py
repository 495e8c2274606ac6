"""What is the same for all sidecars of an installation, and the names that injection gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.routing_table.discovery import AUDIENCE

PROXY: Final = "sekisho-proxy"
"""The sidecar's container."""
INIT: Final = "sekisho-init"
"""The init container that has the pod's traffic redirected."""
TRUST_BUNDLE: Final = "sekisho-trust-bundle"
"""The ConfigMap, one in each namespace with sidecars, by which they know the controller."""
PROXY_USER: Final = 1337
"""What the sidecar runs as: its own connections are not redirected."""
HEALTH_PORT: Final = 15021
ADMIN_PORT: Final = 15000


@dataclass(frozen=True)
class InjectionSettings:
    """How sidecars are made."""

    image: str
    controller_url: str
    image_pull_policy: str = "IfNotPresent"
    native: bool = True
    """As an init container that is started again (Kubernetes 1.29): it is ready before the workload starts, and ends
    after it. Otherwise as a container beside the workload's."""
    audience: str = AUDIENCE
    """Of the token that the sidecar shows the controller."""
