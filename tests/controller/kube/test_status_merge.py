from __future__ import annotations

from typing import Any

import pytest

from controller.kube.status_merge import merge
from controller.resources import ParentReference
from controller.translate.conditions import Condition, ConditionReason, ConditionType, fails, holds
from controller.translate.statuses import (
    GatewayClassStatus,
    GatewayStatus,
    GatewayStatusAddress,
    IngressLoadBalancerIngress,
    IngressLoadBalancerStatus,
    IngressStatus,
    ListenerSetStatus,
    ListenerStatus,
    PolicyAncestorStatus,
    PolicyStatus,
    RouteParentStatus,
    RouteStatus,
    Status,
)

OURS = "sekisho.dev/gateway-controller"
OTHER = "other.example/controller"
EARLIER, NOW = "2026-01-01T00:00:00Z", "2026-03-01T12:00:00Z"
ACCEPTED = holds(ConditionType.ACCEPTED, ConditionReason.ACCEPTED, "fine", 1)
REFUSED = fails(ConditionType.ACCEPTED, ConditionReason.NO_MATCHING_PARENT, "no such listener", 1)


def route_status(*names: str, condition: Condition = ACCEPTED) -> RouteStatus:
    return RouteStatus(
        parents=tuple(
            RouteParentStatus(parent_ref=ParentReference(name=name), controller_name=OURS, conditions=(condition,))
            for name in names
        )
    )


def merged(current: dict[str, Any], wanted: Status | None, kind: str = "HTTPRoute", now: str = NOW) -> Any:
    return merge(current, wanted, kind, controller_name=OURS, now=now)


def written(current: dict[str, Any], wanted: Status | None, now: str = NOW) -> dict[str, Any]:
    return {**current, **(merged(current, wanted, now=now) or {})}


def foreign(name: str = "edge") -> dict[str, Any]:
    return {
        "parentRef": {"name": name},
        "controllerName": OTHER,
        "conditions": [{"type": "Accepted", "status": "False"}],
    }


def test_a_first_status_is_written_whole_with_its_time() -> None:
    assert merged({}, route_status("edge")) == {
        "parents": [
            {
                "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"},
                "controllerName": OURS,
                "conditions": [
                    {
                        "type": "Accepted",
                        "status": "True",
                        "reason": "Accepted",
                        "message": "fine",
                        "observedGeneration": 1,
                        "lastTransitionTime": NOW,
                    }
                ],
            }
        ]
    }


def test_what_stands_already_is_not_written() -> None:
    current = written({}, route_status("edge", "two"), now=EARLIER)
    assert merged(current, route_status("edge", "two")) is None


def test_the_time_of_a_condition_moves_only_with_its_status() -> None:
    current = written({}, route_status("edge"), now=EARLIER)
    newer = Condition(ConditionType.ACCEPTED, "True", ConditionReason.ACCEPTED, "fine", 2)
    (entry,) = merged(current, route_status("edge", condition=newer))["parents"]
    assert entry["conditions"][0]["lastTransitionTime"] == EARLIER
    assert entry["conditions"][0]["observedGeneration"] == 2
    (entry,) = merged(current, route_status("edge", condition=REFUSED))["parents"]
    assert entry["conditions"][0]["lastTransitionTime"] == NOW


def test_entries_of_another_controller_are_left_as_they_are_where_they_are() -> None:
    current = {"parents": [foreign(), *written({}, route_status("edge", "old"))["parents"], foreign("two")]}
    parents = merged(current, route_status("edge", "new"))["parents"]
    assert [(item["controllerName"], item["parentRef"]["name"]) for item in parents] == [
        (OTHER, "edge"),
        (OURS, "edge"),
        (OTHER, "two"),
        (OURS, "new"),
    ]
    assert [parents[0], parents[2]] == [foreign(), foreign("two")]


def test_a_route_that_is_no_longer_ours_loses_our_entries_alone() -> None:
    current = {"parents": [*written({}, route_status("edge"))["parents"], foreign()]}
    assert merged(current, None) == {"parents": [foreign()]}
    assert merged({"parents": [foreign()]}, None) is None
    assert merged({}, None) is None
    assert merged({"conditions": []}, None, kind="Gateway") is None


def test_parents_are_told_apart_by_section_and_port() -> None:
    parents = tuple(
        RouteParentStatus(
            parent_ref=ParentReference(name="edge", section_name=section, port=port),
            controller_name=OURS,
            conditions=(condition,),
        )
        for section, port, condition in ((None, 80, ACCEPTED), ("https", None, REFUSED))
    )
    current = written({}, RouteStatus(parents=parents), now=EARLIER)
    swapped = RouteStatus(parents=tuple(reversed(parents)))
    assert {item["conditions"][0]["lastTransitionTime"] for item in written(current, swapped)["parents"]} == {EARLIER}


def test_a_policy_with_no_room_left_keeps_what_others_wrote() -> None:
    others = [{"ancestorRef": {"name": f"g{n}"}, "controllerName": OTHER, "conditions": []} for n in range(15)]
    ancestors = tuple(
        PolicyAncestorStatus(ancestor_ref=ParentReference(name=name), controller_name=OURS, conditions=(ACCEPTED,))
        for name in ("one", "two")
    )
    result = merged({"ancestors": others}, PolicyStatus(ancestors=ancestors), kind="BackendTLSPolicy")["ancestors"]
    assert len(result) == 16
    assert result[:15] == others
    assert result[15]["ancestorRef"]["name"] == "one"


def gateway_status(*listeners: str) -> GatewayStatus:
    return GatewayStatus(
        addresses=(GatewayStatusAddress(type="IPAddress", value="10.0.0.1"),),
        conditions=(ACCEPTED,),
        listeners=tuple(
            ListenerStatus(name=name, supported_kinds=(), attached_routes=1, conditions=(ACCEPTED,))
            for name in listeners
        ),
    )


def test_a_gateway_keeps_conditions_of_types_that_are_not_ours() -> None:
    theirs = {"type": "certs.example/Ready", "status": "True", "lastTransitionTime": EARLIER}
    stale = {"type": "OverlappingTLSConfig", "status": "True", "lastTransitionTime": EARLIER}
    conditions = merged({"conditions": [theirs, stale]}, gateway_status())["conditions"]
    assert [item["type"] for item in conditions] == ["Accepted", "certs.example/Ready"]


def test_listeners_that_went_are_gone_and_the_others_keep_their_times() -> None:
    current = written({}, gateway_status("http", "old"), now=EARLIER)
    listeners = merged(current, gateway_status("http", "new"))["listeners"]
    assert [item["name"] for item in listeners] == ["http", "new"]
    assert [item["conditions"][0]["lastTransitionTime"] for item in listeners] == [EARLIER, NOW]


def test_the_order_of_conditions_is_no_difference() -> None:
    two = GatewayClassStatus(
        conditions=(ACCEPTED, holds(ConditionType.SUPPORTED_VERSION, ConditionReason.SUPPORTED_VERSION, "v1.6", 1))
    )
    current = written({}, two, now=EARLIER)
    current["conditions"].reverse()
    assert merged(current, two, kind="GatewayClass") is None


def test_what_the_api_server_puts_there_by_default_is_replaced() -> None:
    default = {"type": "Accepted", "status": "Unknown", "reason": "Pending", "message": "Waiting for controller"}
    status = GatewayClassStatus(conditions=(ACCEPTED,))
    (condition,) = merged({"conditions": [default]}, status, kind="GatewayClass")["conditions"]
    assert (condition["status"], condition["lastTransitionTime"]) == ("True", NOW)


@pytest.mark.parametrize("odd", [None, "text", [1, None], {"a": 1}])
def test_a_status_that_somebody_broke_is_written_anew(odd: object) -> None:
    assert len(merged({"parents": odd}, route_status("edge"))["parents"]) == 1


def test_a_listener_set_keeps_the_times_of_its_listeners() -> None:
    listener = ListenerStatus(name="web", supported_kinds=(), attached_routes=1, conditions=(ACCEPTED,))
    wanted = ListenerSetStatus(conditions=(ACCEPTED,), listeners=(listener,))
    current = merge({}, wanted, "ListenerSet", controller_name=OURS, now=EARLIER)
    assert current is not None
    assert current["listeners"][0]["conditions"][0]["lastTransitionTime"] == EARLIER
    assert merge(current, wanted, "ListenerSet", controller_name=OURS, now=NOW) is None


def ingress_status(*addresses: str) -> IngressStatus:
    entries = tuple(IngressLoadBalancerIngress(ip=address) for address in addresses)
    return IngressStatus(load_balancer=IngressLoadBalancerStatus(ingress=entries), conditions=(REFUSED,))


def test_of_an_ingress_the_addresses_are_written_and_no_conditions() -> None:
    fields = merged({"loadBalancer": {}}, ingress_status("10.0.0.1"), kind="Ingress")
    assert fields == {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}
    assert merged(fields, ingress_status("10.0.0.1"), kind="Ingress") is None


def test_an_ingress_that_is_no_longer_served_has_no_addresses() -> None:
    current = {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}
    assert merged(current, ingress_status(), kind="Ingress") == {"loadBalancer": {"ingress": None}}
    assert merged({"loadBalancer": {}}, ingress_status(), kind="Ingress") is None
    assert merged(current, None, kind="Ingress") is None
