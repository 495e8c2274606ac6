"""Helm, and what it makes of the chart.

Helm is built by ``make chart`` into ``.state/bin``; one that is on the PATH serves as well.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "helm" / "sekisho"
VALUE_SETS = sorted((Path(__file__).parent / "values").glob("*.yaml"))
"""Together they set every value of the chart."""
KUBERNETES = "1.37.2"
NAMESPACE = "sekisho-system"
SERVED = (
    "gateway.networking.k8s.io/v1",
    "gateway.networking.x-k8s.io/v1alpha1",
    "monitoring.coreos.com/v1",
    "sekisho.dev/v1alpha1",
)
"""API versions of a cluster that has everything the chart can ask for."""

Object = dict[str, Any]


class RefusedError(Exception):
    """Helm did not render; its message."""


@dataclass(frozen=True)
class Rendered:
    """The objects of one rendering."""

    objects: tuple[Object, ...]

    def all(self, kind: str) -> list[Object]:
        """The objects of a kind."""
        return [item for item in self.objects if item["kind"] == kind]

    def one(self, kind: str) -> Object:
        """The only object of a kind."""
        (found,) = self.all(kind)
        return found

    def container(self) -> Object:
        """The container of the controller."""
        (container,) = self.one("Deployment")["spec"]["template"]["spec"]["containers"]
        return dict(container)

    def kinds(self) -> set[str]:
        """Every kind that is rendered."""
        return {item["kind"] for item in self.objects}


@dataclass(frozen=True)
class Helm:
    """The ``helm`` command."""

    command: Path
    served: Sequence[str] = field(default=SERVED)

    def template(
        self, values: Mapping[str, Any] | None = None, *, release: str = "sekisho", served: Sequence[str] | None = None
    ) -> Rendered:
        """The chart with ``values`` (JSON alone, so that nothing is guessed of types)."""
        arguments = ["template", release, str(CHART), "--namespace", NAMESPACE, "--kube-version", KUBERNETES]
        for version in self.served if served is None else served:
            arguments += ["--api-versions", version]
        return Rendered(tuple(documents(self.run(*arguments, "--values", "-", stdin=json.dumps(values or {})))))

    def run(self, *arguments: str, stdin: str = "") -> str:
        """What one call prints."""
        done = subprocess.run(
            [str(self.command), *arguments], input=stdin, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            raise RefusedError(done.stderr)
        return done.stdout


def find_helm() -> Path | None:
    """Where helm is, if it is anywhere."""
    built = ROOT / ".state" / "bin" / "helm"
    found = str(built) if built.exists() else shutil.which("helm")
    return Path(found) if found else None


def documents(text: str) -> list[Object]:
    """The objects of a rendered text."""
    return [document for document in yaml.safe_load_all(text) if document]


def read_values(path: Path) -> Object:
    """A file of values."""
    return dict(yaml.safe_load(path.read_text()) or {})


def leaves(values: Object, prefix: str = "") -> dict[str, Any]:
    """Every value that is no mapping with something in it, by its path."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        found |= leaves(value, f"{path}.") if isinstance(value, dict) and value else {path: value}
    return found
