"""The listeners that take requests for a host of an Ingress, over plain HTTP and over TLS.

Owns the meaning of an Ingress's wildcard: ``*.`` stands for exactly one label, where listeners and
routes of the Gateway API mean one or more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from controller.store import Key
from controller.translate.graph import Reads
from controller.translate.hostnames import intersect
from controller.translate.ingress_gateway import Entry, IngressGateway
from controller.translate.ingress_tls import INGRESS_TLS, TLS_LISTENERS
from gateway.routing_table import model

_WILDCARD = "*."


class Attachments(NamedTuple):
    """Over plain HTTP, and over TLS."""

    plain: tuple[model.Attachment, ...]
    secure: tuple[model.Attachment, ...]


def attachments(reads: Reads, gateway: Key, view: IngressGateway, host: str) -> Attachments:
    """Where requests for a host (empty: every host) arrive."""
    opened = []
    for tls_host in _tls_hosts(reads, gateway, host):
        listener = reads.result(INGRESS_TLS, (gateway, tls_host))
        if listener is not None:
            opened.append(Entry(tls_host, listener.keys))
    return Attachments(_attached(view.http, host), _attached((*view.https, *opened), host))


def _tls_hosts(reads: Reads, gateway: Key, host: str) -> Iterable[str]:
    """Hosts with a listener of their own that may serve this one: three to look at, unless it stands for several."""
    if host and not host.startswith(_WILDCARD):
        return host, _WILDCARD + host.partition(".")[2], ""
    return sorted(reads.members(TLS_LISTENERS, gateway))


def _attached(entries: Iterable[Entry], host: str) -> tuple[model.Attachment, ...]:
    hosts = (host,) if host else ()
    found = {key: intersect(entry.hostname, hosts) for entry in entries for key in entry.keys}
    return tuple(model.Attachment(listener=key, hostnames=agreed) for key, agreed in sorted(found.items()) if agreed)


def host_predicates(host: str) -> tuple[model.ValueMatch, ...]:
    """What the routing table's hostname does not say: that a wildcard stands for one label."""
    if not host.startswith(_WILDCARD):
        return ()
    pattern = r"[^.]+" + re.escape(host.removeprefix("*"))
    return (model.ValueMatch(name="host", value=pattern, type="RegularExpression"),)
