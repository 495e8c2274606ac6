"""Runs h2spec against the gateway, over h2c and over TLS, and prints how many of its cases passed.

Run as ``python -m tests.e2e.h2spec``. A failing case is accepted only when ``h2spec-exceptions.md``
names it and says why; an exception that no longer fails is an error too.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from tests.support.backends.http1 import Http1Backend
from tests.support.edge import Edge, open_edge
from tests.support.manifests import backend, http_route, rule

HERE = Path(__file__).parent
MODULE = HERE / "h2spec_module"
EXCEPTIONS = HERE / "h2spec-exceptions.md"
PROGRAM = "github.com/summerwind/h2spec/cmd/h2spec"
SECTIONS = ("generic", "http2")
RUN_SECONDS = 600


@dataclass(frozen=True)
class Report:
    """What h2spec counted; ``failed`` maps a case's name to what was wrong."""

    passed: int
    skipped: int
    failed: dict[str, str]

    @property
    def total(self) -> int:
        return self.passed + self.skipped + len(self.failed)


def build(directory: Path) -> Path:
    """Compile the pinned h2spec."""
    program = directory / "h2spec"
    subprocess.run(["go", "build", "-C", MODULE, "-mod=readonly", "-o", program, PROGRAM], check=True)
    return program


def run(program: Path, port: int, directory: Path, *, tls: bool) -> Report:
    """Run the sections once."""
    junit = directory / f"{'tls' if tls else 'h2c'}.xml"
    command: list[str | Path] = [program, *SECTIONS, "--host", "127.0.0.1", "--port", str(port), "--timeout", "2"]
    command += ["--junit-report", junit, "--path", "/h2spec"]
    if tls:
        command += ["--tls", "--insecure"]
    subprocess.run(command, check=False, timeout=RUN_SECONDS, stdout=subprocess.DEVNULL)
    return read_report(junit)


def read_report(junit: Path) -> Report:
    passed = skipped = 0
    failed = {}
    for case in ET.parse(junit).getroot().iter("testcase"):
        name = f"{case.get('package')}: {case.get('classname')}"
        problem = case.find("failure") if case.find("failure") is not None else case.find("error")
        if problem is not None:
            failed[name] = " ".join((problem.text or "").split())
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return Report(passed, skipped, failed)


def exceptions() -> set[str]:
    """Names of the cases that the exceptions file explains: its second-level headings."""
    return set(re.findall(r"^## (.+)$", EXCEPTIONS.read_text(), re.MULTILINE))


def check(edge: Edge, program: Path, directory: Path) -> bool:
    """Run both transports and print; whether everything is passed or explained."""
    explained = exceptions()
    unexplained = False
    seen: set[str] = set()
    for tls in (False, True):
        report = run(program, edge.https_port if tls else edge.port, directory, tls=tls)
        seen |= set(report.failed)
        print(
            f"h2spec {'TLS' if tls else 'h2c'}: {report.total} cases in {' and '.join(SECTIONS)}, "
            f"{report.passed} passed, {report.skipped} skipped, {len(report.failed)} failed"
        )
        for name, problem in report.failed.items():
            print(f"  {'explained' if name in explained else 'FAILED'}  {name}\n    {problem}")
        unexplained |= bool(set(report.failed) - explained) or report.total == 0
    for name in sorted(explained - seen):
        print(f"  {EXCEPTIONS.name} explains a case that passes: {name}")
    return not unexplained and explained <= seen


def main() -> int:
    with tempfile.TemporaryDirectory() as name, Http1Backend() as origin:
        directory = Path(name)
        program = build(directory)
        manifests = [*backend("origin", origin.port), http_route("all", rule("origin"))]
        with open_edge(directory / "edge", manifests) as edge:
            return 0 if check(edge, program, directory) else 1


if __name__ == "__main__":
    sys.exit(main())
