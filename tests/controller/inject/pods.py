"""Pods and settings for the tests of injection."""

from __future__ import annotations

from typing import Any

import yaml

from controller.inject import InjectionSettings

SETTINGS = InjectionSettings(image="registry.example/sekisho:1", controller_url="https://controller.example:15012")
CLASSIC = InjectionSettings(image="registry.example/sekisho:1", controller_url="https://c.example:1", native=False)


def pod(spec: str = "", metadata: str = "") -> dict[str, Any]:
    """A Pod with a container ``app``; ``spec`` and ``metadata`` are more fields, in YAML's flow style."""
    made: dict[str, Any] = yaml.safe_load(
        f"{{apiVersion: v1, kind: Pod, metadata: {{name: app, {metadata}}},"
        f" spec: {{containers: [{{name: app, image: app}}], {spec}}}}}"
    )
    return made


def named(containers: list[dict[str, Any]]) -> list[str]:
    """Names of containers or volumes."""
    return [one["name"] for one in containers]
