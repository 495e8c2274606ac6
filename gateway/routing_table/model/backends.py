"""Backends and their endpoints."""

from __future__ import annotations

from typing import Literal

from gateway.routing_table.model.routes import Failure
from gateway.routing_table.model.schema import Struct


class SubjectAltName(Struct):
    """A name that the backend's certificate must carry (at least one of the list)."""

    type: Literal["Hostname", "URI"]
    value: str


class BackendTLS(Struct):
    """TLS towards a backend. ``trust_bundles`` empty means the system's certificate authorities."""

    server_name: str
    trust_bundles: tuple[str, ...] = ()
    subject_alt_names: tuple[SubjectAltName, ...] = ()
    """When given, these authenticate the peer and ``server_name`` is sent as SNI only."""
    client_certificate: str = ""
    """Key of a certificate to present, or empty."""


class Destination(Struct):
    """Names that telemetry reports for a backend."""

    service: str = ""
    service_name: str = ""
    service_namespace: str = ""


class Backend(Struct):
    """One port of a Service, or one external host. ``key``: ``Kind/namespace/name/port``."""

    key: str
    protocol: Literal["HTTP", "H2C", "WS"] = "HTTP"
    """``HTTP``: HTTP/1.1, and HTTP/2 for gRPC requests; ``H2C``: HTTP/2 always; ``WS``: HTTP/1.1."""
    tls: BackendTLS | None = None
    destination: Destination = Destination()
    failure: Failure | None = None
    mesh_server_name: str = ""
    """SNI towards endpoints of the mesh that are reached without tunnel, as in
    ``outbound_.80_._.cart.shop.svc.cluster.local``. Empty: none is sent."""
    original_destination: bool = False
    """Traffic goes on to where its connection was going before it was captured; endpoints are not looked at, and there
    is no TLS of the gateway's own. Through a listener that is not captured such a backend cannot be reached (503)."""
    dscp: int = 0
    """The code point (RFC 2474) in the packets of connections to it, 0 to 63, by which rules of the machine tell them
    from others of this process. It does not count for tunnels and UDP."""


class Peer(Struct):
    """An endpoint that is in the mesh: reached by mutual TLS with the gateway's own identity.

    It is verified by the gateway's trust bundle, and its certificate must hold exactly one URI,
    ``spiffe://`` and ``identity``. TLS of the backend itself goes before it.
    """

    identity: str
    """``trust-domain/ns/namespace/sa/service-account``."""
    tunnel: Literal["", "HBONE"] = ""
    """Empty: TLS on the endpoint's own port, as Istio's sidecars take it. ``HBONE``: a CONNECT tunnel."""
    tunnel_address: str = ""
    """``address:port`` that takes the tunnel (an IPv6 address in brackets); empty: port 15008 of the endpoint's
    address."""
    workload: str = ""
    """``namespace/name`` for telemetry, or empty."""


class Endpoint(Struct):
    """``address`` is an IP address, or a DNS name that the gateway resolves; behind a tunnel, an IP address."""

    address: str
    port: int
    peer: Peer | None = None


class Endpoints(Struct):
    """The ready endpoints of one backend. ``key`` equals the backend's. May be empty (503)."""

    key: str
    endpoints: tuple[Endpoint, ...] = ()
