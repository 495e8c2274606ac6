"""What the documents name is there: make targets and files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "tests/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
EGRESS = ROOT / "examples/egress/README.md"


def test_every_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"`make ([a-z0-9-]+)", document.read_text()))
        assert named <= targets, f"{document.name} names {named - targets}"


def test_every_test_that_a_promise_of_egress_names_exists() -> None:
    named = re.findall(r"`((?:[a-z_0-9]+/)*test_[a-z_0-9]+\.py)::([A-Za-z_0-9]+)`", EGRESS.read_text())
    assert len(named) > 25
    for file, name in named:
        path = ROOT / file if "/" in file else ROOT / "tests/e2e/egress" / file
        assert f"def {name}(" in path.read_text(), f"{file} has no {name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_is_named_exists(document: Path) -> None:
    named = re.findall(r"`((?:[a-z_0-9.-]+/)+[A-Za-z_0-9.-]+\.[a-z]+)`", document.read_text())
    missing = [name for name in named if not (ROOT / name).exists() and not (document.parent / name).exists()]
    assert not [name for name in missing if not name.startswith((".state/", "codec/", "proxy/"))], missing
