"""Label selectors, and the namespaces that they select.

Owns the meaning of ``LabelSelector`` (Kubernetes ``meta/v1``) for namespaces. Every namespace
carries ``kubernetes.io/metadata.name``, as an API server gives it.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.resources import LabelSelector, LabelSelectorRequirement, Namespace
from controller.translate.graph import Reads

NAME_LABEL = "kubernetes.io/metadata.name"
OPERATORS = frozenset({"In", "NotIn", "Exists", "DoesNotExist"})


def namespace_labels(reads: Reads, name: str) -> Mapping[str, str] | None:
    """Labels of a namespace, or None if it does not exist."""
    namespace = reads.get(Namespace, "", name)
    if namespace is not None:
        return {NAME_LABEL: name, **namespace.metadata.labels}
    return {NAME_LABEL: name} if reads.options.implicit_namespaces else None


def unknown_operator(selector: LabelSelector) -> str:
    """An operator that the selector uses and nobody knows, or empty."""
    return next((term.operator for term in selector.match_expressions if term.operator not in OPERATORS), "")


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether all of the selector holds."""
    return all(labels.get(name) == value for name, value in selector.match_labels.items()) and all(
        _holds(term, labels) for term in selector.match_expressions
    )


def _holds(term: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    match term.operator:
        case "In":
            return labels.get(term.key) in term.values
        case "NotIn":
            return labels.get(term.key) not in term.values
        case "Exists":
            return term.key in labels
        case "DoesNotExist":
            return term.key not in labels
        case _:
            return False
