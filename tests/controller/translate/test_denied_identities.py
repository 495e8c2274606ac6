"""Identities that the authority denies: every table denies them, in one change, and nobody calls them."""

from __future__ import annotations

from typing import Any

import pytest

from controller.resources import DeniedIdentities, Resource
from controller.resources.parse import parse
from controller.store import Store
from controller.translate import Options, Translator, Update
from controller.translate.denied_identities import POLICY
from gateway.routing_table.model import Resources
from gateway.routing_table.validate import problem

WEB = "spiffe://cluster.local/ns/shop/sa/web"
PRINCIPAL = "cluster.local/ns/shop/sa/web"


def parsed(kind: str, name: str, spec: dict[str, Any], version: str, **more: Any) -> Resource:
    document = {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop", **more.pop("metadata", {})},
        "spec": spec,
        **more,
    }
    found = parse(document)
    assert found.resource is not None, found
    return found.resource


def pod(name: str, address: str) -> Resource:
    metadata = {"labels": {"app": name, "security.istio.io/tlsMode": "istio"}}
    status = {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running"}
    return parsed("Pod", name, {"serviceAccountName": name}, "v1", metadata=metadata, status=status)


def objects() -> list[Resource]:
    listeners = [
        {"name": "http", "port": 80, "protocol": "HTTP"},
        {"name": "proxy", "port": 3128, "protocol": "sekisho.dev/EgressProxy"},
    ]
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "all", "namespace": "shop", "labels": {"kubernetes.io/service-name": "all"}},
        "addressType": "IPv4",
        "ports": [{"port": 8080}],
        "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}, {"addresses": ["10.0.0.3"]}],
    }
    endpoint_slice = parse(slice_).resource
    assert endpoint_slice is not None
    gateway = {"gatewayClassName": "sekisho", "listeners": listeners}
    route = {
        "parentRefs": [{"name": "edge", "sectionName": "http"}],
        "rules": [{"backendRefs": [{"name": "all", "port": 80}]}],
    }
    return [
        parsed("Gateway", "edge", gateway, "gateway.networking.k8s.io/v1"),
        parsed("HTTPRoute", "all", route, "gateway.networking.k8s.io/v1"),
        parsed("Service", "all", {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}, "v1"),
        endpoint_slice,
        pod("web", "10.0.0.1"),
        pod("cart", "10.0.0.2"),
    ]


class Controller:
    def __init__(self) -> None:
        self._store = Store()
        self._translator = Translator(Options(regex_problem=lambda _: None, merge=False))

    def take(self, *resources: Resource) -> Update:
        changed = self._store.apply(resources)
        assert changed
        return self._translator.update(self._store.snapshot(), changed)


@pytest.fixture
def controller() -> Controller:
    return Controller()


def addresses(table: Resources) -> set[str]:
    return {endpoint.address for endpoints in table.endpoints for endpoint in endpoints.endpoints}


def test_every_table_denies_them_and_takes_it_back(controller: Controller) -> None:
    before = controller.take(*objects()).translation.tables
    update = controller.take(DeniedIdentities.of([WEB]))
    tables = update.translation.tables
    assert set(update.changes) == set(tables)
    assert any(name.startswith("shop/cart/") for name in tables)
    for name, table in tables.items():
        [policy] = [it for it in table.authorization_policies if it.key == POLICY]
        assert policy.action == "DENY"
        assert policy.rules[0].sources[0].principals == (PRINCIPAL,)
        assert problem(policy) is None
        inbound = [it for it in table.listeners if it.mesh is not None or name == "shop/edge"]
        guarded = [it for it in inbound if it.egress is None]
        assert guarded
        assert all(POLICY in listener.authorization for listener in guarded), name
    assert controller.take(DeniedIdentities.of([])).translation.tables == before


def test_another_one_is_a_change_of_the_policies_alone(controller: Controller) -> None:
    controller.take(*objects(), DeniedIdentities.of([WEB]))
    update = controller.take(DeniedIdentities.of([WEB, "spiffe://cluster.local/ns/shop/sa/gone"]))
    for change in update.changes.values():
        assert {it.key for it in change.upsert.authorization_policies} == {POLICY}
        assert not change.upsert.listeners
        assert not change.upsert.endpoints


def test_ways_out_are_closed_to_them_before_anything_else_is_asked(controller: Controller) -> None:
    table = controller.take(*objects(), DeniedIdentities.of([WEB])).translation.tables["shop/edge"]
    [policy] = table.egress_policies
    [rule] = policy.rules
    assert problem(policy) is None
    assert (policy.mode, rule.action, rule.sources[0].principals) == ("Enforce", "Deny", (PRINCIPAL,))
    [proxy] = [listener for listener in table.listeners if listener.egress is not None]
    assert proxy.egress is not None
    assert proxy.egress.policies == (POLICY,)
    # Routes that lead outside are under control where somebody asked for it, and not by this.
    assert all(listener.routed_egress is None for listener in table.listeners)


def test_nobody_calls_them(controller: Controller) -> None:
    assert addresses(controller.take(*objects()).translation.tables["shop/edge"]) == {
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
    }
    table = controller.take(DeniedIdentities.of([WEB])).translation.tables["shop/edge"]
    assert addresses(table) == {"10.0.0.2", "10.0.0.3"}
