"""What the chart lets the controller do: what its code calls, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controller.kube.authority_secret import SECRET_NAME
from controller.kube.join_token_secret import SECRET_NAME as JOIN_TOKENS
from controller.kube.kinds import plural
from controller.kube.lease import LeaseSettings
from controller.resources import KINDS, Resource
from tests.chart.helm import NAMESPACE, Helm, Object, Rendered

Permission = tuple[str, str, str, str]
"""Group, resource, verb, and the name it is bound to or ""."""

WITH_STATUS = {
    "BackendTLSPolicy",
    "EgressPolicy",
    "GRPCRoute",
    "Gateway",
    "GatewayClass",
    "HTTPRoute",
    "Ingress",
    "ListenerSet",
    "TCPRoute",
    "TLSRoute",
    "UDPRoute",
    "XBackend",
}
PROVISIONED = {
    ("", "configmaps"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("apps", "deployments"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("policy", "poddisruptionbudgets"),
}
OF_NO_NAMESPACE = {"gatewayclasses", "gatewayclasses/status", "ingressclasses", "namespaces", "tokenreviews", "events"}


def permissions(roles: Iterable[Object]) -> set[Permission]:
    found: set[Permission] = set()
    for role in roles:
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for verb in rule["verbs"]:
                        found |= {(group, resource, verb, name) for name in rule.get("resourceNames", [""])}
    return found


def own_role(rendered: Rendered) -> Object:
    (role,) = (role for role in rendered.all("Role") if role["metadata"]["namespace"] == NAMESPACE)
    return role


def watched(type_: type[Resource]) -> set[Permission]:
    verbs = {"list", "watch"} | ({"get"} if type_.kind in WITH_STATUS else set())
    found = {(type_.group, plural(type_.kind), verb, "") for verb in verbs}
    if type_.kind in WITH_STATUS:
        found.add((type_.group, f"{plural(type_.kind)}/status", "patch", ""))
    return found


def expected() -> set[Permission]:
    found = {permission for type_ in KINDS for permission in watched(type_)}
    for group, resource in PROVISIONED:
        found |= {(group, resource, verb, "") for verb in ("create", "delete", "get", "list", "patch", "watch")}
    found |= {("", "events", "create", ""), ("", "events", "patch", "")}
    found |= {("authentication.k8s.io", "tokenreviews", "create", "")}
    return found | {("gateway.networking.k8s.io", "gateways/finalizers", "update", "")}


def test_in_all_namespaces_the_controller_may_do_exactly_what_it_calls(helm: Helm) -> None:
    assert permissions([helm.template().one("ClusterRole")]) == expected()


def test_secrets_of_others_are_neither_written_nor_read_one_by_one(helm: Helm) -> None:
    verbs = {
        verb for group, resource, verb, _ in permissions([helm.template().one("ClusterRole")]) if resource == "secrets"
    }
    assert verbs == {"list", "watch"}


def test_in_its_own_namespace_the_controller_has_its_lease_and_its_authority(helm: Helm) -> None:
    lease = LeaseSettings(namespace=NAMESPACE, identity="").name
    assert permissions([own_role(helm.template())]) == {
        ("coordination.k8s.io", "leases", "create", ""),
        ("coordination.k8s.io", "leases", "get", lease),
        ("coordination.k8s.io", "leases", "update", lease),
        ("", "secrets", "create", ""),
        ("", "secrets", "get", SECRET_NAME),
        ("", "secrets", "get", JOIN_TOKENS),
        ("", "secrets", "update", JOIN_TOKENS),
    }


def test_no_rule_has_a_wildcard(helm: Helm) -> None:
    rendered = helm.template({"watchNamespaces": ["shop"]})
    for role in (*rendered.all("Role"), *rendered.all("ClusterRole"), *helm.template().all("ClusterRole")):
        assert not [rule for rule in role["rules"] if "*" in str(rule)]


def test_with_watched_namespaces_each_has_a_role_and_the_cluster_role_holds_the_rest(helm: Helm) -> None:
    rendered = helm.template({"watchNamespaces": ["shop", "bank"]})
    everywhere = permissions([rendered.one("ClusterRole")])
    assert {resource for _, resource, _, _ in everywhere} == OF_NO_NAMESPACE
    for namespace in ("shop", "bank"):
        (role,) = (role for role in rendered.all("Role") if role["metadata"]["namespace"] == namespace)
        assert permissions([role]) == expected() - everywhere
    assert {binding["metadata"]["namespace"] for binding in rendered.all("RoleBinding")} == {"shop", "bank", NAMESPACE}


def test_the_namespace_of_the_class_parameters_is_watched_as_well(helm: Helm) -> None:
    values: dict[str, Any] = {"watchNamespaces": ["shop"], "gatewayClass": {"parameters": {"trustedHops": 1}}}
    rendered = helm.template(values)
    assert f"--watch-namespace={NAMESPACE}" in rendered.container()["args"]
    values["gatewayClass"] = {"parametersRef": {"name": "edge", "namespace": "settings"}}
    rendered = helm.template(values)
    assert "--watch-namespace=settings" in rendered.container()["args"]
    assert "settings" in {role["metadata"]["namespace"] for role in rendered.all("Role")}


def test_the_namespace_of_the_gateway_of_ingresses_is_watched_as_well(helm: Helm) -> None:
    values: dict[str, Any] = {"watchNamespaces": ["shop"], "ingressClass": {"gateway": {"create": True}}}
    assert f"--watch-namespace={NAMESPACE}" in helm.template(values).container()["args"]
    values["ingressClass"] = {"gateway": {"name": "edge", "namespace": "bank"}}
    assert "--watch-namespace=bank" in helm.template(values).container()["args"]


def test_every_role_is_given_to_the_account_of_the_controller(helm: Helm) -> None:
    rendered = helm.template({"watchNamespaces": ["shop"], "serviceAccount": {"name": "somebody"}})
    account = {"kind": "ServiceAccount", "name": "somebody", "namespace": NAMESPACE}
    roles = {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in rendered.objects}
    for binding in (*rendered.all("RoleBinding"), rendered.one("ClusterRoleBinding")):
        assert binding["subjects"] == [account]
        assert (binding["roleRef"]["kind"], binding["metadata"].get("namespace"), binding["roleRef"]["name"]) in roles
    assert rendered.one("Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "somebody"


def test_without_rbac_there_are_no_permissions(helm: Helm) -> None:
    kinds = helm.template({"rbac": {"create": False}}).kinds()
    assert not [kind for kind in kinds if kind.endswith(("Role", "RoleBinding"))]
