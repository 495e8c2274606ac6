"""What is said of kinds that are not read: misspelt, of another version, or somebody else's."""

from __future__ import annotations

import difflib

from controller.resources.gateway_parameters import SEKISHO_GROUP
from controller.resources.metadata import Resource
from controller.resources.problem import Problem, Severity
from controller.resources.registry import BY_KIND, api_versions

_NOT_SERVED = {
    "XListenerSet": "write a ListenerSet instead",
    "XBackendTrafficPolicy": "set retry and timeouts on the route's rules",
    "XMesh": "remove it",
    "Endpoints": "write an EndpointSlice instead",
    "VirtualService": "write an HTTPRoute instead",
    "DestinationRule": "write a BackendTLSPolicy for its TLS settings",
}
"""Kinds about traffic that Sekisho does not serve yet, with what to do instead."""

_GROUPS = frozenset({"gateway.networking.k8s.io", "gateway.networking.x-k8s.io", SEKISHO_GROUP})
"""A kind of these groups is meant for a gateway, even if it is unknown here."""


def unread_kind(api_version: str, kind: str, *, object_: str, place: str) -> Problem:
    """Say why ``(api_version, kind)`` is not read, and what to write instead."""
    known = BY_KIND.get(kind)
    severity, message, remedy = _another_version(api_version, known) if known else _unknown(api_version, kind)
    return Problem(
        severity=severity,
        message=message,
        remedy=remedy,
        object=object_,
        field="apiVersion" if known is not None else "kind",
        place=place,
    )


def _another_version(api_version: str, known: type[Resource]) -> tuple[Severity, str, str]:
    message = f"the apiVersion {api_version[:120]} of kind {known.kind} is not read"
    return "error", message, f"use {' or '.join(api_versions(known))}"


def _unknown(api_version: str, kind: str) -> tuple[Severity, str, str]:
    if kind in _NOT_SERVED:
        return "warning", f"{kind} is not served yet, so it has no effect", _NOT_SERVED[kind]
    lower = {name.lower(): name for name in BY_KIND}
    near = difflib.get_close_matches(kind.lower(), lower, n=1, cutoff=0.8)
    if not near and api_version.rpartition("/")[0] not in _GROUPS:
        return (
            "notice",
            f"{kind[:80]} ({api_version[:120]}) means nothing to a gateway, so it is left alone",
            "nothing to do",
        )
    known_kinds = f"known kinds: {', '.join(sorted(BY_KIND))}"
    remedy = f"did you mean {lower[near[0]]}? {known_kinds}" if near else known_kinds
    return "warning", f"the kind {kind[:80]} ({api_version[:120]}) is unknown", remedy
