"""Egress, as far as GatewayParameters say: resolving, routes that lead outside, and where decision records go.

Owns ``spec.egress`` of :class:`~controller.resources.gateway_parameters.GatewayParameters`. Records go among the
lines of the access log whatever is said here, and so to ``kubectl logs``; ``records`` is what provisioned gateways do
besides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from controller.resources.schema import Struct, Violation

ObjectName = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\Z", max_length=253)]
CollectorURL = Annotated[str, Meta(pattern=r"^https?://[^\s/@]+:[0-9]{1,5}(/\S*)?\Z", max_length=1024)]
NameServer = Annotated[
    str,
    Meta(
        pattern=r"^(tls://)?([0-9.]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}(#[a-z0-9._-]+)?\Z",
        max_length=320,
        description="address:port, or tls://address:port#name",
    ),
]

DEFAULT_FILE_BYTES = 64 * 1024 * 1024
DEFAULT_FILES = 10


class RecordFiles(Struct, frozen=True, kw_only=True):
    """Files of bounded size, the oldest of which goes."""

    max_bytes: Annotated[int, Meta(ge=1024 * 1024, le=16 * 1024**3)] = DEFAULT_FILE_BYTES
    """How large one becomes before the next is begun."""
    files: Annotated[int, Meta(ge=1, le=100)] = DEFAULT_FILES
    """How many there are at most, the current one included."""
    persistent_volume_claim: ObjectName | None = None
    """A claim in the Gateway's namespace, where each pod has a folder of its own name. Left out: a volume that goes
    with the pod, with room for that many files."""


class RecordCollector(Struct, frozen=True, kw_only=True):
    """A collector of OpenTelemetry that gets the records as well."""

    url: CollectorURL
    """``http://host:port`` or ``https://host:port``, OTLP over HTTP."""
    ca_config_map: ObjectName | None = None
    """Of https: a ConfigMap in the Gateway's namespace with the certificates that the collector is verified by, in
    ``ca.crt``. Left out: the authorities of the image."""
    client_certificate_secret: ObjectName | None = None
    """Of https: a Secret of type ``kubernetes.io/tls`` in the Gateway's namespace, shown to the collector."""

    def violations(self) -> Iterator[Violation]:
        """What is verified or shown is a matter of TLS."""
        given = {"caConfigMap": self.ca_config_map, "clientCertificateSecret": self.client_certificate_secret}
        for field, value in given.items():
            if value is not None and not self.url.startswith("https://"):
                yield Violation(field, f"{self.url} is spoken to in the clear", "write https:// in url")


class EgressRecords(Struct, frozen=True, kw_only=True):
    """Where records of egress decisions go, besides the lines of the access log. For provisioned gateways."""

    files: RecordFiles | None = None
    collector: RecordCollector | None = None


class EgressParameters(Struct, frozen=True, kw_only=True):
    """Of listeners that are ways out, and of routes that lead outside."""

    nameservers: Annotated[tuple[NameServer, ...], Meta(max_length=3)] = ()
    """Servers that resolve names, in order; none means the system's resolver. ``address:port``, or
    ``tls://address:port#name`` for DNS over TLS, whose certificate must have that name; not both in one list."""
    nameserver_ca_config_map: ObjectName | None = msgspec.field(default=None, name="nameserverCAConfigMap")
    """Of provisioned gateways: a ConfigMap in the Gateway's namespace with the certificates that name servers with TLS
    are verified by, in ``ca.crt``. Left out: the authorities of the image."""
    routes: Literal["ByPolicy"] | None = None
    """``ByPolicy``: routes lead outside only where an EgressPolicy allows it, and so nowhere while none speaks for the
    listener. Left out, that holds for the listeners that an EgressPolicy speaks for."""
    records: EgressRecords | None = None
