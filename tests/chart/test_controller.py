"""The controller as the chart starts it."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import yaml

from controller import cli
from tests.chart.helm import CHART, NAMESPACE, ROOT, VALUE_SETS, Helm, Rendered, read_values

SELECTOR = {
    "app.kubernetes.io/name": "sekisho",
    "app.kubernetes.io/instance": "sekisho",
    "app.kubernetes.io/component": "controller",
}


def pod(rendered: Rendered) -> dict[str, Any]:
    return dict(rendered.one("Deployment")["spec"]["template"]["spec"])


def test_the_chart_has_the_version_of_the_project() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_names_do_not_follow_the_release_where_gateways_look_for_them(helm: Helm) -> None:
    for rendered in (helm.template(), helm.template(release="other"), helm.template({"fullnameOverride": "other"})):
        assert rendered.one("Service")["metadata"]["name"] == "sekisho-controller"
    assert helm.template().one("Deployment")["metadata"]["name"] == "sekisho-controller"
    assert helm.template(release="other").one("Deployment")["metadata"]["name"] == "other-sekisho-controller"


@pytest.mark.parametrize("path", [None, *VALUE_SETS], ids=lambda path: path.stem if path else "defaults")
def test_the_command_understands_its_arguments(helm: Helm, path: Any) -> None:
    arguments = helm.template(read_values(path) if path else None).container()["args"]
    parsed = cli._parser().parse_args(arguments)
    assert parsed.namespace == NAMESPACE
    assert parsed.gateway_image in arguments[2]


def test_values_become_arguments(helm: Helm) -> None:
    values = {
        "trustDomain": "mesh.example.com",
        "watchNamespaces": ["shop", "bank"],
        "controller": {"logLevel": "debug", "extraArgs": ["--admin=127.0.0.1:9902"]},
    }
    parsed = cli._parser().parse_args(helm.template(values).container()["args"])
    assert (parsed.trust_domain, parsed.log_level) == ("mesh.example.com", "debug")
    assert parsed.watched_namespaces == ["shop", "bank"]
    assert parsed.admin == "127.0.0.1:9902"


def test_the_pod_has_no_privilege(helm: Helm) -> None:
    spec = pod(helm.template())
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert spec["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}]


def test_the_service_finds_the_pod_and_its_ports(helm: Helm) -> None:
    rendered = helm.template({"controller": {"podLabels": {"app.kubernetes.io/name": "other", "tier": "edge"}}})
    deployment, service = rendered.one("Deployment"), rendered.one("Service")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"] == SELECTOR
    assert labels.items() >= {**SELECTOR, "tier": "edge"}.items()
    ports = {port["name"]: port["containerPort"] for port in rendered.container()["ports"]}
    assert {port["port"]: ports[port["targetPort"]] for port in service["spec"]["ports"]} == {
        15012: 15012,
        15021: 15021,
    }


def test_probes_ask_the_port_that_the_controller_answers_on(helm: Helm) -> None:
    container = helm.template().container()
    paths = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {probe["port"] for probe in paths.values()} == {"health"}
    assert paths["liveness"]["path"] == "/healthz/live"
    assert paths["readiness"]["path"] == "/healthz/ready"
    assert "--health=0.0.0.0:15021" in container["args"]


def test_gateways_are_pulled_as_the_values_say(helm: Helm) -> None:
    def parsed(values: dict[str, Any]) -> tuple[str, list[str]]:
        arguments = cli._parser().parse_args(helm.template(values).container()["args"])
        return arguments.gateway_image_pull_policy, arguments.gateway_image_pull_secrets

    assert parsed({}) == ("IfNotPresent", [])
    assert parsed({"image": {"pullPolicy": "Never"}}) == ("Never", [])
    gateway = {"image": {"pullPolicy": "Always"}, "imagePullSecrets": [{"name": "one"}, {"name": "two"}]}
    assert parsed({"image": {"pullPolicy": "Never"}, "gateway": gateway}) == ("Always", ["one", "two"])


@pytest.mark.parametrize(
    ("image", "gateway", "expected"),
    [
        ({}, {}, ("localhost/sekisho:0.1.0", "localhost/sekisho:0.1.0")),
        ({"registry": ""}, {}, ("sekisho:0.1.0", "sekisho:0.1.0")),
        ({"tag": "edge"}, {}, ("localhost/sekisho:edge", "localhost/sekisho:edge")),
        ({"tag": "edge"}, {"tag": "old"}, ("localhost/sekisho:edge", "localhost/sekisho:old")),
        ({"digest": f"sha256:{'0' * 64}"}, {}, (f"localhost/sekisho@sha256:{'0' * 64}",) * 2),
        (
            {"digest": f"sha256:{'0' * 64}"},
            {"repository": "edge"},
            (f"localhost/sekisho@sha256:{'0' * 64}", "localhost/edge:0.1.0"),
        ),
        (
            {"registry": "registry.example.com", "repository": "a/b"},
            {"registry": "mirror.example.com"},
            ("registry.example.com/a/b:0.1.0", "mirror.example.com/a/b:0.1.0"),
        ),
    ],
)
def test_images_are_put_together_from_their_parts(
    helm: Helm, image: dict[str, str], gateway: dict[str, str], expected: tuple[str, str]
) -> None:
    container = helm.template({"image": image, "gateway": {"image": gateway}}).container()
    assert container["image"] == expected[0]
    assert f"--gateway-image={expected[1]}" in container["args"]


def test_a_budget_never_holds_up_the_drain_of_a_node_unless_asked_to(helm: Helm) -> None:
    assert helm.template().one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    asked = helm.template({"controller": {"podDisruptionBudget": {"minAvailable": "50%"}}})
    spec = asked.one("PodDisruptionBudget")["spec"]
    assert (spec["minAvailable"], spec.get("maxUnavailable")) == ("50%", None)


def test_the_network_policy_lets_gateways_and_replicas_to_discovery(helm: Helm) -> None:
    rendered = helm.template({"networkPolicy": {"enabled": True}})
    policy = rendered.one("NetworkPolicy")["spec"]
    discovery, metrics = policy["ingress"]
    assert policy["podSelector"]["matchLabels"] == SELECTOR
    assert discovery["ports"] == [{"port": "discovery", "protocol": "TCP"}]
    gateways, replicas = discovery["from"]
    assert gateways == {
        "namespaceSelector": {},
        "podSelector": {"matchLabels": {"app.kubernetes.io/managed-by": "sekisho-controller"}},
    }
    assert replicas == {"podSelector": {"matchLabels": SELECTOR}}
    assert "from" not in metrics


def test_the_service_monitor_scrapes_a_port_of_the_service(helm: Helm) -> None:
    rendered = helm.template({"metrics": {"serviceMonitor": {"enabled": True}}})
    monitor = rendered.one("ServiceMonitor")["spec"]
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in rendered.one("Service")["spec"]["ports"]}
    assert monitor["selector"]["matchLabels"].items() <= rendered.one("Service")["metadata"]["labels"].items()
    assert monitor["namespaceSelector"] == {"matchNames": [NAMESPACE]}


def test_every_object_is_labelled_and_in_the_namespace_it_belongs_to(helm: Helm) -> None:
    for path in VALUE_SETS:
        values = read_values(path)
        for item in helm.template(values).objects:
            labels = item["metadata"]["labels"]
            assert labels["app.kubernetes.io/managed-by"] == "Helm"
            assert labels.items() >= values.get("commonLabels", {}).items()
