"""Routes attached to Services, as clients of different namespaces see them (GEP-1426)."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import yaml

from controller.resources import Resource
from controller.store import Key, Snapshot
from controller.translate import Options
from controller.translate.backend_tls_policy import TLS_POLICY
from controller.translate.backends import BACKEND
from controller.translate.certificates import CERTIFICATE, TRUST_BUNDLE
from controller.translate.endpoints import ENDPOINTS
from controller.translate.graph import CellId, Graph, Published, Reads, Stage
from controller.translate.indexes import Indexes
from controller.translate.mesh_route import MESH_ROUTE
from controller.translate.service_routes import SERVICE_ROUTES, ServiceRoutes, routes_of_service
from controller.translate.stages import Rank
from tests.translation.golden import regex_problem, resource_of

SHOP = Key("Service", "shop", "cart")


class Asked(NamedTuple):
    """A port, and who wants to reach it."""

    port: int
    client: str


def _ask(asked: Asked, reads: Reads) -> ServiceRoutes | None:
    return routes_of_service(reads, SHOP, asked.port, asked.client)


ASKED: Stage[Asked, ServiceRoutes | None] = Stage(max(Rank) + 1, _ask)


class _Ignored:
    def replace(self, cell: CellId, old: Published, new: Published) -> None:
        """Nothing is published here."""


class Routes:
    """What clients see, change after change."""

    def __init__(self, *documents: str, mesh: bool = True) -> None:
        self._indexes = Indexes()
        stages = (CERTIFICATE, TRUST_BUNDLE, TLS_POLICY, ENDPOINTS, BACKEND, MESH_ROUTE, SERVICE_ROUTES, ASKED)
        options = Options(regex_problem=regex_problem, mesh=mesh)
        self._graph = Graph(options, stages, self._indexes.referring, {}, _Ignored())
        self._objects: dict[Key, Resource] = {}
        self.put(SERVICES, *documents)

    def put(self, *documents: str) -> None:
        """Objects come, or change."""
        read: list[dict[str, Any]] = [one for text in documents for one in yaml.safe_load_all(text) if one]
        self._take({Key.of(resource): resource for resource in map(resource_of, read)})

    def drop(self, key: Key) -> None:
        """An object goes."""
        self._take({key: None})

    def _take(self, changed: dict[Key, Any]) -> None:
        touched: set[Any] = set(changed)
        for key, resource in changed.items():
            touched.update(self._indexes.update(key, resource))
            if resource is None:
                self._objects.pop(key, None)
            else:
                self._objects[key] = resource
        self._graph.update(Snapshot(self._objects.values()), touched)

    def seen_from(self, client: str, port: int = 80) -> ServiceRoutes | None:
        """What a client in a namespace sees."""
        self._graph.set_root(ASKED, Asked(port, client), True)
        self._graph.update(self._graph.objects, ())
        return self._graph.value_of(ASKED, (ASKED.rank, Asked(port, client)), ASKED.rank + 1)

    def names(self, client: str, port: int = 80) -> list[str]:
        """Keys of what a client sees."""
        routes = self.seen_from(client, port)
        return [route.key for route in routes.routes] if routes else []


SERVICES = """
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  clusterIP: 10.96.0.5
  ports: [{name: http, port: 80}, {name: admin, port: 81}, {name: dns, port: 53, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata: {name: cart-v2, namespace: shop}
spec: {clusterIP: 10.96.0.6, ports: [{name: http, port: 80}]}
"""


def route(name: str, namespace: str = "shop", kind: str = "HTTPRoute", parent: str = "", rules: str = "") -> str:
    version = "v1alpha2" if kind in ("TCPRoute", "TLSRoute", "UDPRoute") else "v1"
    rules = rules or "[{backendRefs: [{name: cart-v2, namespace: shop, port: 80}]}]"
    return f"""
apiVersion: gateway.networking.k8s.io/{version}
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  parentRefs: [{{group: "", kind: Service, name: cart, namespace: shop{parent}}}]
  rules: {rules}
"""


def test_a_producer_route_applies_to_clients_of_every_namespace() -> None:
    routes = Routes(route("canary"))
    assert routes.names("shop") == routes.names("elsewhere") == ["HTTPRoute/shop/canary/0"]


def test_a_consumer_route_applies_to_its_own_namespace_and_goes_before_those_of_the_producer() -> None:
    routes = Routes(route("canary"), route("mine", namespace="web"))
    assert routes.names("web") == ["HTTPRoute/web/mine/0"]
    assert routes.names("shop") == routes.names("elsewhere") == ["HTTPRoute/shop/canary/0"]


def test_without_a_route_the_service_is_itself() -> None:
    assert Routes().seen_from("web") is None


def test_a_backend_in_another_namespace_needs_no_grant() -> None:
    seen = Routes(route("mine", namespace="web")).seen_from("web")
    assert seen is not None
    assert [share.backend for share in seen.routes[0].backends] == ["Service/shop/cart-v2/80"]
    assert [backend.target for backend in seen.backends] == [Key("Service", "shop", "cart-v2")]


def test_a_route_without_port_is_for_every_tcp_port_and_one_with_a_port_for_that_alone() -> None:
    routes = Routes(route("all"), route("admin", parent=", port: 81"))
    assert routes.names("web", 80) == ["HTTPRoute/shop/all/0"]
    assert routes.names("web", 81) == ["HTTPRoute/shop/admin/0", "HTTPRoute/shop/all/0"]
    assert routes.names("web", 53) == []


def test_a_section_name_is_the_name_of_a_port() -> None:
    routes = Routes(route("admin", parent=", sectionName: admin"))
    assert (routes.names("web", 80), routes.names("web", 81)) == ([], ["HTTPRoute/shop/admin/0"])


@pytest.mark.parametrize(
    ("kinds", "winner", "protocol"),
    [
        (("HTTPRoute", "GRPCRoute", "TCPRoute"), "GRPCRoute", "HTTP"),
        (("TLSRoute", "HTTPRoute"), "HTTPRoute", "HTTP"),
        (("TCPRoute", "TLSRoute"), "TLSRoute", "TLS"),
        (("TCPRoute",), "TCPRoute", "TCP"),
    ],
)
def test_of_several_kinds_the_most_specific_has_the_port(kinds: tuple[str, ...], winner: str, protocol: str) -> None:
    seen = Routes(*(route("one", kind=kind) for kind in kinds)).seen_from("web")
    assert seen is not None
    assert (seen.kind, seen.protocol) == (winner, protocol)
    assert {one.kind for one in seen.routes} == {winner}


def test_a_udp_route_is_not_attached() -> None:
    assert Routes(route("dns", kind="UDPRoute")).seen_from("web", 53) is None


@pytest.mark.parametrize("spec", ["{clusterIP: None, ports: [{port: 80}]}", "{type: ExternalName, externalName: a.b}"])
def test_a_service_that_takes_no_traffic_is_no_parent(spec: str) -> None:
    routes = Routes(route("canary"))
    routes.put(f"{{apiVersion: v1, kind: Service, metadata: {{name: cart, namespace: shop}}, spec: {spec}}}")
    assert routes.seen_from("web") is None


def test_a_route_that_is_not_accepted_leaves_the_service_as_it_is() -> None:
    assert Routes(route("odd", rules="[{matches: [{method: FETCH}]}]")).seen_from("web") is None


def test_where_there_is_no_mesh_services_are_nobodys_parents() -> None:
    assert Routes(route("canary"), mesh=False).seen_from("shop") is None


def test_copies_on_two_listeners_have_keys_of_their_own() -> None:
    seen = Routes(route("canary")).seen_from("web")
    assert seen is not None
    (one,), (other,) = seen.attached("sidecar/web/a"), seen.attached("sidecar/web/b")
    assert one.key != other.key
    assert one.attachments[0].listener == "sidecar/web/a"
    assert one.attachments[0].hostnames == ("*",)


def test_changes_reach_clients_and_end_with_the_route() -> None:
    routes = Routes()
    assert routes.names("web") == []
    routes.put(route("mine", namespace="web"))
    assert routes.names("web") == ["HTTPRoute/web/mine/0"]
    routes.put(route("canary"))
    assert routes.names("elsewhere") == ["HTTPRoute/shop/canary/0"]
    routes.drop(Key("HTTPRoute", "web", "mine"))
    assert routes.names("web") == ["HTTPRoute/shop/canary/0"]
    routes.drop(SHOP)
    assert routes.names("web") == []
    routes.put(SERVICES)
    assert routes.names("web") == ["HTTPRoute/shop/canary/0"]
