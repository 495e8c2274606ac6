"""Who this replica is in the election, and where the leader is.

Owns the name in the lease: the pod's, something that no process before it had, and where the replica takes what
others relay. So whoever reads the lease knows how to reach the leader, and nobody has to be asked.
"""

from __future__ import annotations

import uuid

from controller.config import ClusterSettings, ProcessIdentity
from controller.kube.lease import LeaseSettings
from gateway.admin.server import AdminAddress

_AT = "@"


def lease_settings(settings: ClusterSettings, identity: ProcessIdentity, port: int) -> LeaseSettings:
    """``port``: of this replica's discovery."""
    where = f"{_AT}{AdminAddress(identity.address, port)}" if identity.address else ""
    return LeaseSettings(
        namespace=settings.namespace,
        identity=f"{identity.name}_{uuid.uuid4().hex[:12]}{where}",
        duration=settings.lease_seconds,
        renew_within=settings.lease_seconds * 2 / 3,
        every=settings.lease_seconds * 2 / 15,
    )


def url_of(holder: str) -> str | None:
    """Where the holder of a lease takes what is relayed; None where it does not say."""
    _, separator, address = holder.rpartition(_AT)
    return f"https://{address}" if separator else None
