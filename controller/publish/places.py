"""Who gets which table: a Gateway's processes their Gateway's, a workload's sidecar that of the workload it names.

Owns the comparison with what a certificate proves: a service account gets the table of its own Gateway or workload, and
nobody else's, whatever it asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from controller.ca.service_account import ServiceAccount
from controller.resources import Pod, WorkloadEntry
from controller.store import Key
from controller.translate.names import object_name
from controller.translate.workload import SidecarPlace

TableOf = Callable[[ServiceAccount, str], str | None]
"""The table of a service account, None if it has none; the text is the workload that a sidecar says it stands before
(``namespace/name``), empty for the gateway of a Gateway."""


def table_of(
    gateway_of: Callable[[str, str], Key | None], sidecars: Callable[[], Mapping[Key, SidecarPlace]]
) -> TableOf:
    """``gateway_of``: the Gateway whose pods run as a service account, by namespace and name."""

    def table(account: ServiceAccount, workload: str) -> str | None:
        if workload:
            return _of_sidecar(account, workload, sidecars())
        gateway = gateway_of(account.namespace, account.name)
        return object_name(gateway) if gateway is not None else None

    return table


def _of_sidecar(account: ServiceAccount, workload: str, sidecars: Mapping[Key, SidecarPlace]) -> str | None:
    namespace, _, name = workload.partition("/")
    for kind in (Pod.kind, WorkloadEntry.kind):
        place = sidecars.get(Key(kind, namespace, name))
        if place is not None and (place.namespace, place.service_account) == (account.namespace, account.name):
            return place.table
    return None
