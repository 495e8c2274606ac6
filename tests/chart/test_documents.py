"""The documentation is held to the chart: values with their defaults, and versions."""

from __future__ import annotations

import json
import re

from tests.chart.helm import CHART, ROOT, read_values

SECTION = (ROOT / "docs" / "kubernetes.md").read_text()
DEFAULTS = read_values(CHART / "values.yaml")


def value(path: str) -> object:
    found: object = DEFAULTS
    for name in path.split("."):
        assert isinstance(found, dict), path
        assert name in found, path
        found = found[name]
    return found


def test_every_value_of_the_table_exists_with_the_default_that_is_shown() -> None:
    rows = re.findall(r"^\| (`[a-z].*?) \| (.*?) \|", SECTION, re.MULTILINE)
    assert rows
    for named, shown in rows:
        paths, defaults = re.findall(r"`([^`]+)`", named), re.findall(r"`([^`]+)`", shown)
        found = [value(path) for path in paths]
        for default, actual in zip(defaults, found, strict=False):
            assert default == (actual if isinstance(actual, str) else json.dumps(actual)), named


def test_every_other_value_that_is_named_exists() -> None:
    groups = "|".join(DEFAULTS)
    for path in re.findall(rf"`((?:{groups})\.[A-Za-z.]+)`", SECTION):
        value(path)


def test_the_versions_are_those_of_the_chart() -> None:
    chart = (CHART / "Chart.yaml").read_text()
    assert re.search(r'kubeVersion: ">=1\.31\.0-0"', chart)
    assert "Kubernetes 1.31 or newer" in SECTION
    tested = (CHART / "templates" / "_helpers.tpl").read_text().partition('"sekisho.gatewayAPI" -}}\n')[2].split()[0]
    assert set(re.findall(r"v1\.\d+\.\d+", SECTION)) == {tested}
