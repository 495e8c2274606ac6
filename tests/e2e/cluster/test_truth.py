"""What kubectl and `sekisho status` tell is one story, and it is true: the data plane's word, object by object."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster_processes import ask_inside, status_inside
from tests.support.cluster_site import CONTROLLER_NAME, Site
from tests.support.manifests import gateway, https_listener
from tests.support.waiting import eventually

REFUSED = "the private key cannot be used"


@pytest.fixture
def broken(site: Site) -> Iterator[Site]:
    """Gateway ``broken``: one listener with a certificate that translation accepts and the engine cannot load."""
    site.cluster.apply(
        site.certificate("p521", "p521"),
        gateway(https_listener(443, "p521"), name="broken", namespace=site.space),
    )
    yield site
    site.cluster.delete("gateway", "broken", site.space, wait=False)
    site.cluster.delete("secret", "p521", site.space, wait=False)


def test_what_the_data_plane_refuses_is_not_programmed_and_nothing_else_suffers(broken: Site) -> None:
    site = broken
    with site.load("a gateway that refuses"):
        condition = site.says("gateway", "broken", "Programmed", "False", within=60)
        eventually(lambda: REFUSED in _programmed(site, "broken")["message"], within=60, every=0.2, what="it says why")
        condition = _programmed(site, "broken")
        listener = site.listener("https", "broken")
        assert (listener["Accepted"]["status"], listener["ResolvedRefs"]["status"]) == ("True", "True")
        assert (listener["Programmed"]["status"], listener["Programmed"]["reason"]) == ("False", "Invalid")
        assert REFUSED in listener["Programmed"]["message"]
        assert "Secret/site/p521" in listener["Programmed"]["message"]
        assert _programmed(site, "edge")["status"] == "True"
        for name in ("http", "https"):
            assert site.listener(name)["Programmed"]["status"] == "True"
        assert condition["reason"] == "Invalid"
        _tells_the_same(site)
        site.cluster.apply(site.certificate(name="p521"))
        site.cluster.programmed("broken", site.space)
        _tells_the_same(site)


def test_a_refused_certificate_leaves_the_one_before_it_in_service(site: Site) -> None:
    with site.load("a refused certificate", tls=True):
        site.cluster.apply(site.certificate("p521"))
        eventually(
            lambda: site.listener("https")["Programmed"]["status"] == "False", within=20, what="the listener says it"
        )
        listener = site.listener("https")["Programmed"]
        assert REFUSED in listener["message"]
        assert "the previous version, if there was one, keeps serving" in listener["message"]
        assert site.listener("http")["Programmed"]["status"] == "True"
        assert _programmed(site, "edge")["status"] == "True"
        assert "except listeners https" in _programmed(site, "edge")["message"]
        _tells_the_same(site)
        site.cluster.apply(site.certificate())
        eventually(
            lambda: site.listener("https")["Programmed"]["status"] == "True", within=20, what="the listener is served"
        )


def test_the_gateway_tells_what_it_serves_from_inside_too(site: Site) -> None:
    (pod, *_) = site.pods()
    assert f"gateway {pod} holds " in ask_inside(pod, "status")


def _programmed(site: Site, name: str) -> dict[str, str]:
    return dict(site.said("gateway", name).get("Programmed", {"status": "", "message": ""}))


def _tells_the_same(site: Site) -> None:
    """Every condition of every Gateway and route of the namespace: kubectl's and the controller's own report."""
    (controller,) = site.controllers()

    def same() -> bool:
        report = status_inside(controller)
        told = {
            f"{item['kind']}/{item['namespace']}/{item['name']}": _of_report(item)
            for item in report["objects"]
            if item.get("namespace") == site.space and item["kind"] in ("Gateway", "HTTPRoute")
        }
        shown = {
            f"{item['kind']}/{site.space}/{item['metadata']['name']}": _of_object(item)
            for kind in ("gateways", "httproutes")
            for item in site.cluster.items(kind, site.space)
            if item["spec"].get("gatewayClassName", "sekisho") == "sekisho"
        }
        # A route whose parents are gone has no word of ours, and no place in the report.
        assert told == {name: conditions for name, conditions in shown.items() if conditions}
        assert len(told) > 2
        return True

    eventually(same, within=10, every=0.3, what="kubectl and sekisho status tell the same")


Told = set[tuple[str, str, str]]


def _of_report(item: dict[str, object]) -> Told:
    found = _facts(item.get("conditions", []))
    for part in item.get("parts", []):  # type: ignore[attr-defined]
        found |= _facts(part.get("conditions", []))
    return found


def _of_object(item: dict[str, object]) -> Told:
    status: dict[str, object] = item.get("status", {})  # type: ignore[assignment]
    found = _facts(status.get("conditions", []))
    for part in (*status.get("listeners", []), *status.get("parents", [])):  # type: ignore[misc]
        if part.get("controllerName", CONTROLLER_NAME) == CONTROLLER_NAME:
            found |= _facts(part.get("conditions", []))
    return found


def _facts(conditions: object) -> Told:
    assert isinstance(conditions, list)
    return {(item["type"], item["status"], item.get("message", "")) for item in conditions}
