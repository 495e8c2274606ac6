"""What provisioning is told at the start of the controller."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProvisionSettings:
    """The same for every Gateway."""

    image: str
    """Of gateways, where GatewayParameters name no other."""
    controller_url: str = "https://sekisho-controller.sekisho-system.svc:15012"
    """Where gateways ask for their certificate and their table."""
    bundle_pem: str = ""
    """What they check the controller's certificate by."""
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    audience: str = "sekisho-controller"
    """Of the service account tokens that gateways show the controller."""


@dataclass(frozen=True)
class ProvisionerSettings:
    """Bounds on writing; times in seconds."""

    per_second: float = 50.0
    burst: int = 100
    workers: int = 4
    first_wait: float = 0.5
    longest_wait: float = 60.0
    unreachable_wait: float = 4.0
    """The longest wait for an API server that cannot be reached at all."""
    quarrel: float = 300.0
    """Two repairs of one object within this time are a quarrel, and each next one waits longer."""
    watch: int = 300
    """What stands is listed anew this often, and watched in between."""
    silence: float = 330.0
