"""The number of pods, handed over to whoever scales them from now on.

Owns one trap of server-side apply: a field that its only manager no longer applies is removed, and a Deployment
without ``replicas`` has one. So another name keeps the number, until an autoscaler or a person sets it
(Kubernetes: "Server-Side Apply", transferring ownership). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.kube.kinds import FIELD_MANAGER
from controller.provision.objects import Manifest, ObjectName

KEEPER: Final = f"{FIELD_MANAGER}-replicas"
"""Field manager of the number that nobody has set since."""


def gives_up(name: ObjectName, manifest: Manifest) -> bool:
    """Whether a manifest leaves the number to others."""
    return name.kind == "Deployment" and "replicas" not in manifest["spec"]


def kept_replicas(live: Mapping[str, Any]) -> dict[str, Any] | None:
    """What to apply as :data:`KEEPER` first; None where the number that stands is not Sekisho's."""
    replicas = (live.get("spec") or {}).get("replicas")
    if replicas is None or not any(_is_ours(entry) for entry in live["metadata"].get("managedFields") or ()):
        return None
    metadata = {field: live["metadata"][field] for field in ("name", "namespace", "uid")}
    return {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": metadata,
        "spec": {"replicas": replicas},
    }


def _is_ours(entry: Mapping[str, Any]) -> bool:
    fields = entry.get("fieldsV1") or {}
    return entry.get("manager") == FIELD_MANAGER and "f:replicas" in (fields.get("f:spec") or {})
