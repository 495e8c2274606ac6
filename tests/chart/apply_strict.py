"""The chart on a real API server: ``conformance/run cluster -- .venv/bin/python -m tests.chart.apply_strict``.

Installs it, has the server check every rendering strictly, compares what the server and the controller take of
GatewayParameters, upgrades, and uninstalls. Needs KUBECONFIG, kubectl, and the helm that ``make chart`` builds.
What a controller does once it runs is not looked at here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from controller.resources.parse import parse
from tests.chart.cluster import WrongError, kubectl, say, until
from tests.chart.helm import CHART, NAMESPACE, VALUE_SETS, Helm, Object, RefusedError, find_helm, read_values

NAMESPACES = (NAMESPACE, "shop", "bank", "settings", "monitoring")
DEFINITION = "gatewayparameters.sekisho.dev"
UNKNOWN_TO_THE_CLUSTER = {"ServiceMonitor"}
"""The Prometheus operator's; its definition is not here."""
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:sekisho-controller"

SPECS: tuple[dict[str, Any], ...] = (
    {},
    {"trustedHops": 2, "accessLog": False, "limits": {"maxConnections": 1, "streamIdleTimeout": "1m30s"}},
    {"trustedHops": -1},
    {"trustedHops": "2"},
    {"accessLog": "yes"},
    {"limits": {"maxConnections": 0}},
    {"limits": {"maxConnections": 2**31}},
    {"limits": {"streamIdleTimeout": "soon"}},
    {"limits": {"streamIdleTimeout": "1s\n"}},
    {"deployment": {"replicas": 2, "resources": {"requests": {"cpu": "500m", "memory": 1}}}},
    {"deployment": {"replicas": -1}},
    {"deployment": {"image": ""}},
    {"deployment": {"tolerations": [{"key": "edge", "operator": "Exists"}], "affinity": {"nodeAffinity": {}}}},
    {"deployment": {"podLabels": {"tier": "not a label"}}},
    {"deployment": {"env": [{"name": "ONE", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]}},
    {"service": {"type": "ClusterIP", "annotations": {"example.com/pool": "edge"}}},
    {"service": {"type": "ExternalName"}},
    {"podDisruptionBudget": {"minAvailable": 1}},
    {"podDisruptionBudget": {"maxUnavailable": "50%"}},
    {"autoscaling": {"minReplicas": 1, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50}},
    {"autoscaling": {"maxReplicas": 0}},
    {"egress": {"nameservers": ["10.0.0.53:53"], "records": {"files": {"persistentVolumeClaim": "audit"}}}},
    {"egress": {"nameservers": ["tls://[2001:db8::53]:853#dns.example.com"], "nameserverCAConfigMap": "dns"}},
    {"egress": {"nameservers": ["dns.example.com:53"]}},
    {"egress": {"records": {"files": {"maxBytes": 1}}}},
    {"egress": {"records": {"collector": {"url": "https://otel:4318", "clientCertificateSecret": "otel"}}}},
    {"egress": {"records": {"collector": {"url": "otel:4318"}}}},
    {"deployments": {}},
)
ALLOWED = (
    ("list", "secrets", "--all-namespaces"),
    ("patch", "httproutes.gateway.networking.k8s.io/status", "--namespace=shop"),
    ("create", "deployments.apps", "--namespace=shop"),
    ("create", "tokenreviews.authentication.k8s.io", ""),
    ("get", "secrets/sekisho-ca", f"--namespace={NAMESPACE}"),
    ("update", "leases.coordination.k8s.io/sekisho-controller", f"--namespace={NAMESPACE}"),
)
FORBIDDEN = (
    ("get", "secrets", "--namespace=shop"),
    ("create", "secrets", "--namespace=shop"),
    ("update", "gateways.gateway.networking.k8s.io", "--namespace=shop"),
    ("delete", "httproutes.gateway.networking.k8s.io", "--namespace=shop"),
    ("create", "pods", "--namespace=shop"),
    ("create", "pods/exec", "--namespace=shop"),
    ("create", "clusterrolebindings.rbac.authorization.k8s.io", ""),
    ("impersonate", "users", ""),
    ("update", "leases.coordination.k8s.io/other", f"--namespace={NAMESPACE}"),
    ("get", "secrets/other", f"--namespace={NAMESPACE}"),
)


def strictly(objects: Sequence[Object]) -> None:
    """Has the server check objects, unknown and repeated fields included, without keeping them."""
    text = yaml.safe_dump_all(objects)
    arguments = ("--server-side", "--force-conflicts", "--field-manager=strict", "--dry-run=server")
    kubectl("apply", *arguments, "--validate=strict", "--filename", "-", stdin=text)


def definition() -> Object:
    """The definition of GatewayParameters as it stands."""
    return dict(json.loads(kubectl("get", "crd", DEFINITION, "--output", "json")))


def install(helm: Helm, action: str, *arguments: str) -> str:
    """The release as it is asked for."""
    return helm.run(action, "sekisho", str(CHART), "--namespace", NAMESPACE, *arguments)


def check_installation(helm: Helm) -> None:
    """A first installation, whose class cannot have parameters yet."""
    try:
        install(helm, "install", "--set", "gatewayClass.parameters.trustedHops=1")
    except RefusedError as error:
        if "needs the definition of GatewayParameters" not in str(error):
            raise
    else:
        raise WrongError("parameters were taken without their definition")
    notes = install(helm, "install")
    if "WARNING" in notes or "kind: Gateway" not in notes:
        raise WrongError(f"the notes are not as expected:\n{notes}")

    def established() -> bool:
        conditions = definition().get("status", {}).get("conditions", ())
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

    until("the definition is established", established)
    false = [one for one in definition()["status"]["conditions"] if one["type"] == "NonStructuralSchema"]
    if false:
        raise WrongError(f"the definition's schema is not structural: {false}")


def check_renderings(helm: Helm) -> None:
    """Every set of values, strictly; first, that strictly means something."""
    misspelt = helm.template().one("Deployment")
    misspelt["spec"]["template"]["spec"]["containers"][0]["imagePullPolitics"] = "Always"
    try:
        strictly([misspelt])
    except WrongError as error:
        if "imagePullPolitics" not in str(error):
            raise
    else:
        raise WrongError("an unknown field was taken")
    for path in (None, *VALUE_SETS):
        objects = helm.template(read_values(path) if path else None).objects
        known = [item for item in objects if item["kind"] not in UNKNOWN_TO_THE_CLUSTER]
        strictly(known)
        left = f", {len(objects) - len(known)} of kinds unknown here left out" if len(known) < len(objects) else ""
        say(f"values {path.stem if path else 'defaults'}: {len(known)} objects pass strict validation{left}")


def check_pod_security(helm: Helm) -> None:
    """The namespace enforces the strictest standard there is, which looks at pods alone."""
    for path in (None, *VALUE_SETS):
        template = helm.template(read_values(path) if path else None).one("Deployment")["spec"]["template"]
        account = {"serviceAccountName": "default", "priorityClassName": ""}
        pod = {"metadata": {**template["metadata"], "name": "one"}, "spec": {**template["spec"], **account}}
        pod["metadata"]["namespace"] = NAMESPACE
        strictly([{"apiVersion": "v1", "kind": "Pod", **pod}])
    say("pods keep to the restricted Pod Security Standard")


def check_parameters() -> None:
    """What the controller takes, the server takes, and the other way round."""
    for spec in SPECS:
        document = {
            "apiVersion": "sekisho.dev/v1alpha1",
            "kind": "GatewayParameters",
            "metadata": {"name": "edge", "namespace": "shop"},
            "spec": spec,
        }
        result = parse(document)
        try:
            strictly([document])
        except WrongError as error:
            if result.resource is not None and not result.problems:
                raise WrongError(f"the server refuses what the controller takes: {spec}: {error}") from error
        else:
            if result.problems:
                raise WrongError(f"the server takes what the controller refuses: {spec}: {result.problems}")
    say(f"server and controller agree on {len(SPECS)} GatewayParameters")


def check_permissions() -> None:
    """What the account may do, as the server says."""
    for wanted, questions in (("yes", ALLOWED), ("no", FORBIDDEN)):
        for verb, resource, scope in questions:
            arguments = [verb, resource, f"--as={ACCOUNT}", *([scope] if scope else [])]
            if "/status" in resource or "/exec" in resource:
                kind, _, part = resource.partition("/")
                arguments[1:2] = [kind, f"--subresource={part}"]
            done = subprocess.run(
                ["kubectl", "auth", "can-i", *arguments], capture_output=True, text=True, timeout=60, check=False
            )
            if done.stdout.strip() != wanted:
                raise WrongError(f"may {verb} {resource} {scope}: {done.stdout.strip()}, not {wanted}: {done.stderr}")
    say(f"{len(ALLOWED)} permissions are there, {len(FORBIDDEN)} are not")


def check_upgrade(helm: Helm) -> None:
    """An upgrade brings definitions up to date, and the class gets its parameters."""
    older = definition()
    schema = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del schema["properties"]["trustedHops"]
    kubectl("replace", "--filename", "-", stdin=json.dumps(older))
    install(helm, "upgrade")
    spec = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    if "trustedHops" not in spec["properties"]:
        raise WrongError("the upgrade left an old definition")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        values = read_values(next(path for path in VALUE_SETS if path.stem == "cluster"))
        values["metrics"] = {"serviceMonitor": {"enabled": False}}
        values["fullnameOverride"] = ""
        values["nameOverride"] = ""
        file.write(json.dumps(values))
        file.flush()
        install(helm, "upgrade", "--values", file.name)
    reference = json.loads(kubectl("get", "gatewayclass", "checkpoint", "--output", "json"))["spec"]["parametersRef"]
    kubectl("get", "gatewayparameters", reference["name"], "--namespace", reference["namespace"])
    kubectl("get", "gwparams", "--all-namespaces")
    say("an upgrade brings the definition up to date and gives the class its parameters")


def check_removal(helm: Helm) -> None:
    """Definitions stay, also those of a release that was told otherwise in between."""
    install(helm, "upgrade", "--reset-values")
    helm.run("uninstall", "sekisho", "--namespace", NAMESPACE)
    definition()
    kinds = "deployment,service,serviceaccount,role,rolebinding,pdb"
    left = kubectl("get", kinds, "--namespace", NAMESPACE, "--selector", "app.kubernetes.io/instance=sekisho")
    left += kubectl(
        "get",
        "gatewayclass,ingressclass,clusterrole,clusterrolebinding",
        "--selector",
        "app.kubernetes.io/instance=sekisho",
    )
    if left.strip():
        raise WrongError(f"left behind:\n{left}")
    install(helm, "install")
    helm.run("uninstall", "sekisho", "--namespace", NAMESPACE)
    say("uninstalling leaves the definition alone, and a new installation takes it over")


def main() -> int:
    """All of it, in the order of a release's life."""
    command = find_helm()
    if command is None:
        say("helm is missing: run `make chart` first, which builds it")
        return 1
    helm = Helm(Path(command))
    try:
        for namespace in NAMESPACES:
            kubectl("create", "namespace", namespace)
        kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        check_installation(helm)
        check_renderings(helm)
        check_pod_security(helm)
        check_parameters()
        check_permissions()
        check_upgrade(helm)
        check_removal(helm)
    except (WrongError, RefusedError) as error:
        say(f"FAILED: {error}")
        return 1
    say("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
