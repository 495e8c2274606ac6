"""Gateway (Gateway API: ``gateway_types.go``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from controller.resources.metadata import Resource
from controller.resources.references import (
    GATEWAY_GROUP,
    LocalParametersReference,
    ObjectReference,
    SecretObjectReference,
)
from controller.resources.schema import (
    METADATA_KEY_PATTERN,
    AnnotationValue,
    Group,
    Hostname,
    Kind,
    LabelValue,
    ObjectName,
    PortNumber,
    SectionName,
    Struct,
    Violation,
)
from controller.resources.selector import LabelSelector
from gateway.routing_table.validate import is_ip_address

_METADATA_KEY = re.compile(METADATA_KEY_PATTERN)
_ADDRESS_HOSTNAME = re.compile(r"^(?:\*\.)?[a-z0-9]+(?:-+[a-z0-9]+)*(?:\.[a-z0-9]+(?:-+[a-z0-9]+)*)*\Z")

ListenerProtocol = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        pattern=r"^(?:[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*|[a-z0-9]+(?:[-.]+[a-z0-9]+)*/[A-Za-z0-9]+)\Z",
        description="a protocol such as HTTP or example.com/name",
    ),
]


class RouteNamespaces(Struct, frozen=True, kw_only=True):
    """``from_`` is All, Selector, Same or None."""

    from_: str = msgspec.field(default="Same", name="from")
    selector: LabelSelector | None = None


class RouteGroupKind(Struct, frozen=True, kw_only=True):
    """A kind of route."""

    group: Group = GATEWAY_GROUP
    kind: Kind


class AllowedRoutes(Struct, frozen=True, kw_only=True):
    """Routes that may attach. ``kinds`` empty: those that the protocol implies."""

    namespaces: RouteNamespaces = RouteNamespaces()
    kinds: Annotated[tuple[RouteGroupKind, ...], Meta(max_length=8)] = ()


class ListenerTLSConfig(Struct, frozen=True, kw_only=True):
    """TLS of a listener; ``mode`` is Terminate or Passthrough."""

    mode: str = "Terminate"
    certificate_refs: Annotated[tuple[SecretObjectReference, ...], Meta(max_length=64)] = ()
    options: Annotated[Mapping[str, AnnotationValue], Meta(max_length=16)] = {}

    def violations(self) -> Iterator[Violation]:
        """A listener that terminates TLS has a certificate."""
        if self.mode == "Terminate" and not self.certificate_refs and not self.options:
            yield Violation(
                "certificateRefs", "TLS mode Terminate needs a certificate", "name a Secret in certificateRefs"
            )


class Listener(Struct, frozen=True, kw_only=True):
    """A logical endpoint of a Gateway."""

    name: SectionName
    hostname: Hostname | None = None
    port: PortNumber
    protocol: ListenerProtocol
    tls: ListenerTLSConfig | None = None
    allowed_routes: AllowedRoutes = AllowedRoutes()

    def violations(self) -> Iterator[Violation]:
        """What the protocol allows and requires."""
        if self.protocol in ("HTTP", "TCP", "UDP") and self.tls is not None:
            yield Violation(
                "tls", f"tls is not allowed with protocol {self.protocol}", "remove tls, or use protocol HTTPS"
            )
        if self.protocol == "HTTPS" and self.tls is not None and self.tls.mode not in ("", "Terminate"):
            yield Violation("tls.mode", "an HTTPS listener terminates TLS", "set mode to Terminate")
        if self.protocol == "TLS" and self.tls is None:
            yield Violation("tls", "a TLS listener needs tls with a mode", "set tls.mode")
        if self.protocol in ("TCP", "UDP") and self.hostname is not None:
            yield Violation("hostname", f"hostname is not allowed with protocol {self.protocol}", "remove hostname")


def same_listeners(listeners: Sequence[Listener]) -> Iterator[Violation]:
    """No two listeners have the same port, protocol and hostname."""
    known: dict[tuple[int, str, str | None], str] = {}
    for index, listener in enumerate(listeners):
        other = known.setdefault((listener.port, listener.protocol, listener.hostname), listener.name)
        if other != listener.name:
            yield Violation(
                f"listeners[{index}]",
                f"listeners {other} and {listener.name} have the same port, protocol and hostname",
                "change one of the three, or remove a listener",
            )


class GatewaySpecAddress(Struct, frozen=True, kw_only=True):
    """An address asked for; ``type`` is IPAddress, Hostname, NamedAddress or a domain-prefixed name."""

    type: Annotated[str, Meta(min_length=1, max_length=253)] = "IPAddress"
    value: Annotated[str, Meta(max_length=253)] | None = None

    def violations(self) -> Iterator[Violation]:
        """The value has the form its type asks for."""
        if not self.value:
            return
        if self.type == "IPAddress" and not is_ip_address(self.value):
            yield Violation(
                "value", f"{self.value!r} is not an IP address", "write an IPv4 or IPv6 address without brackets"
            )
        if self.type == "Hostname" and not _ADDRESS_HOSTNAME.match(self.value):
            yield Violation("value", f"{self.value!r} is not a host name", "write a lower-case DNS name")


class GatewayInfrastructure(Struct, frozen=True, kw_only=True):
    """Metadata for what is created for the Gateway, and its parameters."""

    labels: Annotated[Mapping[str, LabelValue], Meta(max_length=8)] = {}
    annotations: Annotated[Mapping[str, AnnotationValue], Meta(max_length=16)] = {}
    parameters_ref: LocalParametersReference | None = None

    def violations(self) -> Iterator[Violation]:
        """Keys of labels and annotations are qualified names."""
        for field, mapping in (("labels", self.labels), ("annotations", self.annotations)):
            for key in mapping:
                if not _METADATA_KEY.match(key) or len(key.split("/")[0]) >= 253:
                    yield Violation(
                        field,
                        f"{key!r} is not a valid key",
                        "use an optional DNS prefix and a name of up to 63 characters",
                    )


class ListenerNamespaces(Struct, frozen=True, kw_only=True):
    """``from_`` is All, Selector, Same or None."""

    from_: str = msgspec.field(default="None", name="from")
    selector: LabelSelector | None = None


class AllowedListeners(Struct, frozen=True, kw_only=True):
    """ListenerSets that may attach."""

    namespaces: ListenerNamespaces = ListenerNamespaces()


class FrontendTLSValidation(Struct, frozen=True, kw_only=True):
    """How client certificates are checked; ``mode`` is AllowValidOnly or AllowInsecureFallback."""

    ca_certificate_refs: Annotated[tuple[ObjectReference, ...], Meta(min_length=1, max_length=16)]
    mode: str = "AllowValidOnly"


class TLSConfig(Struct, frozen=True, kw_only=True):
    """TLS towards clients."""

    validation: FrontendTLSValidation | None = None


class TLSPortConfig(Struct, frozen=True, kw_only=True):
    """TLS towards clients on one port."""

    port: PortNumber
    tls: TLSConfig


class FrontendTLSConfig(Struct, frozen=True, kw_only=True):
    """TLS towards clients, for all HTTPS listeners and for single ports."""

    default: TLSConfig
    per_port: Annotated[tuple[TLSPortConfig, ...], Meta(max_length=64, extra={"unique": "port"})] = ()


class GatewayBackendTLS(Struct, frozen=True, kw_only=True):
    """The certificate presented to backends."""

    client_certificate_ref: SecretObjectReference | None = None


class GatewayTLSConfig(Struct, frozen=True, kw_only=True):
    """TLS settings of the whole Gateway."""

    backend: GatewayBackendTLS | None = None
    frontend: FrontendTLSConfig | None = None


class GatewaySpec(Struct, frozen=True, kw_only=True):
    """The desired state of a Gateway."""

    gateway_class_name: ObjectName
    listeners: Annotated[tuple[Listener, ...], Meta(min_length=1, max_length=64, extra={"unique": "name"})]
    addresses: Annotated[tuple[GatewaySpecAddress, ...], Meta(max_length=16)] = ()
    infrastructure: GatewayInfrastructure | None = None
    allowed_listeners: AllowedListeners | None = None
    tls: GatewayTLSConfig | None = None
    default_scope: str | None = None

    def violations(self) -> Iterator[Violation]:
        """Listeners and addresses are distinct."""
        yield from same_listeners(self.listeners)
        addresses: set[tuple[str, str]] = set()
        for index, address in enumerate(self.addresses):
            if address.value is None or address.type not in ("IPAddress", "Hostname"):
                continue
            if (address.type, address.value) in addresses:
                yield Violation(f"addresses[{index}]", f"address {address.value} is given twice", "remove one")
            addresses.add((address.type, address.value))


class Gateway(Resource, frozen=True, kw_only=True):
    """An instance of a GatewayClass: listeners that routes attach to."""

    group: ClassVar[str] = GATEWAY_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1", "v1beta1")
    kind: ClassVar[str] = "Gateway"

    spec: GatewaySpec
