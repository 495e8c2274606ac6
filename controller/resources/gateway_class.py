"""GatewayClass (Gateway API: ``gatewayclass_types.go``)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from controller.resources.metadata import Resource
from controller.resources.references import GATEWAY_GROUP, ParametersReference
from controller.resources.schema import ControllerName, Struct


class GatewayClassSpec(Struct, frozen=True, kw_only=True):
    """Which controller serves the class, and with which parameters."""

    controller_name: ControllerName
    parameters_ref: ParametersReference | None = None
    description: Annotated[str, Meta(max_length=64)] | None = None


class GatewayClass(Resource, frozen=True, kw_only=True):
    """A class of Gateways served by one controller."""

    group: ClassVar[str] = GATEWAY_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1", "v1beta1")
    kind: ClassVar[str] = "GatewayClass"
    namespaced: ClassVar[bool] = False

    spec: GatewayClassSpec
