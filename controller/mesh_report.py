"""What `sekisho status` says of the workloads of a mesh: who they are, what they take, and which policies decide.

Read from the tables of their sidecars, so that what is shown is what is enforced.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.store import Key
from controller.translate.workload import SidecarPlace
from gateway.admin.status import WorkloadStatus
from gateway.routing_table.model import Listener, Resources


def workload_statuses(
    sidecars: Mapping[Key, SidecarPlace], tables: Mapping[str, Resources], trust_domain: str
) -> tuple[WorkloadStatus, ...]:
    """All workloads with a sidecar, by name."""
    of_table = {place.table: _Enforced(tables.get(place.table, Resources())) for place in sidecars.values()}
    return tuple(
        WorkloadStatus(
            kind=key.kind,
            namespace=key.namespace,
            name=key.name,
            identity=f"spiffe://{trust_domain}/ns/{place.namespace}/sa/{place.service_account}",
            table=place.table,
            mode=of_table[place.table].mode,
            port_modes=of_table[place.table].port_modes,
            policies=of_table[place.table].policies,
        )
        for key, place in sorted(sidecars.items())
    )


class _Enforced:
    """What a sidecar's table says of those who connect."""

    def __init__(self, table: Resources) -> None:
        inbound = [listener for listener in table.listeners if listener.mesh is not None]
        every = next((one for one in inbound if one.captured is not None and one.captured.any_port), None)
        named = {str(one.port): _mode(one) for one in inbound if one is not every and not _is_catch_all(one)}
        self.mode = _mode(every) if every is not None else ""
        self.port_modes = {port: mode for port, mode in named.items() if mode != self.mode}
        keys = {key for one in inbound for key in one.authorization}
        actions = {policy.key: policy.action for policy in table.authorization_policies}
        self.policies = tuple(f"{actions.get(key, '?')} {key}" for key in sorted(keys))


def _mode(listener: Listener) -> str:
    return listener.mesh.mode if listener.mesh is not None else ""


def _is_catch_all(listener: Listener) -> bool:
    return listener.captured is not None and listener.captured.any_port
