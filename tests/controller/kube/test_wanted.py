from __future__ import annotations

from controller.kube.status_writer import Wanted
from controller.kube.wanted import wanted_statuses
from controller.resources import parse
from controller.store import Key, Snapshot
from controller.translate.statuses import Status
from tests.controller.kube.test_status_merge import gateway_status, route_status
from tests.support.kube import Object, gateway, http_route, service

GATEWAY, ROUTE = Key("Gateway", "default", "edge"), Key("HTTPRoute", "default", "a")
SERVICE, GONE = Key("Service", "default", "shop"), Key("HTTPRoute", "default", "gone")


def snapshot() -> Snapshot:
    documents: list[Object] = [gateway(), http_route("a"), service()]
    for document in documents:
        document["metadata"]["uid"] = f"uid-{document['kind']}"
    return Snapshot(resource for document in documents if (resource := parse(document).resource) is not None)


def test_statuses_are_wanted_of_the_objects_they_were_made_for() -> None:
    statuses: dict[Key, Status] = {
        GATEWAY: gateway_status("http"),
        ROUTE: route_status("edge"),
        GONE: route_status("edge"),
    }
    assert wanted_statuses(statuses, snapshot(), [GATEWAY, ROUTE, SERVICE, GONE]) == {
        GATEWAY: Wanted("uid-Gateway", statuses[GATEWAY]),
        ROUTE: Wanted("uid-HTTPRoute", statuses[ROUTE]),
        SERVICE: None,
        GONE: None,
    }


def test_a_route_without_a_status_is_to_be_free_of_ours_and_a_gateway_is_left_alone() -> None:
    assert wanted_statuses({}, snapshot(), [GATEWAY, ROUTE]) == {GATEWAY: None, ROUTE: Wanted("uid-HTTPRoute", None)}


def test_of_a_policy_that_has_no_status_of_ours_nothing_is_wanted() -> None:
    policy = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "web", "namespace": "default", "uid": "uid-policy"},
        "spec": {},
    }
    found = parse(policy).resource
    assert found is not None
    key = Key.of(found)
    assert wanted_statuses({}, Snapshot([found]), [key]) == {key: None}
