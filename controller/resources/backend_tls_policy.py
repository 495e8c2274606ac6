"""BackendTLSPolicy (Gateway API: ``backendtlspolicy_types.go``, GEP-1897)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from controller.resources.metadata import Resource
from controller.resources.references import (
    GATEWAY_GROUP,
    LocalObjectReference,
    LocalPolicyTargetReferenceWithSectionName,
)
from controller.resources.schema import (
    DNS_SUBDOMAIN_PATTERN,
    AnnotationValue,
    Hostname,
    PreciseHostname,
    Struct,
    Violation,
)

AbsoluteURI = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=r"^[^:/?#]+://",
        description="an absolute URI such as spiffe://domain/path",
    ),
]
WellKnownCACertificates = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=rf"^(?:System|{DNS_SUBDOMAIN_PATTERN[1:-2]}/[A-Za-z0-9][-A-Za-z0-9_.]{{0,62}}(?<=[A-Za-z0-9]))\Z",
        description='"System" or a domain-prefixed name',
    ),
]


class SubjectAltName(Struct, frozen=True, kw_only=True):
    """A name the backend's certificate must carry. ``type`` (Hostname or URI) names the field in use."""

    type: str
    hostname: Hostname | None = None
    uri: AbsoluteURI | None = None

    def violations(self) -> Iterator[Violation]:
        """Exactly the field that ``type`` names is set."""
        for type_, field, value in (("Hostname", "hostname", self.hostname), ("URI", "uri", self.uri)):
            if self.type == type_ and value is None:
                yield Violation(field, f"{field} is required with type {type_}", f"set {field}")
            if self.type != type_ and value is not None:
                yield Violation(field, f"{field} is not allowed with type {self.type}", f"set type to {type_}")


class BackendTLSPolicyValidation(Struct, frozen=True, kw_only=True):
    """How the backend is authenticated. Exactly one source of certificate authorities is given."""

    ca_certificate_refs: Annotated[tuple[LocalObjectReference, ...], Meta(max_length=8)] = ()
    well_known_ca_certificates: WellKnownCACertificates | None = msgspec.field(
        default=None, name="wellKnownCACertificates"
    )
    hostname: PreciseHostname
    subject_alt_names: Annotated[tuple[SubjectAltName, ...], Meta(max_length=5)] = ()

    def violations(self) -> Iterator[Violation]:
        """One of caCertificateRefs and wellKnownCACertificates, not both."""
        if self.ca_certificate_refs and self.well_known_ca_certificates is not None:
            yield Violation(
                "", "caCertificateRefs and wellKnownCACertificates exclude each other", "remove one of the two"
            )
        if not self.ca_certificate_refs and self.well_known_ca_certificates is None:
            yield Violation(
                "",
                "no certificate authority is given",
                "set caCertificateRefs, or wellKnownCACertificates: System",
            )


class BackendTLSPolicySpec(Struct, frozen=True, kw_only=True):
    """Targets, and how they are authenticated."""

    target_refs: Annotated[tuple[LocalPolicyTargetReferenceWithSectionName, ...], Meta(min_length=1, max_length=16)]
    validation: BackendTLSPolicyValidation
    options: Annotated[Mapping[str, AnnotationValue], Meta(max_length=16)] = {}

    def violations(self) -> Iterator[Violation]:
        """Several references to one target must differ by section name, and all of them must give it."""
        sections: dict[tuple[str, str, str], set[str | None]] = {}
        for index, target in enumerate(self.target_refs):
            seen = sections.setdefault((target.group, target.kind, target.name), set())
            if target.section_name in seen or (seen and None in (seen | {target.section_name})):
                yield Violation(
                    f"targetRefs[{index}]",
                    f"{target.kind} {target.name} is targeted twice",
                    "remove one, or give each its own sectionName",
                )
            seen.add(target.section_name)


class BackendTLSPolicy(Resource, frozen=True, kw_only=True):
    """TLS from the gateway to a backend."""

    group: ClassVar[str] = GATEWAY_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1", "v1alpha3")
    kind: ClassVar[str] = "BackendTLSPolicy"

    spec: BackendTLSPolicySpec
