"""ConfigMap (Kubernetes ``core/v1``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from controller.resources.metadata import Resource
from controller.resources.secret import join_base64


class ConfigMap(Resource, frozen=True, kw_only=True):
    """Text and bytes by name."""

    ignored: ClassVar[frozenset[str]] = Resource.ignored | {"immutable"}
    versions: ClassVar[tuple[str, ...]] = ("v1",)
    kind: ClassVar[str] = "ConfigMap"

    data: Mapping[str, str] = {}
    binary_data: Mapping[str, bytes] = {}

    @classmethod
    def prepare(cls, document: dict[str, Any]) -> dict[str, Any]:
        """Base64 that is folded over several lines is joined."""
        return join_base64(document, "binaryData")
