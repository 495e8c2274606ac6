"""The status report: what the admin endpoint and ``sekisho status`` show about objects.

The gateway does not know the objects that its table was made from; whoever does (the controller,
in one process with it or elsewhere) provides the report. This module owns its shape only.
"""

from __future__ import annotations

from typing import Final

import msgspec

BAD_WHEN_TRUE: Final = frozenset(
    {"Conflicted", "InsecureFrontendValidationMode", "OverlappingTLSConfig", "PartiallyInvalid"}
)
"""Conditions of negative polarity: one wishes them to be False."""


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One condition, as on the object."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    observed_generation: int = 0

    @property
    def fine(self) -> bool:
        """Whether the condition is as one wishes it to be."""
        return self.status == ("False" if self.type in BAD_WHEN_TRUE else "True")


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A listener of a Gateway, or one parent of a route or policy, with conditions of its own."""

    name: str
    conditions: tuple[Condition, ...] = ()
    attached_routes: int | None = None
    urls: tuple[str, ...] = ()
    """Where clients reach a listener; empty for one that nothing serves."""


class ObjectStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One object as the controller sees it."""

    kind: str
    namespace: str = ""
    name: str
    source: str = ""
    """Where it was read from: ``file:line``, or empty."""
    conditions: tuple[Condition, ...] = ()
    parts: tuple[Part, ...] = ()

    @property
    def key(self) -> str:
        """``Kind/namespace/name``, without the namespace where there is none."""
        return "/".join(word for word in (self.kind, self.namespace, self.name) if word)


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing a person should know about: what, where, and the remedy."""

    message: str
    object: str = ""
    source: str = ""
    remedy: str = ""
    severity: str = "error"
    """``error``, or ``warning`` where everything asked for is served all the same."""


class GatewayVersion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A running gateway process and the table version it acknowledged."""

    name: str
    version: str = ""
    wanted: str = ""
    """Version it should hold; differs while an update is on its way or was refused."""
    error: str = ""
    identity: str = ""
    """Who it proved to be, as a SPIFFE identifier; empty where that is not known."""
    certificate_ends: float = 0.0
    """Of the certificate that it showed: seconds since the epoch, 0 where that is not known."""


class WorkloadStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A workload of the mesh that has a sidecar."""

    kind: str
    namespace: str
    name: str
    identity: str
    """The SPIFFE identifier that its certificate must have."""
    table: str = ""
    mode: str = ""
    """``STRICT``, ``PERMISSIVE`` or ``DISABLE``, where a port has none of its own; empty if all have."""
    port_modes: dict[str, str] = {}
    """Where it is another, by port."""
    policies: tuple[str, ...] = ()
    """Action and name of the authorization policies that its sidecar enforces."""


class StatusReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Objects, conditions, problems, and which gateways hold which version."""

    gateways: tuple[GatewayVersion, ...] = ()
    workloads: tuple[WorkloadStatus, ...] = ()
    objects: tuple[ObjectStatus, ...] = ()
    problems: tuple[Problem, ...] = ()
    left_alone: dict[str, int] = {}
    """Objects of kinds that a gateway has nothing to do with: how many of each."""
