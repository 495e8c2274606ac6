"""Hosts that Ingresses have served over TLS: a listener for each, with its certificate.

Owns who gives the certificate of a host that several Ingresses name: the oldest whose Secret is
usable. A Secret that is missing or malformed costs its own claim and nothing else.
"""

from __future__ import annotations

import datetime
from typing import NamedTuple

import msgspec

from controller.store import Key
from controller.translate.certificates import CERTIFICATE
from controller.translate.graph import NOTHING, Published, Reads, Stage, TableResource
from controller.translate.implied_gateway import HTTPS_PORT
from controller.translate.ingress_gateway import INGRESS_GATEWAY, TLSPort
from controller.translate.names import ingress_listener_key, object_name
from controller.translate.stages import Rank
from gateway.routing_table import model

TLS_CLAIMS = "ingress-tls-claims"
"""Collection, by Gateway and host: the Ingresses that give a certificate for it."""
TLS_HOSTS = "ingress-tls-hosts"
"""Collection: the Gateways and hosts that there are claims for."""
TLS_LISTENERS = "ingress-tls-listeners"
"""Collection, by Gateway: the hosts that have a listener."""

TLSHost = tuple[Key, str]
"""Gateway, and host (empty: every host)."""


class TLSClaim(NamedTuple):
    """An Ingress's certificate for a host; claims sort by who goes before."""

    created: datetime.datetime
    ingress: str
    secret: Key


class TLSListener(msgspec.Struct, frozen=True):
    """What serves a host over TLS, and whose certificate it has."""

    table: str
    claim: TLSClaim
    port: TLSPort
    host: str
    keys: tuple[str, ...]
    certificate: model.Certificate


def _listener(place: TLSHost, reads: Reads) -> TLSListener | None:
    gateway, host = place
    view = reads.result(INGRESS_GATEWAY, gateway)
    if view.tls is None or any(entry.hostname == host for entry in view.https):
        return None
    claims: list[TLSClaim] = sorted(reads.members(TLS_CLAIMS, place))
    for claim in claims:
        certificate = reads.result(CERTIFICATE, claim.secret).certificate
        if certificate is not None:
            keys = tuple(
                ingress_listener_key(view.tls.gateway, host, address if index else "")
                for index, address in enumerate(view.tls.addresses)
            )
            return TLSListener(view.table, claim, view.tls, host, keys, certificate)
    return None


def _publish(place: TLSHost, found: TLSListener | None) -> Published:
    if found is None:
        return NOTHING
    resources: list[tuple[str, str, TableResource]] = [
        (found.table, "trust_bundles", bundle) for bundle in found.port.trust_bundles
    ]
    resources += [(found.table, "authorization_policies", policy) for policy in found.port.authorization]
    resources += [(found.table, "request_authentications", it) for it in found.port.authentication]
    resources.append((found.table, "certificates", found.certificate))
    resources.append((found.table, "gateways", found.port.settings))
    resources += [
        (found.table, "listeners", _table_listener(found, key, address))
        for key, address in zip(found.keys, found.port.addresses, strict=True)
    ]
    gateway, host = place
    return Published(members=(((TLS_LISTENERS, gateway), host),), resources=tuple(resources))


def _table_listener(found: TLSListener, key: str, address: str) -> model.Listener:
    return model.Listener(
        key=key,
        gateway=object_name(found.port.gateway),
        address=address,
        port=HTTPS_PORT,
        bind_port=found.port.bind_port,
        protocol="HTTPS",
        hostname=found.host,
        certificates=(found.certificate.key,),
        client_validation=found.port.client_validation,
        authorization=tuple(policy.key for policy in found.port.authorization),
        authentication=tuple(it.key for it in found.port.authentication),
    )


INGRESS_TLS: Stage[TLSHost, TLSListener | None] = Stage(Rank.INGRESS_TLS, _listener, _publish)
"""By Gateway and host; None where there is no usable certificate, or the Gateway has a listener for the host."""
