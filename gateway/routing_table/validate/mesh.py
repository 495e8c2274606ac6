"""Rules on what belongs to the mesh: peers, captured listeners, mutual TLS and tunnels."""

from __future__ import annotations

import re
from typing import Final

from gateway.routing_table.model import Captured, Listener, Peer, Workload
from gateway.routing_table.validate.names import (
    MAX_UNSIGNED_16,
    Problems,
    at,
    bounded,
    each,
    is_ip_address,
    text_bounded,
)

_MAX_NAME_BYTES: Final = 1024
_MAX_ADDRESSES: Final = 65_536
_IDENTITY: Final = re.compile(r"[a-z0-9._-]+/ns/[A-Za-z0-9._-]+/sa/[A-Za-z0-9._-]+\Z")
_WORKLOAD: Final = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+\Z")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}\Z")


def peer(it: Peer, address: str) -> Problems:
    """An endpoint of the mesh; ``address`` is the endpoint's."""
    yield from at("identity", text_bounded(it.identity, _MAX_NAME_BYTES))
    if not _IDENTITY.match(it.identity):
        yield f"identity: {it.identity!r} is no identity; write 'trust-domain/ns/namespace/sa/service-account'"
    if it.tunnel and not is_ip_address(address):
        yield f"tunnel: {address!r} is a name, and a tunnel leads to an IP address; write the address"
    if it.tunnel_address:
        if not it.tunnel:
            yield "tunnel_address: there is no tunnel; name one, or leave the address out"
        yield from at("tunnel_address", _socket_address(it.tunnel_address))
    if it.workload:
        yield from at("workload", text_bounded(it.workload, _MAX_NAME_BYTES))
        if not _WORKLOAD.match(it.workload):
            yield f"workload: {it.workload!r} is no workload; write 'namespace/name'"


def workload(it: Workload) -> Problems:
    """Who a data plane is."""
    for field in Workload.__struct_fields__:
        value: str = getattr(it, field)
        yield from at(field, text_bounded(value, _MAX_NAME_BYTES))
        if field in ("name", "namespace") and not value:
            yield f"{field}: it is empty; name the workload"


def mesh_listener(listener: Listener) -> Problems:
    """What a listener says of the mesh, and whether that goes with its protocol."""
    if listener.captured is not None:
        if listener.protocol in ("UDP", "HBONE"):
            yield f"captured: a {listener.protocol} listener takes no captured connections; leave it out"
        yield from at("captured", _captured(listener.captured))
    ends_mutual_tls = listener.protocol in ("HTTP", "TCP") or (listener.protocol == "TLS" and listener.egress)
    if listener.mesh is not None and not ends_mutual_tls:
        yield "mesh: only HTTP and TCP listeners, and ways out of TLS, end the mesh's mutual TLS; leave it out"
    if listener.protocol != "HBONE":
        if listener.inner:
            yield "inner: only an HBONE listener hands tunnels on; leave it out"
        return
    yield from at("inner", _socket_address(listener.inner))
    if listener.authorization:
        yield "authorization: the listeners behind an HBONE listener decide; name the policies there"


def _captured(it: Captured) -> Problems:
    yield from at("addresses", bounded(len(it.addresses), _MAX_ADDRESSES, "addresses"))
    yield from each("addresses", it.addresses, _address)


def _address(text: str) -> Problems:
    if not is_ip_address(text):
        yield f"{text!r} is not an IP address"


def _socket_address(text: str) -> Problems:
    """``address:port``, with an IPv6 address in brackets."""
    host, colon, number = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    fits = is_ip_address(bare) and host == (f"[{bare}]" if ":" in bare else bare)
    if not colon or not fits or not _PORT.match(number) or int(number) > MAX_UNSIGNED_16:
        yield f"{text!r} is no address with a port; write one such as '127.0.0.1:15006' or '[::1]:15006'"
