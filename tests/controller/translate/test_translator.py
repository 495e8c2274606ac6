from __future__ import annotations

import copy
from typing import Any

import pytest

from controller.store import Key, Snapshot
from controller.translate import Options, RouteStatus, Translator, translate
from tests.translation import golden

OPTIONS = Options(regex_problem=golden.regex_problem)


def document(kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    version = "v1" if kind == "Service" else "gateway.networking.k8s.io/v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


GATEWAY = document(
    "Gateway",
    "web",
    {"gatewayClassName": "sekisho", "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]},
)
ROUTE = document(
    "HTTPRoute",
    "shop",
    {"parentRefs": [{"name": "web"}], "rules": [{"backendRefs": [{"name": "shop", "port": 80}]}]},
)
SERVICE = document("Service", "shop", {"ports": [{"port": 80}]})


class Session:
    """A translator fed object by object."""

    def __init__(self) -> None:
        self.translator = Translator(OPTIONS)
        self.snapshot = Snapshot()

    def put(self, *documents: dict[str, Any]) -> Any:
        resources = [golden.resource_of(copy.deepcopy(one)) for one in documents]
        self.snapshot = self.snapshot.changed({Key.of(resource): resource for resource in resources})
        return self.translator.update(self.snapshot, [Key.of(resource) for resource in resources])

    def delete(self, key: Key) -> Any:
        self.snapshot = self.snapshot.changed({key: None})
        return self.translator.update(self.snapshot, [key])


@pytest.fixture
def session() -> Session:
    session = Session()
    session.put(GATEWAY, ROUTE, SERVICE)
    return session


def test_one_edit_is_one_small_change(session: Session) -> None:
    edited = copy.deepcopy(ROUTE)
    edited["spec"]["rules"][0]["matches"] = [{"path": {"value": "/cart"}}]
    change = session.put(edited).changes["standalone"]
    assert [route.key for route in change.upsert.routes] == ["HTTPRoute/default/shop/0"]
    assert not change.upsert.backends
    assert not change.remove.routes


def test_endpoints_change_without_touching_a_route(session: Session) -> None:
    pods = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "shop-1", "labels": {"kubernetes.io/service-name": "shop"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"]}],
        "ports": [{"port": 80}],
    }
    update = session.put(pods)
    change = update.changes["standalone"]
    assert [one.key for one in change.upsert.endpoints] == ["Service/default/shop/80"]
    assert (change.upsert.backends, change.upsert.routes) == ((), ())
    assert not update.changed_statuses


def test_a_missing_service_is_told_and_its_return_heals_the_route(session: Session) -> None:
    gone = session.delete(Key("Service", "default", "shop"))
    key = Key("HTTPRoute", "default", "shop")
    assert gone.changed_statuses == {key}
    assert gone.changes["standalone"].remove.backends == ("Service/default/shop/80",)
    status = gone.translation.statuses[key]
    assert isinstance(status, RouteStatus)
    assert {condition.reason for condition in status.parents[0].conditions} == {"Accepted", "BackendNotFound"}
    healed = session.put(SERVICE)
    assert healed.translation == translate(session.snapshot, OPTIONS)


def test_the_gateway_may_come_after_its_routes() -> None:
    session = Session()
    session.put(ROUTE)
    session.put(SERVICE)
    assert session.put(GATEWAY).translation.tables["standalone"].routes


def test_results_that_were_handed_out_stay_as_they_were(session: Session) -> None:
    before = session.translator.update(session.snapshot, ()).translation
    kept = golden.render(before)
    session.delete(Key("HTTPRoute", "default", "shop"))
    assert golden.render(before) == kept


def test_deleting_the_gateway_takes_its_part_of_the_table_and_every_status(session: Session) -> None:
    update = session.delete(Key("Gateway", "default", "web"))
    assert update.translation == translate(session.snapshot, OPTIONS)
    assert not update.translation.statuses
    assert update.translation.notices == {
        Key("HTTPRoute", "default", "shop"): ("parentRef Gateway default/web does not exist",)
    }


def test_private_keys_do_not_show_in_a_representation() -> None:
    case = golden.read("certificate")
    translation = translate(Snapshot(case.resources), case.options)
    key = translation.tables["standalone"].certificates[0].private_key
    assert key
    assert key not in repr(translation)
