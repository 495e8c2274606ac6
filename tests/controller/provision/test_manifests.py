"""What a Gateway's objects look like; the golden pairs ``provision-*`` hold them whole."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from controller.provision import provisioned
from controller.provision.objects import digest_of, digested, ours_in, owner_of, stranger
from controller.translate import Infrastructure, Port
from controller.translate.infrastructure_names import infrastructure_name, own_labels, selector
from tests.controller.provision.conftest import SETTINGS
from tests.support.gateways import gateway_key, infrastructure, parameters


def objects(wanted: Infrastructure) -> dict[str, Any]:
    return {manifest["kind"]: manifest for manifest in provisioned(wanted, SETTINGS)}


def pod(wanted: Infrastructure) -> dict[str, Any]:
    spec: dict[str, Any] = objects(wanted)["Deployment"]["spec"]["template"]
    return spec


def test_ports_do_not_reach_the_pods() -> None:
    one, other = infrastructure(), infrastructure(ports=(Port(80, "TCP"), Port(53, "UDP")))
    assert objects(one)["Deployment"] == objects(other)["Deployment"]
    assert objects(one)["Service"] != objects(other)["Service"]


def test_a_bundle_does_not_reach_the_pods() -> None:
    rotated = msgspec.structs.replace(infrastructure())
    other = provisioned(rotated, type(SETTINGS)(image=SETTINGS.image, bundle_pem="rotated"))
    assert other[3] == provisioned(rotated, SETTINGS)[3]


def test_no_label_of_the_user_reaches_the_selector() -> None:
    labels = {"team": "edge", **own_labels(selector("web", "sekisho"))}
    wanted = infrastructure(labels=labels, parameters=parameters(deployment={"podLabels": {"tier": "front"}}))
    made = objects(wanted)
    assert made["Deployment"]["spec"]["selector"]["matchLabels"] == selector("web", "sekisho")
    assert pod(wanted)["metadata"]["labels"] == labels | {"tier": "front"}
    assert all(manifest["metadata"]["labels"] == labels for manifest in made.values())


@pytest.mark.parametrize(
    ("spec", "replicas"),
    [
        ({}, None),
        ({"deployment": {"replicas": 3}}, 3),
        ({"deployment": {"replicas": 3}, "autoscaling": {"maxReplicas": 5}}, None),
        ({"deployment": {"replicas": 3}, "autoscaling": {}}, 3),
    ],
)
def test_replicas_are_said_only_where_nobody_else_says_them(spec: dict[str, Any], replicas: int | None) -> None:
    made = objects(infrastructure(parameters=parameters(**spec)))
    assert made["Deployment"]["spec"].get("replicas") == replicas
    assert ("HorizontalPodAutoscaler" in made) == bool(spec.get("autoscaling"))


def test_the_drain_ends_before_the_pod_is_killed() -> None:
    wanted = infrastructure(parameters=parameters(deployment={"terminationGracePeriodSeconds": 100}))
    arguments = pod(wanted)["spec"]["containers"][0]["args"]
    assert arguments[-2:] == ["--drain-timeout", "85"]


def test_the_names_of_the_pod_cannot_be_set() -> None:
    env = [{"name": "POD_IP", "value": "10.0.0.1"}, {"name": "TZ", "value": "UTC"}]
    wanted = infrastructure(parameters=parameters(deployment={"env": env}))
    given = pod(wanted)["spec"]["containers"][0]["env"]
    of_the_pod = [variable["name"] for variable in given if "valueFrom" in variable]
    assert of_the_pod == ["POD_NAME", "POD_NAMESPACE", "POD_IP"]
    assert {"name": "TZ", "value": "UTC"} in given
    assert env[0] not in given


def test_what_the_allocator_keeps_can_be_set() -> None:
    chosen = {"name": "MIMALLOC_PURGE_DELAY", "value": "1000"}
    usual = pod(infrastructure())["spec"]["containers"][0]["env"]
    assert {"name": "MIMALLOC_PURGE_DELAY", "value": "10"} in usual
    wanted = infrastructure(parameters=parameters(deployment={"env": [chosen]}))
    given = pod(wanted)["spec"]["containers"][0]["env"]
    assert [variable for variable in given if variable["name"] == chosen["name"]] == [chosen]
    assert {"name": "MIMALLOC_ALLOW_THP", "value": "0"} in given


@pytest.mark.parametrize(
    ("gateway", "class_name", "name"),
    [
        ("web", "sekisho", "web-sekisho"),
        ("1.web", "sekisho", "gateway-1-web-sekisho-"),
        ("web.example", "sekisho", "web-example-sekisho-"),
        ("w" * 80, "sekisho", "w" * 52 + "-"),
    ],
)
def test_names_are_those_of_a_service(gateway: str, class_name: str, name: str) -> None:
    made = infrastructure_name(gateway, class_name)
    assert made.startswith(name)
    assert len(made) <= 63
    assert "." not in made
    assert all(len(value) <= 63 for value in selector(gateway, class_name).values())


def test_names_that_were_cut_are_still_apart() -> None:
    assert infrastructure_name("a.b", "c") != infrastructure_name("a-b", "c")
    assert infrastructure_name("w" * 80, "c") != infrastructure_name("w" * 81, "c")


def test_a_manifest_tells_whether_it_has_changed() -> None:
    one, other = objects(infrastructure())["Service"], objects(infrastructure(ports=(Port(81, "TCP"),)))["Service"]
    assert digest_of(digested(one)) == digest_of(digested(one))
    assert digest_of(digested(one)) != digest_of(digested(other))


def test_an_object_is_its_gateways_alone() -> None:
    made = objects(infrastructure())["Service"]
    assert owner_of(made) == gateway_key()
    assert stranger(made, gateway_key()) == ""
    assert "belongs to Gateway default/web" in stranger(made, gateway_key("other"))
    unlabelled = {**made, "metadata": {**made["metadata"], "labels": {}}}
    assert "not made by Sekisho" in stranger(unlabelled, gateway_key())


def test_of_what_stands_only_ours_is_compared() -> None:
    wanted = {"a": {"b": 1}, "list": [{"name": "x"}]}
    live = {"a": {"b": 1, "theirs": 2}, "list": [{"name": "x", "theirs": 3}], "status": {}}
    assert ours_in(live, wanted) == wanted
    assert ours_in({**live, "list": [{"name": "x"}, {"name": "y"}]}, wanted) != wanted
    assert ours_in({}, wanted) != wanted
