"""Writes the definitions of Sekisho's own kinds into the Helm chart: ``python -m controller.definitions CHART``.

Owns the two files that are made from the types in ``controller/resources``, never edited by hand: the definitions
themselves, and the part of the chart's schema that speaks of GatewayParameters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from controller.resources.definition import OWN_KINDS, closed, definition, spec_schema
from controller.resources.gateway_parameters import GatewayParameters

PARAMETERS_SCHEMA = "gatewayParameters"
"""Where the chart's schema of values holds the schema of ``GatewayParameters.spec``."""

_WIDTH = 120


def files(chart: Path) -> Iterator[tuple[Path, str]]:
    """The files of the chart that are generated, with what has to be in them."""
    for type_ in OWN_KINDS:
        made = definition(type_)
        text = yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=_WIDTH)
        yield chart / "files" / "crds" / f"{made['metadata']['name']}.yaml", text
    path = chart / "values.schema.json"
    schema = json.loads(path.read_text())
    schema["$defs"][PARAMETERS_SCHEMA] = closed(spec_schema(GatewayParameters))
    yield path, json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Writes what differs, and names it."""
    for path, text in files(Path(sys.argv[1])):
        if path.exists() and path.read_text() == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        sys.stdout.write(f"wrote {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
