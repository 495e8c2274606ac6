"""The files that describe the project to tools agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from gateway.errors import EngineMissingError

ROOT = Path(__file__).parent.parent


def _names(lines: list[str]) -> set[str]:
    names = (re.match(r"[A-Za-z0-9._-]+", line.strip()) for line in lines)
    return {name.group().lower() for name in names if name and not name.group().startswith("-")}


def test_the_lock_files_start_from_the_dependencies_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = (ROOT / "requirements.in").read_text().splitlines()
    assert _names(listed) == _names(project["dependencies"])


def test_every_dependency_is_locked_with_hashes() -> None:
    for name in ("requirements", "requirements-dev"):
        locked = (ROOT / f"{name}.lock").read_text()
        pinned = set(re.findall(r"^([a-z0-9._-]+)==", locked, re.MULTILINE))
        assert _names((ROOT / f"{name}.in").read_text().splitlines()) <= pinned
        assert locked.count("--hash=sha256:") >= len(pinned)


def test_lock_files_name_no_place_to_download_from() -> None:
    for name in ("requirements", "requirements-dev"):
        locked = (ROOT / f"{name}.lock").read_text()
        assert "://" not in locked
        assert "--index-url" not in locked
        assert "--find-links" not in locked


def test_the_advice_where_the_engine_is_missing_names_what_builds_it_into_the_environment() -> None:
    makefile = (ROOT / "Makefile").read_text()
    advised = re.findall(r"'make (\w+)'", EngineMissingError("no such module").remedy)
    assert advised
    assert all(re.search(rf"^{target}: \$\(ENGINE\)", makefile, re.MULTILINE) for target in advised)


def test_the_package_index_is_shown_the_readme_and_the_licence() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (ROOT / project["readme"]).is_file()
    assert project["license"] in (ROOT / "README.md").read_text()
    assert all((ROOT / name).is_file() for name in project["license-files"])
