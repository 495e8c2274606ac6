"""Settings of the controller's processes. Nothing here is read again after the start."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from gateway.config import GatewaySettings
from gateway.errors import SettingsError

DEFAULT_ADDRESS = "127.0.0.1"
_MAX_PORT_OFFSET = 65_534


@dataclass(frozen=True)
class TranslationSettings:
    """Where listeners are bound when everything runs in one process."""

    address: str = DEFAULT_ADDRESS
    """Bound where a Gateway asks for no address."""
    port_offset: int = 0
    """Added to every listener's port."""

    def __post_init__(self) -> None:
        try:
            ip_address(self.address)
        except ValueError as error:
            raise SettingsError(
                f"--address {self.address!r} is not an IP address", "for example 127.0.0.1, or 0.0.0.0 for every one"
            ) from error
        if not 0 <= self.port_offset <= _MAX_PORT_OFFSET:
            raise SettingsError(f"--port-offset {self.port_offset} is outside 0 to {_MAX_PORT_OFFSET}")


@dataclass(frozen=True)
class StandaloneSettings:
    """`sekisho up`: controller and gateway in one process."""

    paths: tuple[str, ...]
    """Manifest files and folders; ``-`` is the standard input."""
    translation: TranslationSettings
    gateway: GatewaySettings
