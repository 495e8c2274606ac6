"""What is captured, and what is not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from gateway.errors import SettingsError

OUTBOUND_PORT: Final = 15001
INBOUND_PORT: Final = 15006
OWN_PORTS: Final = (15008, 15020, 15021, 15090)
"""Of the sidecar itself: tunnels, health and metrics are taken as they come."""
PROXY_ID: Final = 1337
LOOPBACK: Final = {4: "127.0.0.0/8", 6: "::1/128"}
_HIGHEST_PORT: Final = 65_535
_HIGHEST_ID: Final = 2**32 - 2
_RANGE: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?\Z")


@dataclass(frozen=True)
class CaptureSettings:
    """All connections over TCP are captured but those that are named here, and those over loopback."""

    users: tuple[int, ...] = (PROXY_ID,)
    """The sidecar's: what it dials itself is not captured."""
    groups: tuple[int, ...] = (PROXY_ID,)
    inbound: bool = True
    outbound: bool = True
    inbound_port: int = INBOUND_PORT
    outbound_port: int = OUTBOUND_PORT
    excluded_inbound_ports: tuple[str, ...] = ()
    """Numbers, or ranges ``from-to``."""
    excluded_outbound_ports: tuple[str, ...] = ()
    excluded_outbound_ranges: tuple[str, ...] = ()
    """Addresses or CIDR blocks of either family."""

    def __post_init__(self) -> None:
        if not (self.inbound or self.outbound):
            raise SettingsError("nothing would be captured", "leave out --no-inbound or --no-outbound")
        if self.outbound and not (self.users or self.groups):
            raise SettingsError("the sidecar's own connections would be captured too", "give --uid or --gid")
        _check_all_ports(self)
        for number in (*self.users, *self.groups):
            if not 0 <= number <= _HIGHEST_ID:
                raise SettingsError(f"{number} is no user or group", f"give a number from 0 to {_HIGHEST_ID}")
        for text in self.excluded_outbound_ranges:
            _check_range(text)

    def ranges(self, version: int) -> tuple[str, ...]:
        """The excluded CIDR blocks of one family, loopback first."""
        given = (ip_network(text, strict=False) for text in self.excluded_outbound_ranges)
        return tuple(dict.fromkeys((LOOPBACK[version], *(str(one) for one in given if one.version == version))))

    @property
    def untouched_inbound_ports(self) -> tuple[str, ...]:
        """The sidecar's own, and those that were given."""
        return tuple(dict.fromkeys((*(str(port) for port in OWN_PORTS), *self.excluded_inbound_ports)))


def _check_all_ports(settings: CaptureSettings) -> None:
    for option, port in (("--inbound-port", settings.inbound_port), ("--outbound-port", settings.outbound_port)):
        if not 1 <= port <= _HIGHEST_PORT:
            raise SettingsError(f"{option} {port} is outside 1 to {_HIGHEST_PORT}")
    if settings.inbound_port == settings.outbound_port:
        raise SettingsError("--inbound-port and --outbound-port are the same", "give each a port of its own")
    for text in settings.excluded_inbound_ports:
        _check_ports("--exclude-inbound-port", text)
    for text in settings.excluded_outbound_ports:
        _check_ports("--exclude-outbound-port", text)


def _check_range(text: str) -> None:
    try:
        ip_network(text, strict=False)
    except ValueError as error:
        raise SettingsError(
            f"--exclude-outbound-cidr {text!r} is no address and no CIDR block", "for example 10.0.0.0/8"
        ) from error


def _check_ports(option: str, text: str) -> None:
    found = _RANGE.match(text)
    if found:
        low, high = int(found[1]), int(found[2] or found[1])
        if 1 <= low <= high <= _HIGHEST_PORT:
            return
    raise SettingsError(f"{option} {text!r} is no port and no range of ports", "for example 22 or 8000-8100")
