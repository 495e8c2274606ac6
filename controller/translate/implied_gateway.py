"""The Gateway of Ingresses that nobody wrote.

Owns the rule that standalone serves Ingresses on ports 80 and 443 without a Gateway object. Every
other Gateway goes before it where they want one port: see ``ingress_gateway``.
"""

from __future__ import annotations

import datetime

from controller.resources import Gateway, GatewaySpec, Listener, ListenerTLSConfig, ObjectMeta
from controller.store import Key
from controller.translate.graph import Reads
from controller.translate.ingress_class import default_gateway
from controller.translate.listeners import CERTIFICATES_OF_INGRESSES, CERTIFICATES_OPTION
from controller.translate.options import CLASS_NAME

WANTED = "ingress-gateways"
"""Collection: the Gateways that Ingresses are served by."""

HTTP_PORT, HTTPS_PORT = 80, 443
"""The ports of Ingresses."""

_OPTIONS = {CERTIFICATES_OPTION: CERTIFICATES_OF_INGRESSES}
_YOUNGEST = datetime.datetime.max.replace(tzinfo=datetime.UTC)


def implied_gateway(reads: Reads, key: Key) -> Gateway | None:
    """The Gateway, if ``key`` is the one that may be implied and some Ingress needs it."""
    if not reads.options.merge or key != default_gateway(reads.options) or key not in reads.members(WANTED, ""):
        return None
    return Gateway(
        metadata=ObjectMeta(name=key.name, namespace=key.namespace, creation_timestamp=_YOUNGEST),
        spec=GatewaySpec(
            gateway_class_name=CLASS_NAME,
            listeners=(
                Listener(name="http", protocol="HTTP", port=HTTP_PORT),
                Listener(name="https", protocol="HTTPS", port=HTTPS_PORT, tls=ListenerTLSConfig(options=_OPTIONS)),
            ),
        ),
    )
