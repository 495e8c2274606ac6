"""Listeners that are ways out: the protocols that say so, and what they are in a table.

Gateway API leaves protocols with a domain before them to implementations (``Listener.protocol``). No route attaches to
a way out: its clients name their destination, and egress policies decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.routing_table import model

EGRESS_PROXY: Final = "sekisho.dev/EgressProxy"
EGRESS_TLS: Final = "sekisho.dev/EgressTLS"
EGRESS_HTTP: Final = "sekisho.dev/EgressHTTP"
WAYS: Final[Mapping[str, model.EgressWay]] = {EGRESS_PROXY: "Proxy", EGRESS_TLS: "TLS", EGRESS_HTTP: "HTTP"}
"""What each protocol is in a routing table."""
ROUTED: Final = ("HTTP", "HTTPS", "TLS", "TCP")
"""Protocols of listeners whose routes may lead outside."""
