"""References from one object to another (Gateway API: ``object_reference_types.go``, ``shared_types.go``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controller.resources.schema import (
    Group,
    Kind,
    NamespaceName,
    ObjectName,
    PortNumber,
    SectionName,
    Struct,
    Violation,
)

GATEWAY_GROUP = "gateway.networking.k8s.io"


class ParentReference(Struct, frozen=True, kw_only=True):
    """What a route attaches to. ``namespace`` None: the route's own."""

    group: Group = GATEWAY_GROUP
    kind: Kind = "Gateway"
    namespace: NamespaceName | None = None
    name: ObjectName
    section_name: SectionName | None = None
    port: PortNumber | None = None


class LocalObjectReference(Struct, frozen=True, kw_only=True):
    """An object in the same namespace."""

    group: Group
    kind: Kind
    name: ObjectName


class LocalParametersReference(Struct, frozen=True, kw_only=True):
    """Parameters of a Gateway, in its namespace."""

    group: Group
    kind: Kind
    name: ObjectName


class ParametersReference(Struct, frozen=True, kw_only=True):
    """Parameters of a GatewayClass; ``namespace`` None for a cluster-scoped kind."""

    group: Group
    kind: Kind
    name: ObjectName
    namespace: NamespaceName | None = None


class SecretObjectReference(Struct, frozen=True, kw_only=True):
    """A Secret, or an object of another kind that holds a certificate."""

    group: Group = ""
    kind: Kind = "Secret"
    name: ObjectName
    namespace: NamespaceName | None = None


class ObjectReference(Struct, frozen=True, kw_only=True):
    """An object in any namespace; ``namespace`` None: the referrer's."""

    group: Group
    kind: Kind
    name: ObjectName
    namespace: NamespaceName | None = None


class BackendObjectReference(Struct, frozen=True, kw_only=True):
    """A backend. ``port`` is required for a Service."""

    group: Group = ""
    kind: Kind = "Service"
    name: ObjectName
    namespace: NamespaceName | None = None
    port: PortNumber | None = None

    def violations(self) -> Iterator[Violation]:
        """A Service is referred to with a port."""
        if self.group == "" and self.kind == "Service" and self.port is None:
            yield Violation("port", f"the reference to Service {self.name} has no port", "name the Service's port")


class LocalPolicyTargetReferenceWithSectionName(Struct, frozen=True, kw_only=True):
    """What a policy applies to, in its namespace; ``section_name`` None: the whole object."""

    group: Group
    kind: Kind
    name: ObjectName
    section_name: SectionName | None = None


def overlapping_parents(parents: Sequence[ParentReference]) -> Iterator[Violation]:
    """References to one parent must differ by section name or port, and all of them must give it."""
    seen: dict[tuple[str, str, str, str], list[ParentReference]] = {}
    for index, parent in enumerate(parents):
        target = (parent.group, parent.kind, parent.namespace or "", parent.name)
        for other in seen.setdefault(target, []):
            if (other.section_name, other.port) == (parent.section_name, parent.port):
                yield Violation(
                    f"[{index}]",
                    f"the parent {parent.kind} {parent.name} is named twice",
                    "remove one, or give each its own sectionName or port",
                )
                break
            if _shape(other) != _shape(parent):
                yield Violation(
                    f"[{index}]",
                    f"only some references to the parent {parent.kind} {parent.name} give sectionName or port",
                    "give sectionName (or port) on each of them",
                )
                break
        seen[target].append(parent)


def _shape(parent: ParentReference) -> tuple[bool, bool]:
    return parent.section_name is not None, parent.port is not None
