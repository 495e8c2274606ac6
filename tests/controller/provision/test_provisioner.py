"""What stands in the cluster comes to what Gateways need, and nobody else's objects are touched."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import msgspec

from controller.kube.client import Api
from controller.provision.objects import API_VERSIONS, collection_path, owner_of
from controller.translate import Port
from controller.translate.conditions import ConditionReason, Problem
from tests.controller.provision.conftest import BOUNDS, SETTINGS, Working
from tests.support.fake_apiserver import FakeApiServer
from tests.support.gateways import gateway_key, infrastructure, parameters
from tests.support.kube import comes_true, stays_true

WEB = gateway_key()
SCALED = parameters(podDisruptionBudget={"minAvailable": 1}, autoscaling={"maxReplicas": 5})


def standing(server: FakeApiServer) -> set[str]:
    return {f"{kind} {document['metadata']['name']}" for kind in API_VERSIONS for document in server.all(kind)}


def ports(server: FakeApiServer, name: str = "web-sekisho") -> list[int]:
    return [port["port"] for port in server.get("Service", name)["spec"]["ports"]]


async def test_everything_is_made_once(server: FakeApiServer, working: Working) -> None:
    working.provisioner.want({WEB: infrastructure(parameters=SCALED)})
    await working.settled()
    assert standing(server) == {f"{kind} web-sekisho" for kind in API_VERSIONS}
    assert owner_of(server.get("Deployment", "web-sekisho")) == WEB
    assert len(server.asked("PATCH", "fieldManager=sekisho")) == len(API_VERSIONS)
    assert all("force=true" in path for path in server.asked("PATCH", ""))


async def test_the_service_account_is_there_before_the_pods(server: FakeApiServer, working: Working) -> None:
    working.provisioner.want({WEB: infrastructure()})
    await working.settled()
    applied = [path.partition("?")[0].rsplit("/", 2)[1] for path in server.asked("PATCH", "")]
    assert applied == ["serviceaccounts", "configmaps", "services", "deployments"]


async def test_a_listener_changes_the_service_alone(server: FakeApiServer, working: Working) -> None:
    working.provisioner.want({WEB: infrastructure()})
    await working.settled()
    before = server.get("Deployment", "web-sekisho")
    working.provisioner.want({WEB: infrastructure(ports=(Port(80, "TCP"), Port(443, "TCP")))})
    await comes_true(lambda: ports(server) == [80, 443])
    await working.settled()
    assert server.get("Deployment", "web-sekisho") == before
    assert len(server.asked("PATCH", "")) == 5


async def test_the_same_once_more_writes_nothing(working: Working) -> None:
    working.provisioner.want({WEB: infrastructure()})
    await working.settled()
    writes = working.provisioner.writes
    working.provisioner.want({WEB: infrastructure()})
    await working.settled()
    assert working.provisioner.writes == writes


async def test_a_new_leader_writes_nothing_that_stands(api: Api, working: Working) -> None:
    working.provisioner.want({WEB: infrastructure()})
    await working.settled()
    successor = Working(api)
    successor.provisioner.want({WEB: infrastructure()})
    successor.provisioner.lead(leads=True)
    task = asyncio.create_task(successor.provisioner.run())
    await successor.settled()
    assert successor.provisioner.writes == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_switched_off_goes(server: FakeApiServer, working: Working) -> None:
    working.provisioner.want({WEB: infrastructure(parameters=SCALED)})
    await working.settled()
    working.provisioner.want({WEB: infrastructure()})
    await comes_true(lambda: not server.all("PodDisruptionBudget") and not server.all("HorizontalPodAutoscaler"))
    await working.settled()
    assert len(standing(server)) == 4


async def test_deleted_by_hand_it_is_made_again(server: FakeApiServer, working: Working) -> None:
    working.provisioner.want({WEB: infrastructure()})
    await working.settled()
    server.remove("Deployment", "web-sekisho")
    await comes_true(lambda: server.all("Deployment"))


async def test_changed_by_hand_it_is_set_right(api: Api, server: FakeApiServer, working: Working) -> None:
    working.provisioner.want({WEB: infrastructure()})
    await working.settled()
    await api.merge(f"{collection_path('Service', 'default')}/web-sekisho", {"spec": {"type": "ClusterIP"}})
    await comes_true(lambda: server.get("Service", "web-sekisho")["spec"]["type"] == "LoadBalancer")


async def test_what_others_add_is_left_alone(api: Api, server: FakeApiServer, working: Working) -> None:
    working.provisioner.want({WEB: infrastructure()})
    await working.settled()
    writes = working.provisioner.writes
    path = f"{collection_path('Deployment', 'default')}/web-sekisho"
    await api.merge(path, {"spec": {"replicas": 7}, "metadata": {"annotations": {"example.com/note": "kept"}}})
    await stays_true(lambda: working.provisioner.writes == writes)
    assert server.get("Deployment", "web-sekisho")["spec"]["replicas"] == 7


async def test_somebody_who_keeps_undoing_it_waits_longer_each_time(api: Api) -> None:
    bounds = dataclasses.replace(BOUNDS, quarrel=300.0, first_wait=0.5, longest_wait=60.0)
    working = Working(api, bounds)
    working.provisioner.want({WEB: infrastructure()})
    working.provisioner.lead(leads=True)
    task = asyncio.create_task(working.provisioner.run())
    await working.settled()
    await api.merge(f"{collection_path('Service', 'default')}/web-sekisho", {"spec": {"type": "ClusterIP"}})
    await comes_true(lambda: any(0.2 < wait <= 0.5 for wait in working.clock.waits))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_object_of_somebody_else_is_not_taken(api: Api, server: FakeApiServer, working: Working) -> None:
    theirs: dict[str, Any] = {
        "metadata": {"name": "web-sekisho", "namespace": "default"},
        "spec": {"type": "ClusterIP"},
    }
    await api.create(collection_path("Service", "default"), {"apiVersion": "v1", "kind": "Service", **theirs})
    before = server.get("Service", "web-sekisho")
    working.provisioner.want({WEB: infrastructure()})
    await comes_true(lambda: working.provisioner.problems(WEB))
    await comes_true(lambda: server.all("Deployment"))
    assert "was not made by Sekisho" in working.provisioner.problems(WEB)[0]
    assert server.get("Service", "web-sekisho") == before
    assert WEB in working.told
    server.remove("Service", "web-sekisho")
    await comes_true(lambda: not working.provisioner.problems(WEB))
    assert ports(server) == [80]


async def test_an_object_of_another_owner_is_not_taken(api: Api, server: FakeApiServer, working: Working) -> None:
    made = infrastructure()
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x", "uid": "y", "controller": True}
    metadata = {"name": made.name, "namespace": "default", "labels": made.labels, "ownerReferences": [owner]}
    await api.create(collection_path("ConfigMap", "default"), {"metadata": metadata, "data": {"theirs": "1"}})
    working.provisioner.want({WEB: made})
    await comes_true(lambda: working.provisioner.problems(WEB))
    assert server.get("ConfigMap", "web-sekisho")["data"] == {"theirs": "1"}


async def test_a_gateway_that_is_no_longer_ours_leaves_nothing(server: FakeApiServer, working: Working) -> None:
    working.provisioner.want({WEB: infrastructure(), gateway_key("other"): infrastructure("other")})
    await working.settled()
    working.provisioner.want({WEB: None})
    await comes_true(lambda: not any(name.endswith("web-sekisho") for name in standing(server)))
    await working.settled()
    assert len(standing(server)) == 4
    assert working.provisioner.gateway_of("default", "web-sekisho") is None


async def test_under_another_class_its_objects_have_another_name(server: FakeApiServer, working: Working) -> None:
    working.provisioner.want({WEB: infrastructure()})
    await working.settled()
    working.provisioner.want({WEB: infrastructure(class_name="second")})
    await comes_true(lambda: standing(server) == {f"{kind} web-second" for kind in list(API_VERSIONS)[:4]})


async def test_of_a_gateway_with_a_problem_everything_stays(server: FakeApiServer, working: Working) -> None:
    working.provisioner.want({WEB: infrastructure(parameters=SCALED)})
    await working.settled()
    before = standing(server)
    problem = Problem(ConditionReason.INVALID_PARAMETERS, "they are gone")
    working.provisioner.want({WEB: infrastructure(problem=problem, ports=())})
    await working.settled()
    assert standing(server) == before
    assert working.provisioner.gateway_of("default", "web-sekisho") == WEB


async def test_followers_write_nothing_and_know_whose_pods_are_whose(api: Api, server: FakeApiServer) -> None:
    working = Working(api)
    working.provisioner.want({WEB: infrastructure()})
    task = asyncio.create_task(working.provisioner.run())
    await stays_true(lambda: not server.requests)
    assert working.provisioner.gateway_of("default", "web-sekisho") == WEB
    assert working.provisioner.gateway_of("default", "default") is None
    working.provisioner.lead(leads=True)
    await comes_true(lambda: server.all("Deployment"))
    working.provisioner.lead(leads=False)
    await comes_true(lambda: not server.watches)
    server.remove("Deployment", "web-sekisho")
    await stays_true(lambda: not server.all("Deployment"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_of_two_gateways_with_one_name_the_older_has_it(server: FakeApiServer, working: Working) -> None:
    older = infrastructure("a", "b-c")
    younger = msgspec.structs.replace(
        infrastructure("a-b", "c"), age=(older.age[0].replace(year=2027), "default/a-b"), ports=(Port(81, "TCP"),)
    )
    assert older.name == younger.name
    working.provisioner.want({younger.gateway: younger, older.gateway: older})
    await comes_true(lambda: working.provisioner.problems(younger.gateway))
    await working.settled()
    assert ports(server, "a-b-c") == [80]
    assert working.provisioner.gateway_of("default", "a-b-c") == older.gateway
    working.provisioner.want({older.gateway: None})
    await comes_true(lambda: not working.provisioner.problems(younger.gateway))


async def test_a_refusal_is_told_and_tried_again(server: FakeApiServer, working: Working) -> None:
    server.fail(422, method="PATCH", within="deployments", times=2)
    working.provisioner.want({WEB: infrastructure()})
    await comes_true(lambda: WEB in working.told)
    await comes_true(lambda: server.all("Deployment"))
    await working.settled()
    assert working.provisioner.problems(WEB) == ()


async def test_a_server_that_is_gone_for_a_moment_costs_nothing(server: FakeApiServer, working: Working) -> None:
    await working.settled()
    await server.stop()
    working.provisioner.want({WEB: infrastructure()})
    await asyncio.sleep(0.05)
    await server.start()
    await comes_true(lambda: server.all("Deployment") and server.all("Service"))
    server.remove("Service", "web-sekisho")
    await comes_true(lambda: server.all("Service"))


async def test_another_bundle_reaches_the_config_maps_alone(server: FakeApiServer, working: Working) -> None:
    working.provisioner.want({WEB: infrastructure()})
    await working.settled()
    before = server.get("Deployment", "web-sekisho")
    working.provisioner.use(dataclasses.replace(SETTINGS, bundle_pem="rotated"))
    await comes_true(lambda: server.get("ConfigMap", "web-sekisho")["data"] == {"ca.crt": "rotated"})
    await working.settled()
    assert server.get("Deployment", "web-sekisho") == before


async def test_nothing_is_made_before_the_bundle_is_known(server: FakeApiServer, working: Working) -> None:
    working.provisioner.use(dataclasses.replace(SETTINGS, bundle_pem=""))
    working.provisioner.want({WEB: infrastructure()})
    await working.settled()
    assert standing(server) == set()
    working.provisioner.use(SETTINGS)
    await comes_true(lambda: server.all("Deployment"))


async def test_a_refused_object_that_is_corrected_need_not_wait(api: Api, server: FakeApiServer) -> None:
    working = Working(api, dataclasses.replace(BOUNDS, longest_wait=3600.0))
    working.provisioner.lead(leads=True)
    task = asyncio.create_task(working.provisioner.run())
    server.fail(500, method="PATCH", within="services")
    working.provisioner.want({WEB: infrastructure()})
    await comes_true(lambda: working.provisioner.problems(WEB))
    assert "refused by the API server" in working.provisioner.problems(WEB)[0]
    await stays_true(lambda: not server.all("Service"))
    working.provisioner.want({WEB: infrastructure(ports=(Port(81, "TCP"),))})
    await comes_true(lambda: server.all("Service"))
    assert ports(server) == [81]
    await comes_true(lambda: not working.provisioner.problems(WEB))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_somebody_who_keeps_removing_it_is_no_reason_to_hurry(api: Api, server: FakeApiServer) -> None:
    working = Working(api, dataclasses.replace(BOUNDS, quarrel=300.0, first_wait=0.5, longest_wait=60.0))
    working.provisioner.want({WEB: infrastructure()})
    working.provisioner.lead(leads=True)
    task = asyncio.create_task(working.provisioner.run())
    await working.settled()
    server.remove("Service", "web-sekisho")
    await comes_true(lambda: any(0.2 < wait <= 0.5 for wait in working.clock.waits))
    await comes_true(lambda: server.all("Service"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_number_of_pods_stays_when_others_are_to_scale(api: Api, server: FakeApiServer) -> None:
    working = Working(api)
    working.provisioner.lead(leads=True)
    task = asyncio.create_task(working.provisioner.run())
    working.provisioner.want({WEB: infrastructure(parameters=parameters(deployment={"replicas": 3}))})
    await working.settled()
    server.get("Deployment", "web-sekisho")["metadata"]["managedFields"] = [
        {"manager": "sekisho", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    ]
    working.provisioner.want({WEB: infrastructure(parameters=SCALED)})
    await comes_true(lambda: server.all("HorizontalPodAutoscaler"))
    await working.settled()
    kept = server.asked("PATCH", "fieldManager=sekisho-replicas")
    assert len(kept) == 1
    assert "deployments/web-sekisho" in kept[0]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
