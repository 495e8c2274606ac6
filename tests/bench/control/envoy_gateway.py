"""Envoy Gateway's programs: built by Go, with the Envoy of a Python package, and told to the one-machine cluster."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bench.peers.envoy import envoy_program

VERSION = "v1.9.1"
_MODULE = "github.com/envoyproxy/gateway"


@dataclass(frozen=True)
class Programs:
    controller: Path
    charts: Path
    envoy: Path

    def environment(self) -> dict[str, str]:
        """What the command that installs it reads."""
        return {
            "ENVOY_GATEWAY": str(self.controller),
            "ENVOY_GATEWAY_CHARTS": str(self.charts),
            "ENVOY": str(self.envoy),
        }

    def images(self, folder: Path) -> Path:
        """The list of images for the cluster: the gateway's pod runs both programs."""
        both = [str(self.controller), str(self.envoy)]
        content = {
            "docker.io/envoyproxy/gateway": {"entrypoint": [str(self.controller)], "programs": both},
            "docker.io/envoyproxy/envoy": {"entrypoint": [str(self.envoy)], "programs": both},
        }
        file = folder / "images-envoy-gateway.json"
        file.write_text(json.dumps(content, indent=2) + "\n")
        return file


def programs(root: Path) -> Programs:
    """Build what is missing, which takes minutes the first time."""
    folder = root / ".state" / f"envoy-gateway-{VERSION}"
    controller = folder / "envoy-gateway"
    if not controller.is_file():
        print(f"building Envoy Gateway {VERSION}", flush=True)
        environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(folder)}
        subprocess.run(
            ["go", "install", f"{_MODULE}/cmd/envoy-gateway@{VERSION}"], env=environment, check=True, timeout=1800
        )
    modules = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    return Programs(controller, Path(modules) / f"{_MODULE}@{VERSION}" / "charts", envoy_program())
