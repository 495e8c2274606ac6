"""What Ingresses see of the Gateway that serves them: listeners that take their rules, and where TLS is opened.

Owns which listeners those are: the HTTP listeners on port 80 and the HTTPS listeners on port 443, of the
Gateway and of its ListenerSets. ``allowedRoutes`` does not apply: the IngressClass, which belongs to the
cluster, names the Gateway, and an Ingress is no route.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from controller.resources import Gateway
from controller.store import Key
from controller.translate.gateway import GATEWAY, PARSED_GATEWAY, PORT, ServedGateway, ServedListener
from controller.translate.graph import Reads, Stage
from controller.translate.implied_gateway import HTTP_PORT, HTTPS_PORT
from controller.translate.names import object_name
from controller.translate.stages import Rank
from gateway.routing_table import model


class Entry(msgspec.Struct, frozen=True):
    """A listener that takes rules: its hostname (empty: all) and its keys in the table."""

    hostname: str
    keys: tuple[str, ...]


class TLSPort(msgspec.Struct, frozen=True):
    """Where hosts of Ingresses are served over TLS."""

    gateway: Key
    settings: model.Gateway
    addresses: tuple[str, ...]
    bind_port: int
    client_validation: model.ClientValidation | None
    trust_bundles: tuple[model.TrustBundle, ...]
    authorization: tuple[model.AuthorizationPolicy, ...]
    authentication: tuple[model.RequestAuthentication, ...]


class IngressGateway(msgspec.Struct, frozen=True):
    """A Gateway as its Ingresses see it. With a problem, nothing is served."""

    table: str = ""
    problem: str = ""
    addresses: tuple[str, ...] = ()
    http: tuple[Entry, ...] = ()
    https: tuple[Entry, ...] = ()
    tls: TLSPort | None = None
    client_certificate: Key | None = None
    variant: str = ""


class _Owner(NamedTuple):
    """The Gateway that has a port."""

    key: Key
    served: ServedGateway

    def listeners(self, protocol: str, port: int) -> Iterator[ServedListener]:
        for listener in self.served.every_listener():
            if (listener.parsed.protocol, listener.parsed.port) == (protocol, port):
                yield listener

    def entries(self, protocol: str, port: int) -> tuple[Entry, ...]:
        found = self.listeners(protocol, port)
        return tuple(Entry(listener.parsed.hostname, listener.keys) for listener in found if listener.keys)


def _want(key: Key, reads: Reads) -> None:
    reads.result(PARSED_GATEWAY, key)


WANTED_GATEWAY: Stage[Key, None] = Stage(Rank.WANTED_GATEWAY, _want)
"""Reads a Gateway that Ingresses need before ports are given out, so that it takes part."""


def _view(key: Key, reads: Reads) -> IngressGateway:
    served = reads.result(GATEWAY, key)
    if served is None:
        exists = reads.get(Gateway, key.namespace, key.name) is not None
        what = "is of a class that is not served here" if exists else "does not exist"
        return IngressGateway(problem=f"{key} {what}")
    if served.problem is not None:
        return IngressGateway(problem=f"{key} is not accepted: {served.problem.message}")
    own = _Owner(key, served)
    implied = reads.get(Gateway, key.namespace, key.name) is None
    plain = _holder(reads, own, HTTP_PORT) if implied else own
    secure = _holder(reads, own, HTTPS_PORT) if implied else own
    client = None if implied else served.parsed.client_certificate
    return IngressGateway(
        table=served.table,
        addresses=served.parsed.addresses,
        http=plain.entries("HTTP", HTTP_PORT),
        https=secure.entries("HTTPS", HTTPS_PORT),
        tls=_tls_port(secure),
        client_certificate=Key(*client.key.split("/")) if client else None,
        variant=object_name(key) if client and reads.options.merge else "",
    )


def _holder(reads: Reads, own: _Owner, port: int) -> _Owner:
    """Who has a port that the implied Gateway wants: it joins a Gateway that somebody wrote."""
    for address in own.served.parsed.addresses:
        holder = reads.result(PORT, (address, port + reads.options.port_offset, "TCP"))
        served = reads.result(GATEWAY, holder) if holder not in (None, own.key) else None
        if holder is not None and served is not None:
            return _Owner(holder, served)
    return own


def _tls_port(owner: _Owner) -> TLSPort | None:
    """An HTTPS listener opens its port for them, even one without a usable certificate of its own."""
    for listener in owner.listeners("HTTPS", HTTPS_PORT):
        if owner.served.problem is None and listener.problem is None:
            return TLSPort(
                gateway=owner.key,
                settings=owner.served.parsed.settings,
                addresses=owner.served.parsed.addresses,
                bind_port=listener.parsed.bind_port,
                client_validation=listener.parsed.client_validation,
                trust_bundles=listener.parsed.trust_bundles,
                authorization=owner.served.parsed.authorization,
                authentication=owner.served.parsed.authentication,
            )
    return None


INGRESS_GATEWAY: Stage[Key, IngressGateway] = Stage(Rank.INGRESS_GATEWAY, _view)
"""By Gateway."""
