"""Listeners: where connections are taken, who may come in, and which policies decide there."""

from __future__ import annotations

from typing import Literal

from gateway.routing_table.model.schema import Struct


class ClientValidation(Struct):
    """Which client certificates a listener that terminates TLS takes."""

    trust_bundles: tuple[str, ...]
    """Keys of trust bundles; a client's chain ends in any of them. Never empty."""
    allow_insecure_fallback: bool = False
    """Serve clients with a missing or invalid certificate as well."""


EgressWay = Literal["Proxy", "TLS", "HTTP"]


class Egress(Struct):
    """What makes a listener a way out: its clients name their destination, and no route is looked at.

    ``Proxy`` is for HTTP and HTTPS listeners and takes CONNECT and absolute-form requests. ``HTTP`` (of HTTP listeners)
    and ``TLS`` (of TLS listeners that pass through) take traffic that was redirected: Host or the server name is the
    destination, at the listener's ``port``.
    """

    way: EgressWay
    policies: tuple[str, ...] = ()
    """Keys of the egress policies that decide. None of them: everything is denied, as it is while one of them is not
    in the table."""
    nameservers: tuple[str, ...] = ()
    """The servers that resolve names, in order; none means the system's resolver. ``address:port``, or
    ``tls://address:port#name`` for DNS over TLS: the server's certificate must have the name, or the address where none
    is written. All of them are of one kind: a server asked in the clear would be the way around the others."""


class RoutedEgress(Struct):
    """What requests and connections of routes need the leave of where their backend has an endpoint that is a DNS name.

    The policies decide about the name, the endpoint's port, and of requests method and path as they are sent; the name
    is resolved once and vetted, and ``Host`` names it. A connection is TLS to them where the gateway begins TLS, which
    must verify that name, and where a client's own passes through, which must ask for it; any other is a tunnel, that
    must turn out to be TLS with that name unless a rule for TCP allows it. Sessions of UDP do not go out at
    all. Not for HBONE and ways out.
    """

    policies: tuple[str, ...] = ()
    """As :attr:`Egress.policies`."""
    nameservers: tuple[str, ...] = ()
    """As :attr:`Egress.nameservers`."""


class Captured(Struct):
    """The listener takes connections that were redirected to its socket, by the destination they had before.

    Of the listeners of one socket the most specific takes a connection: address and port, then address with any
    port, then port with any address, then every destination. The original destination is what the kernel kept of the
    redirect; a connection that was not redirected was meant for the socket itself.
    """

    addresses: tuple[str, ...] = ()
    """IP addresses; none means every one."""
    any_port: bool = False
    """Otherwise the original port must be the listener's ``port``."""


class MeshServer(Struct):
    """The listener stands before a workload of the mesh, or leads out of it (``egress``, ``routed_egress``), and ends
    mutual TLS with the gateway's own identity. Who was verified is the caller for every policy.

    The first bytes of a connection tell. ``STRICT``: mutual TLS, or the connection is closed. ``PERMISSIVE``: TLS that
    offers one of the mesh's protocols by ALPN (``istio``, ``istio-h2``, ``istio-http/1.1``) is mutual TLS; plaintext is
    served; other TLS is carried on as it is where the listener's protocol is TCP or TLS, and refused elsewhere.
    ``DISABLE``: plaintext is served, TLS is carried or refused in the same way. What came through a tunnel (``HBONE``)
    of a verified peer counts as mutual TLS in every mode.

    Traffic of a listener before a workload is reported by its destination; others are reported by their source.
    """

    mode: Literal["STRICT", "PERMISSIVE", "DISABLE"] = "PERMISSIVE"


class Listener(Struct):
    """One listener of a Gateway. ``key``: ``namespace/gateway/listener``.

    ``HTTPS`` and ``TLS`` listeners with different hostnames may share one port: the server name that the
    client asks for chooses. A UDP listener has its ports to itself, beside those of TCP. Captured listeners share a
    socket by original destination, whatever their protocols, and only with each other.

    ``HBONE`` takes mutual TLS with the gateway's own identity, and in it HTTP/2 with CONNECT requests alone. The
    authority of each is the original destination of the connection that it carries.
    """

    key: str
    gateway: str
    address: str
    """IP address to bind, without brackets."""
    port: int
    """Port that clients dial: what redirects and port matches use."""
    bind_port: int
    """Port the process binds; differs from ``port`` only behind a port mapping."""
    protocol: Literal["HTTP", "HTTPS", "TLS", "TCP", "UDP", "HBONE"]
    hostname: str = ""
    """Lower case; empty means every host; ``*.example.com`` matches one or more labels. None for TCP and UDP."""
    certificates: tuple[str, ...] = ()
    """Keys of certificates, in order of preference. Never empty where the listener terminates TLS."""
    tls_mode: Literal["Terminate", "Passthrough"] = "Terminate"
    """``Passthrough`` is for ``TLS`` alone: the backend terminates, and the gateway only reads the server name."""
    client_validation: ClientValidation | None = None
    """Only where the listener terminates TLS."""
    authorization: tuple[str, ...] = ()
    """Keys of the authorization policies that decide about its requests and connections. One that is not in the
    table, because it was refused, is no reason to refuse the listener: everything is denied until it is there.
    None for HBONE: the captured listeners behind it decide."""
    authentication: tuple[str, ...] = ()
    """Keys of the request authentications that look at its requests, in the same way: one that is not in the table
    refuses everything. What carries connections does not look at them."""
    captured: Captured | None = None
    """Only for HTTP, HTTPS, TLS and TCP."""
    mesh: MeshServer | None = None
    """Only for HTTP and TCP, and for TLS where ``egress`` is set."""
    inner: str = ""
    """Only for HBONE, and always there: ``address:bind_port`` of the socket whose captured listeners take what the
    tunnels carry (an IPv6 address in brackets)."""
    egress: Egress | None = None
    routed_egress: RoutedEgress | None = None
    """None: requests and connections of routes go to whatever their backends are."""
