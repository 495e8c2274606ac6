"""What cannot be as it stands in ``spec.egress`` of GatewayParameters, in words for a condition.

Owns what the gateway would refuse at its start or in its table: a Gateway says so before, and keeps what it had.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from controller.resources import EgressParameters, RecordCollector


def wrong_egress(egress: EgressParameters) -> str:
    """Empty where nothing is wrong; else the field, what is wrong, and the remedy."""
    if egress.records is not None and egress.records.collector is not None:
        return _wrong_collector(egress.records.collector)
    return ""


def _wrong_collector(collector: RecordCollector) -> str:
    url = collector.url
    wrong = f"egress.records.collector.url: {url!r} is no collector; write http://HOST:PORT or https://HOST:PORT"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return wrong
    plain = url.isascii() and url.isprintable() and " " not in url and not (parts.query or parts.fragment)
    if parts.scheme not in ("http", "https") or not parts.hostname or not port or "@" in parts.netloc or not plain:
        return wrong
    return ""
