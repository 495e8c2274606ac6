"""What a port of a Service carries, as a sidecar needs to know before the first byte, and where it leads in a workload.

Owns protocol selection: ``appProtocol``, then the port's name as Istio reads it (``http``, ``grpc-api``). A port that
says neither carries connections: a server may speak first there, and what is no HTTP must not be read as such.
"""

from __future__ import annotations

from typing import Final, Literal

from controller.resources import ServicePort
from controller.translate.workload import Sidecar

Carried = Literal["HTTP", "H2C", "TCP"]
"""HTTP of any version, HTTP/2 alone, or connections."""

_CARRIED: Final[dict[str, Carried]] = {
    "http": "HTTP",
    "ws": "HTTP",
    "h2c": "H2C",
    "http2": "H2C",
    "grpc": "H2C",
}
_STANDARD_PREFIX: Final = "kubernetes.io/"


def carried(port: ServicePort) -> Carried:
    """What goes through a TCP port of a Service."""
    if port.app_protocol:
        return _CARRIED.get(port.app_protocol.lower().removeprefix(_STANDARD_PREFIX), "TCP")
    return _CARRIED.get(port.name.partition("-")[0].lower(), "TCP")


def workload_port(sidecar: Sidecar, port: ServicePort) -> int | None:
    """The port of a workload that a Service's port leads to; None where the workload has none of that name."""
    names = sidecar.port_names
    if sidecar.machine and port.name in names:
        return names[port.name]
    if isinstance(port.target_port, str):
        return names.get(port.target_port)
    return port.target_port or port.port
