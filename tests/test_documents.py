"""What the documents show works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.backends.http1 import Http1Backend
from tests.support.edge import Edge
from tests.support.ports import free_port
from tests.support.sekisho import Sekisho, run_sekisho

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "tests/README.md")]
MANIFESTS = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_manifests_of_the_readme_pass_the_check(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text(MANIFESTS[0])
    done = run_sekisho("check", "-f", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_manifests_of_the_readme_serve(tmp_path: Path) -> None:
    port = free_port()
    with Http1Backend("app") as app:
        text = MANIFESTS[0].replace("8080", str(port)).replace("3000", str(app.port))
        with Sekisho(tmp_path, text) as sekisho:
            assert Edge(sekisho, port, 0).curl("http://anything.example.com/").report.backend == "app"


def test_every_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"`make ([a-z0-9-]+)", document.read_text()))
        assert named <= targets, f"{document.name} names {named - targets}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_is_named_exists(document: Path) -> None:
    named = re.findall(r"`((?:[a-z_0-9.-]+/)+[A-Za-z_0-9.-]+\.[a-z]+)`", document.read_text())
    missing = [name for name in named if not (ROOT / name).exists() and not (document.parent / name).exists()]
    assert not [name for name in missing if not name.startswith((".state/", "codec/", "proxy/"))], missing
