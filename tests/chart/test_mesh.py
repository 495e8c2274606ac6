"""The mesh in the chart: permissions, the webhook, and which pods it is asked about."""

from __future__ import annotations

from typing import Any

import pytest

from controller import cli
from controller.cluster.injection import PATH
from controller.inject.choice import INJECT, NAMESPACE_LABELS
from controller.kube.kinds import plural
from controller.resources import MESH_KINDS
from tests.chart.helm import NAMESPACE, Helm, Object
from tests.chart.test_permissions import OF_NO_NAMESPACE, expected, permissions

ON: dict[str, Any] = {"mesh": {"enabled": True}}
WITHOUT_WEBHOOK: dict[str, Any] = {"mesh": {"enabled": True, "injection": {"enabled": False}}}
NAME = f"sekisho-injector-{NAMESPACE}"


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """What an API server would say."""
    for term in selector["matchExpressions"]:
        value = labels.get(term["key"])
        holds = {
            "In": value in term.get("values", ()),
            "NotIn": value not in term.get("values", ()),
            "DoesNotExist": value is None,
        }
        if not holds[term["operator"]]:
            return False
    return True


def asked(configuration: Object, namespace: dict[str, str], pod: dict[str, str], name: str = "shop") -> int:
    """How many of the webhooks are asked about a pod."""
    labels = {"kubernetes.io/metadata.name": name, **namespace}
    return sum(
        selects(one["namespaceSelector"], labels) and selects(one["objectSelector"], pod)
        for one in configuration["webhooks"]
    )


def test_without_a_mesh_there_is_nothing_of_it(helm: Helm) -> None:
    rendered = helm.template()
    assert "MutatingWebhookConfiguration" not in rendered.kinds()
    parsed = cli._parser().parse_args(rendered.container()["args"])
    assert (parsed.mesh, parsed.injection) == (False, None)
    assert {port["name"] for port in rendered.container()["ports"]} == {"discovery", "health"}


def test_a_mesh_may_read_workloads_and_the_leader_its_own_webhook_alone(helm: Helm) -> None:
    mesh = {(type_.group, plural(type_.kind), verb, "") for type_ in MESH_KINDS for verb in ("list", "watch")}
    assert permissions([helm.template(WITHOUT_WEBHOOK).one("ClusterRole")]) == expected() | mesh
    group, resource = "admissionregistration.k8s.io", "mutatingwebhookconfigurations"
    webhook = {(group, resource, verb, NAME) for verb in ("get", "patch")}
    assert permissions([helm.template(ON).one("ClusterRole")]) == expected() | mesh | webhook


def test_with_watched_namespaces_workloads_are_read_there_alone(helm: Helm) -> None:
    rendered = helm.template({**ON, "watchNamespaces": ["shop"]})
    everywhere = {resource for _, resource, _, _ in permissions([rendered.one("ClusterRole")])}
    assert everywhere == OF_NO_NAMESPACE | {"mutatingwebhookconfigurations"}
    (role,) = (role for role in rendered.all("Role") if role["metadata"]["namespace"] == "shop")
    assert ("", "pods", "list", "") in permissions([role])


def test_the_webhook_is_where_the_controller_answers(helm: Helm) -> None:
    rendered = helm.template(ON)
    configuration, service = rendered.one("MutatingWebhookConfiguration"), rendered.one("Service")
    parsed = cli._parser().parse_args(rendered.container()["args"])
    assert configuration["metadata"]["name"] == parsed.injection_webhook == NAME
    ports = {port["name"]: port["containerPort"] for port in rendered.container()["ports"]}
    (port,) = (port for port in service["spec"]["ports"] if port["port"] == 443)
    assert parsed.injection == f"0.0.0.0:{ports[port['targetPort']]}"
    for webhook in configuration["webhooks"]:
        assert webhook["clientConfig"] == {
            "service": {"name": service["metadata"]["name"], "namespace": NAMESPACE, "path": PATH, "port": 443}
        }
        assert (webhook["failurePolicy"], webhook["sideEffects"]) == ("Fail", "None")
        assert webhook["rules"][0]["operations"] == ["CREATE"]


@pytest.mark.parametrize("label", NAMESPACE_LABELS.items(), ids=lambda item: item[0])
def test_pods_of_labelled_namespaces_are_asked_about_once_unless_they_refuse(
    helm: Helm, label: tuple[str, str]
) -> None:
    configuration = helm.template(ON).one("MutatingWebhookConfiguration")
    namespace = dict([label])
    assert asked(configuration, namespace, {}) == 1
    assert asked(configuration, namespace, {INJECT: "true"}) == 1
    assert asked(configuration, namespace, {INJECT: "false"}) == 0


def test_both_labels_are_one_question_and_a_refusal_wins(helm: Helm) -> None:
    configuration = helm.template(ON).one("MutatingWebhookConfiguration")
    both = {"sekisho.dev/injection": "enabled", "istio-injection": "enabled"}
    assert asked(configuration, both, {}) == 1
    assert asked(configuration, {**both, "sekisho.dev/injection": "disabled"}, {}) == 0
    assert asked(configuration, {**both, "istio-injection": "disabled"}, {}) == 0


def test_elsewhere_only_pods_that_ask_themselves_are(helm: Helm) -> None:
    configuration = helm.template(ON).one("MutatingWebhookConfiguration")
    assert asked(configuration, {}, {}) == 0
    assert asked(configuration, {}, {INJECT: "true"}) == 1
    assert asked(configuration, {"istio-injection": "disabled"}, {INJECT: "true"}) == 0


def test_the_cluster_and_the_controller_start_without_being_asked_about(helm: Helm) -> None:
    values = {"mesh": {"enabled": True, "injection": {"excludedNamespaces": ["legacy"]}}}
    configuration = helm.template(values).one("MutatingWebhookConfiguration")
    enabled = {"sekisho.dev/injection": "enabled"}
    for name in ("kube-system", "kube-node-lease", NAMESPACE, "legacy"):
        assert asked(configuration, enabled, {INJECT: "true"}, name) == 0


def test_istios_labels_can_be_left_to_istio(helm: Helm) -> None:
    values = {"mesh": {"enabled": True, "injection": {"istioLabels": False}}}
    configuration = helm.template(values).one("MutatingWebhookConfiguration")
    assert asked(configuration, {"istio-injection": "enabled"}, {}) == 0
    assert asked(configuration, {}, {INJECT: "true"}) == 0
    assert asked(configuration, {"sekisho.dev/injection": "enabled"}, {}) == 1


def test_waypoints_have_a_class_of_their_own(helm: Helm) -> None:
    classes = {one["metadata"]["name"]: one["spec"] for one in helm.template(ON).all("GatewayClass")}
    assert set(classes) == {"sekisho", "sekisho-waypoint"}
    assert len({spec["controllerName"] for spec in classes.values()}) == 1


def test_values_become_arguments(helm: Helm) -> None:
    values = {"mesh": {"enabled": True, "injection": {"nativeSidecars": False}}, "ca": {"certificateLifetime": "2h30m"}}
    parsed = cli._parser().parse_args(helm.template(values).container()["args"])
    assert (parsed.mesh, parsed.classic_sidecars, parsed.certificate_lifetime) == (True, True, "2h30m")


def test_the_network_policy_lets_sidecars_and_api_servers_in(helm: Helm) -> None:
    rules = helm.template({**ON, "networkPolicy": {"enabled": True}}).one("NetworkPolicy")["spec"]["ingress"]
    sidecars = {"matchLabels": {"security.istio.io/tlsMode": "istio"}}
    assert [one for rule in rules for one in rule.get("from", ()) if one.get("podSelector") == sidecars]
    assert {"ports": [{"port": "injection", "protocol": "TCP"}]} in rules


@pytest.mark.parametrize(
    "mesh",
    [{"enabled": "yes"}, {"injection": {"failurePolicy": "Sometimes"}}, {"injection": {"timeoutSeconds": 31}}],
)
def test_impossible_values_are_refused(helm: Helm, mesh: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="meet the specifications of the schema"):
        helm.template({"mesh": mesh})
