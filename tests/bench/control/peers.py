"""The two control planes: how each is installed, and how its parts are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.control.objects import GATEWAY, SPACE, gateway
from tests.support.manifests import SEKISHO_API, Manifest, manifest

_FOLDER = Path(__file__).parent
_ROOT = _FOLDER.parents[2]


@dataclass(frozen=True)
class Peer:
    """Neither writes an access log."""

    name: str
    title: str
    install: Path
    """The command that installs it inside the cluster."""
    pods: str
    """The label that the pods of the Gateway have."""
    words: tuple[str, str]
    """The last part of the program's path, and a word of the controller's command."""
    gateway_words: tuple[str, str]
    manifests: tuple[Manifest, ...]
    """The Gateway, and what it refers to."""

    def is_controller(self, command: Sequence[str]) -> bool:
        return _runs(command, *self.words)

    def is_gateway(self, command: Sequence[str]) -> bool:
        return _runs(command, *self.gateway_words)


def _runs(command: Sequence[str], program: str, word: str) -> bool:
    """The program may be started by an interpreter, and the word must be an argument of its own."""
    return word in command and any(Path(part).name == program for part in command[:2])


def _with_parameters() -> tuple[Manifest, ...]:
    quiet = manifest(SEKISHO_API, "GatewayParameters", GATEWAY, SPACE, spec={"accessLog": False})
    edge = gateway("sekisho")
    edge["spec"]["infrastructure"] = {
        "parametersRef": {"group": "sekisho.dev", "kind": "GatewayParameters", "name": GATEWAY}
    }
    return quiet, edge


SEKISHO = Peer(
    name="sekisho",
    title="Sekisho",
    install=_ROOT / "conformance" / "install",
    pods=f"gateway.networking.k8s.io/gateway-name={GATEWAY}",
    words=("sekisho", "controller"),
    gateway_words=("sekisho", "gateway"),
    manifests=_with_parameters(),
)
ENVOY_GATEWAY = Peer(
    name="envoy-gateway",
    title="Envoy Gateway 1.9.1",
    install=_FOLDER / "install-envoy-gateway",
    pods=f"gateway.envoyproxy.io/owning-gateway-name={GATEWAY}",
    words=("envoy-gateway", "server"),
    gateway_words=("envoy", "--service-node"),
    manifests=(gateway("envoy"),),
)
PEERS = (SEKISHO, ENVOY_GATEWAY)
