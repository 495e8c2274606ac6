"""What can be said of capture, and what is refused with a remedy."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.capture.settings import CaptureSettings
from gateway.errors import SettingsError


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"inbound": False, "outbound": False}, "nothing would be captured"),
        ({"users": (), "groups": ()}, "the sidecar's own connections"),
        ({"excluded_inbound_ports": ("0",)}, "--exclude-inbound-port '0'"),
        ({"excluded_inbound_ports": ("90-80",)}, "'90-80' is no port"),
        ({"excluded_outbound_ports": ("22; flush ruleset",)}, "is no port"),
        ({"excluded_outbound_ranges": ("10.0.0.0/33",)}, "--exclude-outbound-cidr"),
        ({"excluded_outbound_ranges": ("10.0.0.0/8 accept",)}, "no CIDR block"),
        ({"inbound_port": 15001}, "are the same"),
        ({"outbound_port": 70_000}, "outside 1 to 65535"),
        ({"users": (-1,)}, "no user"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        CaptureSettings(**settings)


def test_ranges_are_told_by_family_and_loopback_is_always_there() -> None:
    settings = CaptureSettings(excluded_outbound_ranges=("10.1.2.3/8", "fd00::/8", "192.0.2.1"))
    assert settings.ranges(4) == ("127.0.0.0/8", "10.0.0.0/8", "192.0.2.1/32")
    assert settings.ranges(6) == ("::1/128", "fd00::/8")
