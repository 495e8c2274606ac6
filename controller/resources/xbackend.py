"""XBackend (Gateway API experimental: ``xbackend_types.go``, GEP-4894): a destination outside the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta

from controller.resources.backend_tls_policy import BackendTLSPolicyValidation
from controller.resources.metadata import Resource
from controller.resources.references import SecretObjectReference
from controller.resources.schema import PortNumber, PreciseHostname, Struct, Violation

EXPERIMENTAL_GROUP = "gateway.networking.x-k8s.io"


class BackendPort(Struct, frozen=True, kw_only=True):
    """The port that is dialled."""

    name: Annotated[
        str, Meta(max_length=63, pattern=r"^(?:[a-z0-9]+(?:-+[a-z0-9]+)*)?\Z", description="a DNS label, or empty")
    ] = ""
    port: PortNumber


class ExternalHostnameBackend(Struct, frozen=True, kw_only=True):
    """The external host."""

    hostname: PreciseHostname

    def violations(self) -> Iterator[Violation]:
        """Names of the cluster are reached through their Service."""
        if self.hostname.endswith(".cluster.local"):
            yield Violation(
                "hostname", f"{self.hostname} is a name of the cluster", "refer to the Service itself in backendRefs"
            )


class BackendTLS(Struct, frozen=True, kw_only=True):
    """TLS to the backend; ``mode`` is None, ServerOnly or ClientAndServer."""

    mode: str
    client_certificate_ref: SecretObjectReference | None = None
    validation: BackendTLSPolicyValidation | None = None

    def violations(self) -> Iterator[Violation]:
        """A client certificate is given with ClientAndServer and only then."""
        if self.mode == "ClientAndServer" and self.client_certificate_ref is None:
            yield Violation("clientCertificateRef", "mode ClientAndServer needs a client certificate", "name a Secret")
        if self.mode != "ClientAndServer" and self.client_certificate_ref is not None:
            yield Violation(
                "clientCertificateRef",
                f"a client certificate is not allowed with mode {self.mode}",
                "set mode to ClientAndServer, or remove clientCertificateRef",
            )


class BackendSpec(Struct, frozen=True, kw_only=True):
    """``type`` is ExternalHostname; ``protocol`` one of TCP, HTTP, HTTP2, HTTP11, H2C, MCP."""

    type: str
    port: BackendPort
    external_hostname: ExternalHostnameBackend | None = None
    protocol: str | None = None
    tls: BackendTLS | None = None

    def violations(self) -> Iterator[Violation]:
        """ExternalHostname goes with its type and only with it."""
        if self.type == "ExternalHostname" and self.external_hostname is None:
            yield Violation("externalHostname", "type ExternalHostname needs externalHostname", "set its hostname")
        if self.type != "ExternalHostname" and self.external_hostname is not None:
            yield Violation(
                "externalHostname",
                f"externalHostname is not allowed with type {self.type}",
                "set type ExternalHostname",
            )


class XBackend(Resource, frozen=True, kw_only=True):
    """A backend described by itself instead of by a Service."""

    group: ClassVar[str] = EXPERIMENTAL_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1alpha1",)
    kind: ClassVar[str] = "XBackend"

    spec: BackendSpec
