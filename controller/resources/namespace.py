"""Namespace (Kubernetes ``core/v1``): its labels select routes."""

from __future__ import annotations

from typing import ClassVar

from controller.resources.metadata import Resource
from controller.resources.schema import DNS_LABEL_PATTERN


class Namespace(Resource, frozen=True, kw_only=True):
    """A namespace; only its metadata matters here."""

    ignored: ClassVar[frozenset[str]] = Resource.ignored | {"spec"}
    versions: ClassVar[tuple[str, ...]] = ("v1",)
    kind: ClassVar[str] = "Namespace"
    namespaced: ClassVar[bool] = False
    name_pattern: ClassVar[str] = DNS_LABEL_PATTERN
    name_length: ClassVar[int] = 63
