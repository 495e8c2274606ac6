"""Probes of the kubelet are led through the sidecar, which knows what to ask."""

from __future__ import annotations

import json
from typing import Any

from controller.inject import injected
from controller.inject.probes import VARIABLE
from tests.controller.inject.pods import SETTINGS, pod

PROBED = pod()
PROBED["spec"]["containers"] = [
    {
        "name": "app",
        "image": "app",
        "ports": [{"name": "web", "containerPort": 8080}],
        "livenessProbe": {"httpGet": {"path": "/live", "port": "web"}, "timeoutSeconds": 3, "periodSeconds": 5},
        "readinessProbe": {"tcpSocket": {"port": 8081}},
        "startupProbe": {"exec": {"command": ["true"]}},
        "lifecycle": {"preStop": {"httpGet": {"path": "/bye", "port": 8080, "scheme": "HTTPS"}}},
    },
    {"name": "rpc", "image": "rpc", "livenessProbe": {"grpc": {"port": 9000}}},
    {"name": "far", "image": "far", "livenessProbe": {"httpGet": {"host": "10.0.0.9", "port": 80}}},
    {"name": "odd", "image": "odd", "livenessProbe": {"httpGet": {"port": "nameless"}}},
]


def asked(made: dict[str, Any]) -> dict[str, Any]:
    (proxy,) = (one for one in made["spec"]["initContainers"] if one["name"] == "sekisho-proxy")
    (text,) = (one["value"] for one in proxy["env"] if one["name"] == VARIABLE)
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_sidecar_asks_what_the_kubelet_would_have_asked() -> None:
    made = injected(PROBED, SETTINGS)
    assert asked(made) == {
        "/app-health/app/live": {"httpGet": {"path": "/live", "port": 8080}, "timeoutSeconds": 3},
        "/app-health/app/ready": {"tcpSocket": {"port": 8081}, "timeoutSeconds": 1},
        "/app-health/app/preStop": {
            "httpGet": {"path": "/bye", "port": 8080, "scheme": "HTTPS"},
            "timeoutSeconds": 10,
        },
    }
    app = made["spec"]["containers"][0]
    through = {"path": "/app-health/app/live", "port": 15021}
    assert app["livenessProbe"] == {"httpGet": through, "timeoutSeconds": 3, "periodSeconds": 5}
    assert app["readinessProbe"] == {"httpGet": {"path": "/app-health/app/ready", "port": 15021}}


def test_what_is_not_asked_over_the_network_of_the_workload_stays_as_it_is() -> None:
    before, after = PROBED["spec"]["containers"], injected(PROBED, SETTINGS)["spec"]["containers"]
    assert after[0]["startupProbe"] == before[0]["startupProbe"]
    assert after[1:] == before[1:]


def test_probes_are_what_they_were_after_a_second_injection() -> None:
    once = injected(PROBED, SETTINGS)
    assert injected(once, SETTINGS) == once


def test_with_explicit_capture_the_workload_is_asked_on_loopback() -> None:
    explicit = {**PROBED, "metadata": {"name": "app", "annotations": {"sekisho.dev/capture": "explicit"}}}
    assert {one["address"] for one in asked(injected(explicit, SETTINGS)).values()} == {"127.0.0.1"}
