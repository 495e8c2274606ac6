"""Objects that cannot be served, that are somebody else's, or that vanish and come back: each costs itself alone."""

from __future__ import annotations

import base64
import socket
import ssl
import time

from tests.support.certificates import serial_number, shared_authority
from tests.support.cluster_load import Target, steady_load
from tests.support.cluster_site import HOST, SECRET, Site
from tests.support.manifests import (
    GATEWAY_API,
    gateway,
    http_listener,
    https_listener,
    manifest,
    parent,
    path_match,
    rule,
)
from tests.support.real_cluster import RealCluster, echo_backend, fetch
from tests.support.waiting import eventually

HUGE_REGEX = "(a{1,1000}){1,1000}"


def test_what_cannot_be_served_costs_itself_alone(site: Site) -> None:
    cluster = site.cluster
    extension = {
        "type": "ExtensionRef",
        "extensionRef": {"group": "example.net", "kind": "Nothing", "name": "nothing"},
    }
    fine, huge = path_match("/fine"), path_match(HUGE_REGEX, "RegularExpression")
    with site.load("objects that cannot be served"):
        cluster.apply(
            site.route("regex", "regex.example.com", rule("shop", matches=[huge])),
            site.route("half", "half.example.com", rule("shop", matches=[huge]), rule("shop", matches=[fine])),
            site.route("extension", "extension.example.com", rule("shop", filters=[extension])),
            site.route("nowhere", "nowhere.example.com", rule("missing")),
            gateway(http_listener(15021), http_listener(8080, "fine"), name="port", namespace=site.space),
            manifest(
                "v1", "Secret", "rubbish", site.space, type="kubernetes.io/tls",
                data={"tls.crt": "cnViYmlzaA==", "tls.key": "cnViYmlzaA=="},
            ),
            gateway(https_listener(443, "rubbish"), http_listener(80), name="rubbish", namespace=site.space),
        )  # fmt: skip
        site.says("httproute", "regex", "Accepted", "False")
        site.says("httproute", "half", "PartiallyInvalid", "True")
        site.says("httproute", "extension", "ResolvedRefs", "False")
        site.says("httproute", "nowhere", "ResolvedRefs", "False")
        site.answers("regex.example.com", 404)
        site.answers("nowhere.example.com", 500)
        site.answers("extension.example.com", 500)
        eventually(
            lambda: fetch(site.address, "half.example.com", "/fine").status == 200, within=5, what="half a route"
        )
        cluster.programmed("rubbish", site.space)
        assert site.listener("https", "rubbish")["ResolvedRefs"]["reason"] == "InvalidCertificateRef"
        cluster.programmed("port", site.space)
        assert site.listener("http", "port")["Programmed"]["status"] == "False"
        assert site.listener("fine", "port")["Programmed"]["status"] == "True"
        site.follows("after-bad-objects")
    for name in ("regex", "half", "extension", "nowhere"):
        cluster.delete("httproute", name, site.space, wait=False)
    for name in ("port", "rubbish"):
        cluster.delete("gateway", name, site.space, wait=False)


def test_objects_of_another_class_are_left_alone(site: Site) -> None:
    cluster = site.cluster
    other = gateway(http_listener(80), name="other", namespace=site.space)
    other["spec"]["gatewayClassName"] = "other"
    route = site.route("other", "other.example.com")
    route["spec"]["parentRefs"] = [parent("other")]
    with site.load("objects of another class"):
        cluster.apply(
            manifest(GATEWAY_API, "GatewayClass", "other", None, spec={"controllerName": "example.net/other"}),
            other,
            route,
        )
        site.follows("beside-another-class")
        site.follows("beside-another-class")
    for kind, name in (("gatewayclass", "other"), ("gateway", "other"), ("httproute", "other")):
        managers = _managers(cluster, kind, name, site.space)
        assert managers == {"kubectl"}, f"{kind} was written by {managers}"
    assert not [
        item for item in cluster.items("deployments", site.space) if item["metadata"]["name"].startswith("other")
    ]
    assert fetch(site.address, "other.example.com").status == 404
    for kind, name in (("httproute", "other"), ("gateway", "other"), ("gatewayclass", "other")):
        cluster.delete(kind, name, site.space, wait=False)


def test_a_route_and_a_service_that_are_made_again_serve_again(site: Site) -> None:
    cluster = site.cluster
    cluster.echo("again", site.space)
    route = site.route("again", "again.example.com", rule("again"))
    cluster.apply(route)
    site.answers("again.example.com")
    with site.load("names that are made again"):
        before = cluster.get("service", "again", site.space)["spec"]["clusterIP"]
        cluster.delete("service", "again", site.space)
        site.answers("again.example.com", 500)
        placeholder = manifest(
            "v1", "Service", "in-the-way", site.space, spec={"ports": [{"port": 1}], "clusterIP": before}
        )
        cluster.apply(placeholder)
        cluster.apply(echo_backend("again", site.space)[1])
        assert cluster.get("service", "again", site.space)["spec"]["clusterIP"] != before
        site.answers("again.example.com")
        for _ in range(3):
            cluster.delete("httproute", "again", site.space)
            cluster.apply(route)
        site.answers("again.example.com")
        site.says("httproute", "again", "Accepted", "True")
        cluster.delete("httproute", "again", site.space)
        site.answers("again.example.com", 404)
    cluster.delete("service", "in-the-way", site.space, wait=False)


def test_a_gateway_that_is_made_again_gets_everything_anew(site: Site) -> None:
    cluster = site.cluster
    edge = gateway(http_listener(80), name="phoenix", namespace=site.space)
    route = site.route("phoenix", HOST)
    route["spec"]["parentRefs"] = [parent("phoenix")]
    with site.load("a Gateway that is made again"):
        cluster.apply(edge, route)
        cluster.programmed("phoenix", site.space)
        first = cluster.get("deployment", "phoenix-sekisho", site.space)["metadata"]["uid"]
        cluster.delete("gateway", "phoenix", site.space)
        cluster.apply(edge)

        def anew() -> bool:
            found = cluster.get("deployment", "phoenix-sekisho", site.space)
            return bool(found["metadata"]["uid"] != first)

        eventually(anew, within=30, every=0.2, what="the Deployment is another")
        address = cluster.programmed("phoenix", site.space)
        eventually(lambda: fetch(address, HOST).status == 200, within=20, every=0.1, what="the new Gateway serves")
    cluster.delete("gateway", "phoenix", site.space, wait=False)
    cluster.delete("httproute", "phoenix", site.space, wait=False)


def test_a_secret_that_vanishes_takes_no_traffic_away(site: Site) -> None:
    cluster = site.cluster

    def resolved() -> dict[str, str]:
        return dict(site.listener("https")["ResolvedRefs"])

    with site.load("a Secret that vanishes", tls=True), site.load("a Secret that vanishes, plain HTTP"):
        cluster.delete("secret", SECRET, site.space)
        eventually(lambda: resolved()["status"] == "False", within=10, every=0.1, what="the status says it")
        assert resolved()["reason"] == "InvalidCertificateRef"
        assert "keeps being served" in resolved()["message"]
        assert site.listener("https")["Programmed"]["status"] == "True"
        site.follows("without-a-secret")
        time.sleep(1)
        new = site.certificate()
        cluster.apply(new)
        eventually(lambda: resolved()["status"] == "True", within=10, every=0.1, what="the status says it is back")
    serial = serial_number(_shown(site))
    assert serial == serial_number(_decoded(new["data"]["tls.crt"])), "the certificate that came back is not served"


def _managers(cluster: RealCluster, kind: str, name: str, space: str) -> set[str]:
    """Who wrote an object."""
    template = "{range .metadata.managedFields[*]}{.manager} {end}"
    words = ("-n", space, "--show-managed-fields", "-o", f"jsonpath={template}")
    return set(cluster.kubectl("get", kind, name, *words).split())


def _shown(site: Site) -> str:
    """The certificate that the Gateway shows."""

    context = shared_authority().client_context()

    with (
        socket.create_connection((site.address, 443), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as secured,
    ):
        encoded = secured.getpeercert(binary_form=True)
    assert encoded is not None
    return ssl.DER_cert_to_PEM_cert(encoded)


def _decoded(text: str) -> str:

    return base64.b64decode(text).decode()


def test_a_namespace_that_is_deleted_takes_its_own_traffic_alone(site: Site) -> None:
    cluster: RealCluster = site.cluster
    with cluster.space("doomed") as doomed:
        cluster.echo("shop", doomed)
        cluster.apply(site.route("doomed", "doomed.example.com", space=doomed))
        site.answers("doomed.example.com")
        seen: list[int] = []
        with site.load("a namespace that is deleted"):
            cluster.kubectl("delete", "namespace", doomed, "--wait=false")
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and (not seen or seen[-1] != 404):
                seen.append(fetch(site.address, "doomed.example.com").status)  # a connection error fails the test
                time.sleep(0.02)
            site.follows("after-a-namespace")
    assert seen[-1] == 404, f"it is still answered with {seen[-1]}"
    assert set(seen) <= {200, 404, 500, 503}, f"answers were {sorted(set(seen))}"
    with steady_load("after the namespace", Target(site.address, HOST)):
        pass
