"""The definitions of our own kinds in the chart: made from their types, upgraded with the chart, kept on uninstall."""

from __future__ import annotations

import yaml

from controller.definitions import files
from tests.chart.helm import CHART, Helm


def test_what_is_committed_is_what_the_types_say() -> None:
    stale = [str(path) for path, text in files(CHART) if not path.exists() or path.read_text() != text]
    assert not stale, f"run `make definitions`: {stale}"


OWN = (
    "gatewayparameters.sekisho.dev",
    "egresspolicies.sekisho.dev",
    "externalauthorizationproviders.sekisho.dev",
    "credentialinjections.sekisho.dev",
)


def test_helm_upgrades_the_definitions_and_leaves_them_on_uninstall(helm: Helm) -> None:
    assert not (CHART / "crds").exists(), "helm never upgrades what is in crds/"
    definitions = helm.template().all("CustomResourceDefinition")
    assert sorted(item["metadata"]["name"] for item in definitions) == sorted(OWN)
    for item in definitions:
        assert item["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    for item in helm.template({"crds": {"keep": False}}).all("CustomResourceDefinition"):
        assert "annotations" not in item["metadata"]
    assert not helm.template({"crds": {"install": False}}).all("CustomResourceDefinition")


def test_rendering_changes_nothing_of_a_definition(helm: Helm) -> None:
    committed = [yaml.safe_load(text) for path, text in files(CHART) if path.suffix == ".yaml"]
    rendered = helm.template().all("CustomResourceDefinition")
    specs = {item["metadata"]["name"]: item["spec"] for item in rendered}
    assert specs == {item["metadata"]["name"]: item["spec"] for item in committed}
    assert len(rendered) == len(committed)
