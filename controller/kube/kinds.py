"""Kinds as the API server addresses them.

Owns the path of a collection and of an object. The plural is mechanical, so that a new kind in
``controller/resources`` needs nothing here.
"""

from __future__ import annotations

from urllib.parse import quote

from controller.resources import BY_KIND, Resource
from controller.store import Key

FIELD_MANAGER = "sekisho"

_SECRETS_OF_OTHERS = (
    "helm.sh/release.v1",
    "kubernetes.io/service-account-token",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/dockercfg",
    "bootstrap.kubernetes.io/token",
    "sekisho.dev/authority",
)
"""Types of Secret that no Gateway API object can mean: large, many, or dangerous to hold."""


def plural(kind: str) -> str:
    """The name of a kind's collection, by the rule that all of ours follow."""
    name = kind.lower()
    if name.endswith("ss"):
        return f"{name}es"
    if name.endswith("s"):
        return name
    return f"{name[:-1]}ies" if name.endswith("y") and name[-2] not in "aeiou" else f"{name}s"


def collection(type_: type[Resource], version: str, namespace: str = "") -> str:
    """Path of the objects of a kind, of one namespace or of all."""
    root = f"/apis/{type_.group}/{version}" if type_.group else f"/api/{version}"
    within = f"/namespaces/{quote(namespace, safe='')}" if namespace and type_.namespaced else ""
    return f"{root}{within}/{plural(type_.kind)}"


def path_of(key: Key, version: str = "") -> str:
    """Path of one object, in its kind's preferred version by default."""
    type_ = BY_KIND[key.kind]
    return f"{collection(type_, version or type_.versions[0], key.namespace)}/{quote(key.name, safe='')}"


def field_selector(type_: type[Resource]) -> str:
    """Leaves out, at the server, what would only cost memory."""
    return ",".join(f"type!={name}" for name in _SECRETS_OF_OTHERS) if type_.kind == "Secret" else ""
