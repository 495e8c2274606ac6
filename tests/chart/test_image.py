"""The Containerfile agrees with the project, as far as can be told without building it."""

from __future__ import annotations

import re
import subprocess
import tomllib

from tests.chart.helm import ROOT, Helm

CONTAINERFILE = (ROOT / "Containerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_what_is_copied_is_there_and_not_ignored() -> None:
    taken = {line[1:] for line in (ROOT / ".containerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.+)$", CONTAINERFILE, re.MULTILINE):
        copied |= set(line.split()[:-1])
    assert copied == taken
    assert not [name for name in copied if not (ROOT / name).exists()]


def test_maturin_is_taken_from_the_lock_file_with_its_hashes() -> None:
    expression = re.search(r"sed -n '(.+?)' requirements-dev\.lock", CONTAINERFILE)
    assert expression is not None
    lock = ROOT / "requirements-dev.lock"
    taken = subprocess.run(["sed", "-n", expression[1], lock], capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^([a-z-]+)==", taken, re.MULTILINE) == ["maturin"]
    assert "--hash=sha256:" in taken
    assert not taken.rstrip().endswith("\\")


def test_everything_that_is_installed_is_held_to_hashes_or_comes_from_the_first_stage() -> None:
    for line in re.findall(r"pip install (.+(?:\n.+)?)", CONTAINERFILE):
        assert "--require-hashes" in line or "--no-index" in line


def test_base_images_can_be_given_by_digest_and_are_of_one_release() -> None:
    images = dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", CONTAINERFILE, re.MULTILINE))
    bases = re.findall(r"^FROM (\S+)", CONTAINERFILE, re.MULTILINE)
    assert set(bases) == {f"${{{name}}}" for name in images}
    assert len({image.rpartition("-")[2] for image in images.values()}) == 1


def test_the_version_is_the_projects_and_the_python_one_that_it_supports() -> None:
    assert f"ARG VERSION={PROJECT['version']}\n" in CONTAINERFILE
    least = tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))
    used = re.search(r"python:(\d+)\.(\d+)-", CONTAINERFILE)
    assert used is not None
    assert (int(used[1]), int(used[2])) >= least


def test_the_image_runs_as_the_user_that_the_chart_names(helm: Helm) -> None:
    user = re.search(r"^USER (\d+):(\d+)$", CONTAINERFILE, re.MULTILINE)
    context = helm.template().one("Deployment")["spec"]["template"]["spec"]["securityContext"]
    assert user is not None
    assert (int(user[1]), int(user[2])) == (context["runAsUser"], context["runAsGroup"])


def test_the_command_of_the_pod_is_an_argument_of_the_image(helm: Helm) -> None:
    assert 'ENTRYPOINT ["sekisho"]' in CONTAINERFILE
    container = helm.template().container()
    assert "command" not in container
    assert container["args"][0] == "controller"
