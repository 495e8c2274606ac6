"""The definitions of our own kinds in the chart: made from their types, upgraded with the chart, kept on uninstall."""

from __future__ import annotations

import yaml

from controller.definitions import files
from tests.chart.helm import CHART, Helm


def test_what_is_committed_is_what_the_types_say() -> None:
    stale = [str(path) for path, text in files(CHART) if not path.exists() or path.read_text() != text]
    assert not stale, f"run `make definitions`: {stale}"


def test_helm_upgrades_the_definitions_and_leaves_them_on_uninstall(helm: Helm) -> None:
    assert not (CHART / "crds").exists(), "helm never upgrades what is in crds/"
    definition = helm.template().one("CustomResourceDefinition")
    assert definition["metadata"]["name"] == "gatewayparameters.sekisho.dev"
    assert definition["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in helm.template({"crds": {"keep": False}}).one("CustomResourceDefinition")["metadata"]
    assert not helm.template({"crds": {"install": False}}).all("CustomResourceDefinition")


def test_rendering_changes_nothing_of_a_definition(helm: Helm) -> None:
    committed = next(text for path, text in files(CHART) if path.suffix == ".yaml")
    rendered = helm.template().one("CustomResourceDefinition")
    assert rendered["spec"] == yaml.safe_load(committed)["spec"]
