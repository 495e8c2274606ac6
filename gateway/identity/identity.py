"""Which source a gateway's identity comes from, by its settings."""

from __future__ import annotations

from collections.abc import Callable

from gateway.identity.controller_source import ControllerSource
from gateway.identity.directory_source import DirectorySource
from gateway.identity.settings import IdentitySettings
from gateway.identity.source import IdentitySource, Now
from gateway.identity.trust import ControllerTrust
from gateway.identity.workload_source import WorkloadSource


def identity_source(settings: IdentitySettings, now: Now, chance: Callable[[], float]) -> IdentitySource:
    """The one that the settings choose."""
    if settings.certificates is not None:
        return DirectorySource(settings.certificates, ControllerTrust(settings.trust_bundle), now)
    if settings.workload_api is not None:
        return WorkloadSource(settings.workload_socket, ControllerTrust(settings.trust_bundle), now, chance)
    return ControllerSource(settings, now, chance)
