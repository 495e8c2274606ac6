"""IngressClass (Kubernetes ``networking/v1``)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from controller.resources.ingress import INGRESS_GROUP
from controller.resources.metadata import Resource
from controller.resources.schema import Struct


class IngressClassParametersReference(Struct, frozen=True, kw_only=True):
    """Parameters of a class; ``scope`` is Cluster or Namespace, which goes with ``namespace``."""

    api_group: str | None = None
    kind: str
    name: str
    scope: str = "Cluster"
    namespace: str | None = None


class IngressClassSpec(Struct, frozen=True, kw_only=True):
    """Which controller serves the class, and with which parameters."""

    controller: Annotated[str, Meta(max_length=250)] = ""
    parameters: IngressClassParametersReference | None = None


class IngressClass(Resource, frozen=True, kw_only=True):
    """A class of Ingresses served by one controller."""

    group: ClassVar[str] = INGRESS_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1",)
    kind: ClassVar[str] = "IngressClass"
    namespaced: ClassVar[bool] = False

    spec: IngressClassSpec = IngressClassSpec()
