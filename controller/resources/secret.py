"""Secret (Kubernetes ``core/v1``). Its values never appear in a representation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from controller.resources.metadata import Resource


class Secret(Resource, frozen=True, kw_only=True):
    """``data`` holds the decoded values, those of ``stringData`` included and preferred."""

    ignored: ClassVar[frozenset[str]] = Resource.ignored | {"immutable"}
    versions: ClassVar[tuple[str, ...]] = ("v1",)
    kind: ClassVar[str] = "Secret"

    type: str = "Opaque"
    data: Mapping[str, bytes] = {}
    string_data: Mapping[str, str] = {}

    @classmethod
    def prepare(cls, document: dict[str, Any]) -> dict[str, Any]:
        """Base64 that is folded over several lines is joined."""
        return join_base64(document, "data")

    def __post_init__(self) -> None:
        """StringData is write-only in the API: it is merged into data, as an API server does."""
        if self.string_data:
            merged = {**self.data, **{name: text.encode() for name, text in self.string_data.items()}}
            msgspec.structs.force_setattr(self, "data", merged)
            msgspec.structs.force_setattr(self, "string_data", {})

    def __repr__(self) -> str:
        """Names of the values only."""
        return (
            f"Secret({self.metadata.namespace}/{self.metadata.name}, type={self.type!r}, data=<redacted:"
            f" {', '.join(sorted(self.data))}>)"
        )


class KeptSecret(Secret, frozen=True, kw_only=True):
    """What a Secret held before it was deleted or spoiled, in its place. Made by the controller, never read."""

    problem: str
    """What became of the Secret, as the rest of a sentence about it."""
    instead: Secret | None = None
    """The Secret as it stands there; None where there is none."""


def join_base64(document: dict[str, Any], field: str) -> dict[str, Any]:
    """The document with line breaks taken out of the base64 values of ``field``."""
    values = document.get(field)
    if not isinstance(values, dict):
        return document
    joined = {name: "".join(value.split()) if isinstance(value, str) else value for name, value in values.items()}
    return {**document, field: joined}
