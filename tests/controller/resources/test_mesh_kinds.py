"""Kinds of a mesh: what is read of pods and machines, and that no PeerAuthentication fails open."""

from __future__ import annotations

from typing import Any

import pytest

from controller.resources import MESH_KINDS, PeerAuthentication, Pod, Resource, WorkloadEntry, parse
from controller.resources.registry import api_versions
from tests.controller.resources.samples import Document, accepted, error_fields, object_of


def pod(**status: Any) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "cart-7d4-x2",
            "namespace": "shop",
            "labels": {"app": "cart"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "cart-7d4", "controller": True}],
        },
        "spec": {
            "serviceAccountName": "cart",
            "containers": [
                {"name": "app", "image": "x", "ports": [{"name": "http", "containerPort": 8080, "hostPort": 0}]},
                {"name": "other", "image": "y"},
            ],
            "initContainers": [{"name": "proxy", "ports": [{"containerPort": 15090}], "restartPolicy": "Always"}],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.7",
            "podIPs": [{"ip": "10.0.0.7"}, {"ip": "fd00::7"}],
            **status,
        },
    }


def peer_authentication(spec: object) -> PeerAuthentication:
    document = object_of("PeerAuthentication", api_version="security.istio.io/v1")
    resource = accepted({**document, "spec": spec})
    assert isinstance(resource, PeerAuthentication)
    return resource


@pytest.mark.parametrize("type_", MESH_KINDS, ids=lambda type_: type_.kind)
def test_every_served_version_is_read(type_: type[Resource]) -> None:
    samples: dict[str, Document] = {
        "Pod": pod(),
        "WorkloadEntry": object_of("WorkloadEntry", {"address": "10.1.0.5", "serviceAccount": "db", "weight": 3}),
        "PeerAuthentication": object_of("PeerAuthentication", {"mtls": {"mode": "STRICT"}}),
    }
    for version in api_versions(type_):
        assert type(accepted({**samples[type_.kind], "apiVersion": version})) is type_


def test_of_a_pod_its_addresses_account_ports_and_owner_are_kept_without_a_word_on_the_rest() -> None:
    read = accepted(pod(conditions=[{"type": "Ready"}], qosClass="BestEffort"))
    assert isinstance(read, Pod)
    assert read.spec.service_account_name == "cart"
    assert [(port.name, port.container_port) for port in read.spec.ports] == [("http", 8080), ("", 15090)]
    assert read.status.addresses == ("10.0.0.7", "fd00::7")
    assert read.owner == "cart-7d4"


def test_a_pod_that_is_only_now_placed_has_no_address_and_the_default_account() -> None:
    document = pod()
    del document["status"], document["spec"]["serviceAccountName"], document["metadata"]["ownerReferences"]
    read = accepted(document)
    assert isinstance(read, Pod)
    assert (read.status.addresses, read.spec.service_account_name, read.owner) == ((), "default", "")


def test_a_machine_has_an_address_that_others_can_reach() -> None:
    document = object_of("WorkloadEntry", {"address": "unix:///x"}, api_version="networking.istio.io/v1")
    assert error_fields(document) == ["spec.address"]
    machine = accepted({**document, "spec": {"address": "10.1.0.5", "ports": {"sql": 5432}}})
    assert isinstance(machine, WorkloadEntry)
    assert (machine.spec.ports, machine.spec.service_account) == ({"sql": 5432}, "default")


def test_modes_are_read_with_those_of_single_ports() -> None:
    read = peer_authentication(
        {
            "selector": {"matchLabels": {"app": "cart"}},
            "mtls": {"mode": "STRICT"},
            "portLevelMtls": {"8080": {"mode": "DISABLE"}},
        }
    )
    assert (read.refusal, read.spec.mtls.mode) == ("", "STRICT")
    assert read.spec.port_level_mtls["8080"].mode == "DISABLE"


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"mtls": {"mode": "MAYBE"}}, "spec.mtls.mode"),
        ({"mtls": {"mode": "PERMISSIVE", "until": "later"}}, "spec.mtls.until"),
        ({"portLevelMtls": {"http": {"mode": "DISABLE"}}}, "spec.portLevelMtls[http]"),
        ({"portLevelMtls": {"80": {"mode": "OFF"}}}, "spec.portLevelMtls[80].mode"),
        ({"mtls": "DISABLE"}, "spec.mtls"),
        ([], "got a list"),
    ],
)
def test_what_is_not_understood_is_strict_and_says_why(spec: object, named: str) -> None:
    read = peer_authentication(spec)
    assert read.spec.mtls.mode == "STRICT"
    assert read.spec.port_level_mtls == {}
    assert named in read.refusal


def test_a_refused_policy_still_selects_whom_it_selected() -> None:
    read = peer_authentication({"selector": {"matchLabels": {"app": "cart"}}, "mtls": {"mode": "?"}})
    assert read.spec.selector is not None
    assert read.spec.selector.match_labels == {"app": "cart"}
    everybody = peer_authentication({"selector": {"labels": {"app": "cart"}}, "mtls": {"mode": "DISABLE"}})
    assert (everybody.spec.selector, everybody.spec.mtls.mode) == (None, "STRICT")


def test_no_kind_of_the_mesh_is_unknown() -> None:
    assert parse(object_of("PeerAuthentication", api_version="security.istio.io/v1")).problems == ()
