"""Rules of TLSRoutes, TCPRoutes and UDPRoutes.

Owns ``TLSRouteRule``, ``TCPRouteRule`` and ``UDPRouteRule`` (Gateway API): weighted backends that carry
connections as they are. Of several routes for one connection the oldest gets it: the data plane's order.
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.resources import StreamRouteRule
from controller.translate.rules import Content, Rule, TranslatedRule


def translate_stream_rule(rule: Rule, source: StreamRouteRule) -> TranslatedRule:
    """One rule."""
    return rule.finish(
        Content(
            name=source.name or "",
            matches=(),
            backends=tuple(
                rule.share(reference.weight, rule.resolve(reference), ()) for reference in source.backend_refs
            ),
        )
    )


def effective(rules: Sequence[StreamRouteRule]) -> Sequence[StreamRouteRule]:
    """The rules that can take effect: nothing tells the connections of several apart."""
    return rules[:1]
