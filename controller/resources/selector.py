"""Label selectors (Kubernetes ``meta/v1`` LabelSelector)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controller.resources.schema import Struct, Violation


class LabelSelectorRequirement(Struct, frozen=True, kw_only=True):
    """One expression; ``operator`` is In, NotIn, Exists or DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def violations(self) -> Iterator[Violation]:
        """``values`` go with In and NotIn, and only with them."""
        if self.operator in ("In", "NotIn") and not self.values:
            yield Violation("values", f"{self.operator} needs at least one value", "list the label values")
        if self.operator in ("Exists", "DoesNotExist") and self.values:
            yield Violation("values", f"{self.operator} takes no values", "remove values")


class LabelSelector(Struct, frozen=True, kw_only=True):
    """All of it must hold. An empty selector selects everything."""

    match_labels: Mapping[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()
