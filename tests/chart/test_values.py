"""Values: each one has an effect, a misspelt or impossible one is refused before anything is changed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.helm import CHART, KUBERNETES, VALUE_SETS, Helm, RefusedError, leaves, read_values

DEFAULTS = read_values(CHART / "values.yaml")
OPEN = ("controller.podSecurityContext.", "controller.securityContext.", "controller.resources.")
"""Handed on to Kubernetes as they are."""


def nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


def test_the_value_sets_of_the_tests_set_every_value_to_something_else() -> None:
    defaults = leaves(DEFAULTS)
    changed = set()
    for path in VALUE_SETS:
        for name, value in leaves(read_values(path)).items():
            named = {default for default in defaults if f"{name}.".startswith(f"{default}.")}
            changed |= {default for default in named if value != defaults[default]}
    assert {path for path in set(defaults) - changed if not path.startswith(OPEN)} == set()


@pytest.mark.parametrize("path", VALUE_SETS, ids=lambda path: path.stem)
def test_every_value_set_renders_something_else_than_the_defaults(helm: Helm, path: Any) -> None:
    assert helm.template(read_values(path)).objects != helm.template().objects


@pytest.mark.parametrize("path", VALUE_SETS, ids=lambda path: path.stem)
def test_every_value_set_passes_the_lint(helm: Helm, path: Any) -> None:
    without_check = ("--set", "prerequisites.check=false")
    helm.run("lint", "--strict", "--kube-version", KUBERNETES, "--values", str(path), *without_check, str(CHART))


def test_the_schema_knows_exactly_the_values_that_there_are(helm: Helm) -> None:
    for path in leaves(DEFAULTS):
        parent, _, name = path.rpartition(".")
        misspelt = f"{parent}.{name}x".lstrip(".")
        if path.startswith(OPEN):
            continue
        with pytest.raises(RefusedError, match="meet the specifications of the schema"):
            helm.template(nested(misspelt, "x"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("replicas", 2),
        ("controller.replicas", "2"),
        ("controller.replicas", -1),
        ("controller.logLevel", "verbose"),
        ("controller.extraArgs", "--one"),
        ("controller.extraEnv", [{"value": "nameless"}]),
        ("controller.podLabels", {"tier": "not a label"}),
        ("controller.podAnnotations", {"on": True}),
        ("controller.resources.limits", {"cpu": {}}),
        ("controller.resources.limit", {"cpu": 1}),
        ("controller.podDisruptionBudget.minAvailable", "half"),
        ("image.pullPolicy", "Sometimes"),
        ("image.digest", "sha256:short"),
        ("image.tag", 1.2),
        ("image.repository", ""),
        ("imagePullSecrets", ["registry"]),
        ("trustDomain", "Not A Domain"),
        ("watchNamespaces", ["Shop"]),
        ("watchNamespaces", ["shop", "shop"]),
        ("serviceAccount.create", "yes"),
        ("gatewayClass.name", "Upper"),
        ("gatewayClass.description", "x" * 65),
        ("gatewayClass.parameters", {"trustedHop": 1}),
        ("gatewayClass.parameters", {"trustedHops": "one"}),
        ("gatewayClass.parameters", {"limits": {"streamIdleTimeout": "soon"}}),
        ("gatewayClass.parameters", {"deployment": {"replica": 2}}),
        ("metrics.serviceMonitor.interval", "often"),
        ("networkPolicy.metricsFrom", {}),
    ],
    ids=lambda item: item if isinstance(item, str) else None,
)
def test_an_unknown_or_impossible_value_is_refused(helm: Helm, path: str, value: Any) -> None:
    with pytest.raises(RefusedError, match="meet the specifications of the schema"):
        helm.template(nested(path, value))


def test_a_chart_above_this_one_may_share_its_values(helm: Helm) -> None:
    assert helm.template({"global": {"imageRegistry": "registry.example.com"}}).objects == helm.template().objects


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gatewayClass": {"parameters": {"trustedHops": 1}, "parametersRef": {"name": "edge"}}}, "exclude each other"),
        ({"controller": {"podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": 0}}}, "exclude each other"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name is needed"),
    ],
)
def test_values_that_contradict_each_other_are_refused(helm: Helm, values: dict[str, Any], message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        helm.template(values)
