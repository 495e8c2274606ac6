"""Ingress (Kubernetes ``networking/v1``): hosts, paths and the Services behind them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta

from controller.resources.metadata import Resource
from controller.resources.schema import DNS_SUBDOMAIN_PATTERN, ObjectName, PortNumber, Struct, Violation

INGRESS_GROUP = "networking.k8s.io"

_NOT_NORMAL = ("//", "/./", "/../", "%2f", "%2F")
_DOT_ENDINGS = ("/.", "/..")

IngressHost = Annotated[
    str,
    Meta(
        max_length=253, pattern=rf"^(?:(?:\*\.)?{DNS_SUBDOMAIN_PATTERN[1:-2]})?\Z", description="a host name, or empty"
    ),
]
"""``*.`` may stand before it; empty: every host."""


class TypedLocalObjectReference(Struct, frozen=True, kw_only=True):
    """An object of the same namespace."""

    api_group: str | None = None
    kind: str
    name: ObjectName


class ServiceBackendPort(Struct, frozen=True, kw_only=True):
    """A port of a Service, by its name or by its number."""

    name: Annotated[str, Meta(max_length=63)] = ""
    number: PortNumber | None = None

    def violations(self) -> Iterator[Violation]:
        """One of name and number, not both."""
        if bool(self.name) == (self.number is not None):
            found = "name and number are both given" if self.name else "neither name nor number is given"
            yield Violation("", found, "give one of the two")


class IngressServiceBackend(Struct, frozen=True, kw_only=True):
    """A Service of the same namespace."""

    name: ObjectName
    port: ServiceBackendPort = ServiceBackendPort()


class IngressBackend(Struct, frozen=True, kw_only=True):
    """Where requests go: a Service, or an object of another kind."""

    service: IngressServiceBackend | None = None
    resource: TypedLocalObjectReference | None = None

    def violations(self) -> Iterator[Violation]:
        """One of service and resource, not both."""
        if (self.service is None) == (self.resource is None):
            found = "neither service nor resource is" if self.service is None else "service and resource are both"
            yield Violation("", f"{found} given", "give one of the two")


class HTTPIngressPath(Struct, frozen=True, kw_only=True):
    """``path_type`` is Exact, Prefix or ImplementationSpecific."""

    path: str = ""
    path_type: str
    backend: IngressBackend

    def violations(self) -> Iterator[Violation]:
        """A path is absolute; a literal one is normal."""
        if not self.path.startswith("/"):
            if self.path or self.path_type != "ImplementationSpecific":
                yield Violation("path", f"the path {self.path!r} does not start with '/'", "write an absolute path")
            return
        if self.path_type not in ("Exact", "Prefix"):
            return
        part = next((part for part in _NOT_NORMAL if part in self.path), "")
        if part:
            yield Violation("path", f"the path {self.path!r} contains {part!r}", "write the path in normal form")
        elif self.path.endswith(_DOT_ENDINGS):
            yield Violation("path", f"the path {self.path!r} ends with a dot segment", "write the path in normal form")


class HTTPIngressRuleValue(Struct, frozen=True, kw_only=True):
    """The paths of a host."""

    paths: Annotated[tuple[HTTPIngressPath, ...], Meta(min_length=1)]


class IngressRule(Struct, frozen=True, kw_only=True):
    """A host and its paths; without ``http`` everything goes to the default backend."""

    host: IngressHost = ""
    http: HTTPIngressRuleValue | None = None


class IngressTLS(Struct, frozen=True, kw_only=True):
    """Hosts served over TLS with the certificate of one Secret; without hosts, every host."""

    hosts: tuple[IngressHost, ...] = ()
    secret_name: str = ""


class IngressSpec(Struct, frozen=True, kw_only=True):
    """``ingress_class_name`` None: the class of the legacy annotation, or the default class."""

    ingress_class_name: str | None = None
    default_backend: IngressBackend | None = None
    tls: tuple[IngressTLS, ...] = ()
    rules: tuple[IngressRule, ...] = ()

    def violations(self) -> Iterator[Violation]:
        """There is something to serve."""
        if self.default_backend is None and not self.rules:
            yield Violation("", "neither defaultBackend nor rules are given", "give at least one of them")


class Ingress(Resource, frozen=True, kw_only=True):
    """Routes HTTP requests, in the API before the Gateway API."""

    group: ClassVar[str] = INGRESS_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1",)
    kind: ClassVar[str] = "Ingress"

    spec: IngressSpec = IngressSpec()
