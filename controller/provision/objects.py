"""Objects in the cluster as provisioning sees them: names, paths, whose they are, what of them is ours.

Owns the rules of ownership and of drift, on documents alone. It asks nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from controller.kube.kinds import plural
from controller.resources import GATEWAY_GROUP, Gateway
from controller.store import Key
from controller.translate.infrastructure_names import MANAGED_BY, MANAGED_BY_LABEL

Manifest = Mapping[str, Any]

DIGEST_ANNOTATION: Final = "sekisho.dev/applied"
"""Digest of the manifest as it was applied: tells, after a restart, whether it has changed since."""

API_VERSIONS: Final[Mapping[str, str]] = {
    "ServiceAccount": "v1",
    "ConfigMap": "v1",
    "Service": "v1",
    "Deployment": "apps/v1",
    "PodDisruptionBudget": "policy/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
}
"""The kinds that are provisioned, in the order in which they are needed."""


class ObjectName(NamedTuple):
    """Names one object."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def name_of(document: Mapping[str, Any]) -> ObjectName:
    """The name of an object."""
    metadata = document["metadata"]
    return ObjectName(document["kind"], metadata["namespace"], metadata["name"])


def collection_path(kind: str, namespace: str = "") -> str:
    """Path of the objects of a kind, of one namespace or of all."""
    version = API_VERSIONS[kind]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    within = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{root}{within}/{plural(kind)}"


def path_of(name: ObjectName) -> str:
    """Path of one object."""
    return f"{collection_path(name.kind, name.namespace)}/{quote(name.name, safe='')}"


def digested(manifest: Manifest) -> dict[str, Any]:
    """The manifest with its digest in an annotation."""
    digest = hashlib.sha256(msgspec.json.encode(manifest, order="sorted")).hexdigest()[:16]
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), DIGEST_ANNOTATION: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def owner_of(document: Mapping[str, Any]) -> Key | None:
    """The Gateway that controls an object of ours; None for an object that is not."""
    metadata = document.get("metadata") or {}
    if (metadata.get("labels") or {}).get(MANAGED_BY_LABEL) != MANAGED_BY:
        return None
    for reference in metadata.get("ownerReferences") or ():
        if reference.get("controller"):
            group = str(reference.get("apiVersion") or "").rpartition("/")[0]
            if (group, reference.get("kind")) == (GATEWAY_GROUP, Gateway.kind):
                return Key(Gateway.kind, str(metadata.get("namespace") or ""), str(reference.get("name") or ""))
    return None


def stranger(document: Mapping[str, Any], gateway: Key) -> str:
    """Why an object that stands must not be touched for ``gateway``, or nothing."""
    owner = owner_of(document)
    if owner is None:
        return (
            f"{name_of(document)} stands there already and was not made by Sekisho, so it is left alone: remove it,"
            " or rename the Gateway"
        )
    return "" if owner == gateway else f"{name_of(document)} belongs to {owner}: rename one of the two Gateways"


def is_going(document: Mapping[str, Any]) -> bool:
    """Whether an object is being deleted: what is wanted can stand once it is gone."""
    return bool((document.get("metadata") or {}).get("deletionTimestamp"))


def digest_of(document: Mapping[str, Any]) -> str:
    """The digest of what was last applied."""
    annotations = (document.get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(DIGEST_ANNOTATION) or "")


def ours_in(live: Any, wanted: Any) -> Any:
    """Of what stands, what ``wanted`` speaks of: it changes only when somebody changes what is ours."""
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        return {name: ours_in(live.get(name), value) for name, value in wanted.items()}
    if isinstance(wanted, list | tuple) and isinstance(live, list) and len(wanted) == len(live):
        return [ours_in(one, other) for one, other in zip(live, wanted, strict=True)]
    return live
