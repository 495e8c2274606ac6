"""The repository's examples, as objects."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.support.manifests import Manifest

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(path: str) -> list[Manifest]:
    """Every object of one file."""
    return [found for found in yaml.safe_load_all((EXAMPLES / path).read_text()) if found]
