"""What the cluster has to have: asked for before anything is changed, and said with the command to run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.helm import CHART, ROOT, SERVED, Helm, RefusedError


def without(version: str) -> tuple[str, ...]:
    return tuple(item for item in SERVED if item != version)


def test_a_cluster_without_the_gateway_api_is_told_how_to_install_it(helm: Helm) -> None:
    with pytest.raises(
        RefusedError, match=r"kubectl apply --server-side -f https://\S+/v1\.6\.3/standard-install\.yaml"
    ):
        helm.template(served=without("gateway.networking.k8s.io/v1"))


@pytest.mark.parametrize(
    ("values", "version"),
    [
        ({"gatewayClass": {"parameters": {"trustedHops": 1}}}, "sekisho.dev/v1alpha1"),
        ({"metrics": {"serviceMonitor": {"enabled": True}}}, "monitoring.coreos.com/v1"),
    ],
)
def test_values_that_need_a_definition_ask_for_it(helm: Helm, values: dict[str, Any], version: str) -> None:
    with pytest.raises(RefusedError, match=f"--api-versions {version}"):
        helm.template(values, served=without(version))
    assert helm.template(values).objects


def test_the_check_can_be_left_out(helm: Helm) -> None:
    values: dict[str, Any] = {"gatewayClass": {"parameters": {"trustedHops": 1}}}
    asked = helm.template(values).objects
    assert helm.template({**values, "prerequisites": {"check": False}}, served=()).objects == asked


def test_the_version_that_is_named_is_the_one_that_the_conformance_suite_requires() -> None:
    required = (ROOT / "conformance" / "suite" / "go.mod").read_text()
    named = (CHART / "templates" / "_helpers.tpl").read_text().partition('"sekisho.gatewayAPI" -}}\n')[2].split()[0]
    assert f"sigs.k8s.io/gateway-api {named}\n" in required.replace(" // indirect", "")
