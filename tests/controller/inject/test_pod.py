"""Sidecars in pods: what is added, how it can be taken out, and what is left alone."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from controller.inject import InjectionSettings, injected, without_sidecar
from gateway.routing_table.discovery import AUDIENCE
from tests.controller.inject.pods import CLASSIC, SETTINGS, named, pod

RICH = pod(
    "initContainers: [{name: migrate, image: m}, {name: cache, image: c, restartPolicy: Always,"
    " readinessProbe: {httpGet: {path: /up, port: 7000}}}], volumes: [{name: data, emptyDir: {}}]",
    "labels: {app: shop}, annotations: {note: kept}",
)


def container(made: dict[str, Any], name: str) -> dict[str, Any]:
    spec = made["spec"]
    (found,) = (one for one in [*spec.get("initContainers", []), *spec["containers"]] if one["name"] == name)
    return dict(found)


def test_a_native_sidecar_is_there_before_the_workload_and_its_init_containers() -> None:
    made = injected(RICH, SETTINGS)
    assert named(made["spec"]["initContainers"]) == ["sekisho-init", "sekisho-proxy", "migrate", "cache"]
    assert named(made["spec"]["containers"]) == ["app"]
    assert container(made, "sekisho-proxy")["restartPolicy"] == "Always"
    assert "restartPolicy" not in container(made, "sekisho-init")


def test_a_classic_sidecar_is_the_first_container_and_traffic_is_redirected_last() -> None:
    made = injected(RICH, CLASSIC)
    assert named(made["spec"]["initContainers"]) == ["migrate", "cache", "sekisho-init"]
    assert named(made["spec"]["containers"]) == ["sekisho-proxy", "app"]
    assert "restartPolicy" not in container(made, "sekisho-proxy")


def test_the_pod_says_that_it_is_in_the_mesh_and_what_was_added() -> None:
    metadata = injected(RICH, SETTINGS)["metadata"]
    assert metadata["labels"] == {"app": "shop", "security.istio.io/tlsMode": "istio"}
    assert metadata["annotations"]["note"] == "kept"
    status = json.loads(metadata["annotations"]["sidecar.istio.io/status"])
    assert status["initContainers"] == ["sekisho-init", "sekisho-proxy"]


def test_the_sidecar_proves_itself_with_a_token_for_the_controller_alone() -> None:
    made = injected(pod(), SETTINGS)
    volumes = {volume["name"]: volume for volume in made["spec"]["volumes"]}
    (source,) = volumes["sekisho-token"]["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == AUDIENCE
    assert volumes["sekisho-ca"]["configMap"]["name"] == "sekisho-trust-bundle"
    proxy = container(made, "sekisho-proxy")
    mounted = {mount["name"]: mount["mountPath"] for mount in proxy["volumeMounts"]}
    assert set(mounted) == set(volumes)
    arguments = proxy["args"]
    assert arguments[arguments.index("--token") + 1] == f"{mounted['sekisho-token']}/token"
    assert arguments[arguments.index("--trust-bundle") + 1] == f"{mounted['sekisho-ca']}/ca.crt"
    assert arguments[arguments.index("--controller") + 1] == SETTINGS.controller_url


def test_only_the_init_container_has_privileges() -> None:
    made = injected(pod("securityContext: {runAsNonRoot: true, runAsUser: 1000}"), SETTINGS)
    init, proxy = (container(made, name)["securityContext"] for name in ("sekisho-init", "sekisho-proxy"))
    assert init["capabilities"] == {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]}
    assert (init["runAsUser"], init["runAsNonRoot"], init["privileged"]) == (0, False, False)
    assert proxy["capabilities"] == {"drop": ["ALL"]}
    assert (proxy["runAsUser"], proxy["runAsNonRoot"], proxy["allowPrivilegeEscalation"]) == (1337, True, False)


@pytest.mark.parametrize("settings", [SETTINGS, CLASSIC], ids=["native", "classic"])
def test_injecting_twice_is_injecting_once_and_taking_out_gives_the_pod_back(settings: InjectionSettings) -> None:
    before = copy.deepcopy(RICH)
    once = injected(RICH, settings)
    assert before == RICH
    assert injected(once, settings) == once
    assert without_sidecar(once) == RICH


def test_injecting_anew_replaces_a_sidecar_of_another_form() -> None:
    assert injected(injected(RICH, CLASSIC), SETTINGS) == injected(RICH, SETTINGS)


def test_a_pod_without_a_sidecar_stays_as_it_is_when_it_is_taken_out() -> None:
    assert without_sidecar(RICH) == RICH


def test_annotations_say_what_the_sidecar_may_use_and_what_is_not_redirected() -> None:
    made = injected(
        pod(
            metadata="annotations: {sidecar.istio.io/proxyCPU: 200m, sidecar.istio.io/proxyMemoryLimit: 1Gi,"
            " sidecar.istio.io/proxyImage: other, traffic.sidecar.istio.io/excludeInboundPorts: '9000, 9001',"
            " traffic.sidecar.istio.io/excludeOutboundIPRanges: 10.9.0.0/16}"
        ),
        SETTINGS,
    )
    proxy = container(made, "sekisho-proxy")
    assert proxy["image"] == "other"
    assert proxy["resources"] == {"requests": {"cpu": "200m", "memory": "96Mi"}, "limits": {"memory": "1Gi"}}
    arguments = container(made, "sekisho-init")["args"]
    pairs = list(zip(arguments[1::2], arguments[2::2], strict=True))
    assert ("--exclude-inbound-port", "9000") in pairs
    assert ("--exclude-inbound-port", "9001") in pairs
    assert ("--exclude-outbound-cidr", "10.9.0.0/16") in pairs


@pytest.mark.parametrize("settings", [SETTINGS, CLASSIC], ids=["native", "classic"])
def test_with_explicit_capture_nothing_is_redirected(settings: InjectionSettings) -> None:
    plain = pod(metadata="annotations: {sekisho.dev/capture: explicit}")
    made = injected(plain, settings)
    assert "sekisho-init" not in named([*made["spec"].get("initContainers", []), *made["spec"]["containers"]])
    assert without_sidecar(made) == plain
