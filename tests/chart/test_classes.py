"""The classes that the chart makes, and what they refer to, as the controller understands it."""

from __future__ import annotations

from pathlib import Path

import yaml

from controller.offline import Offline
from controller.translate.implied_gateway import HTTP_PORT, HTTPS_PORT
from controller.translate.ingress_class import GATEWAY_NAME
from controller.translate.listeners import CERTIFICATES_OF_INGRESSES, CERTIFICATES_OPTION
from controller.translate.options import CLASS_NAME, CONTROLLER_NAME, INGRESS_CONTROLLER_NAME
from tests.chart.helm import NAMESPACE, Helm


def test_the_classes_name_the_controller(helm: Helm) -> None:
    rendered = helm.template()
    assert rendered.one("GatewayClass")["spec"]["controllerName"] == CONTROLLER_NAME
    assert rendered.one("GatewayClass")["metadata"]["name"] == CLASS_NAME
    assert rendered.one("IngressClass")["spec"]["controller"] == INGRESS_CONTROLLER_NAME
    assert "annotations" not in rendered.one("IngressClass")["metadata"]


def test_the_class_refers_to_the_parameters_that_the_chart_makes(helm: Helm) -> None:
    rendered = helm.template({"gatewayClass": {"name": "edge", "parameters": {"trustedHops": 1}}})
    reference = rendered.one("GatewayClass")["spec"]["parametersRef"]
    made = rendered.one("GatewayParameters")
    assert reference["name"] == made["metadata"]["name"]
    assert reference["namespace"] == made["metadata"]["namespace"] == NAMESPACE
    assert made["spec"] == {"trustedHops": 1}


def test_the_class_refers_to_parameters_of_somebody_else(helm: Helm) -> None:
    rendered = helm.template({"gatewayClass": {"parametersRef": {"name": "edge"}}})
    reference = rendered.one("GatewayClass")["spec"]["parametersRef"]
    assert reference == {"group": "sekisho.dev", "kind": "GatewayParameters", "name": "edge", "namespace": NAMESPACE}
    assert "GatewayParameters" not in rendered.kinds()


def test_the_gateway_of_ingresses_has_the_name_that_the_controller_looks_for(helm: Helm) -> None:
    gateway = helm.template({"ingressClass": {"gateway": {"create": True}}}).one("Gateway")
    assert (gateway["metadata"]["name"], gateway["metadata"]["namespace"]) == (GATEWAY_NAME, NAMESPACE)
    assert gateway["spec"]["gatewayClassName"] == CLASS_NAME
    assert [listener["port"] for listener in gateway["spec"]["listeners"]] == [HTTP_PORT, HTTPS_PORT]
    assert gateway["spec"]["listeners"][1]["tls"]["options"] == {CERTIFICATES_OPTION: CERTIFICATES_OF_INGRESSES}


def test_the_gateway_of_ingresses_may_have_a_certificate_for_all_other_hosts(helm: Helm) -> None:
    gateway = helm.template({"ingressClass": {"gateway": {"create": True, "tlsSecretName": "any"}}}).one("Gateway")
    tls = gateway["spec"]["listeners"][1]["tls"]
    assert (tls["certificateRefs"], tls.get("options")) == ([{"name": "any"}], None)


def test_the_class_of_ingresses_names_a_gateway_of_somebody_else(helm: Helm) -> None:
    rendered = helm.template({"ingressClass": {"gateway": {"name": "edge", "namespace": "bank"}}})
    assert rendered.one("IngressClass")["spec"]["parameters"] == {
        "apiGroup": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": "edge",
        "namespace": "bank",
        "scope": "Namespace",
    }
    assert "Gateway" not in rendered.kinds()


def test_what_the_chart_makes_of_classes_is_without_a_problem(helm: Helm, tmp_path: Path) -> None:
    rendered = helm.template(
        {"gatewayClass": {"parameters": {"trustedHops": 1}}, "ingressClass": {"gateway": {"create": True}}}
    )
    kinds = ("Gateway", "GatewayClass", "GatewayParameters", "IngressClass")
    text = yaml.safe_dump_all(item for kind in kinds for item in rendered.all(kind))
    (tmp_path / "chart.yaml").write_text(text)
    assert Offline([str(tmp_path)]).report().problems == ()
