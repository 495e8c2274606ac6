"""Ingresses by kubectl: a class and its Gateway, live traffic, TLS, the status and the Events that people look at."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import pytest

from tests.support.certificates import shared_authority
from tests.support.ingress import ingress, ingress_class, ingress_path
from tests.support.manifests import (
    Manifest,
    backend_ref,
    gateway,
    http_listener,
    http_route,
    https_listener,
    parent,
    rule,
    tls_secret,
)
from tests.support.real_cluster import RealCluster, fetch, under_load
from tests.support.waiting import eventually

SPACE, CLASS, HOST = "shopfront", "public", "shop.example.com"
START_SECONDS, FOLLOW_SECONDS = 120.0, 20.0


def placed(manifest: Manifest) -> Manifest:
    manifest["metadata"]["namespace"] = SPACE
    return manifest


def shop(service: str, **annotations: str) -> Manifest:
    tls = [{"hosts": [HOST], "secretName": "shop"}]
    named = {key.replace("_", "-"): value for key, value in annotations.items()}
    return placed(ingress("shop", [HOST], ingress_path(service), tls=tls, annotations=named, class_name=CLASS))


@pytest.fixture(scope="module")
def address(cluster: RealCluster) -> Iterator[str]:
    """Of the Gateway that serves the class: its HTTPS listener has no certificate but the Ingresses'."""
    secure = https_listener(443)
    secure["tls"] = {"mode": "Terminate", "options": {"sekisho.dev/certificates": "Ingress"}}
    with cluster.space(SPACE):
        cluster.apply(
            ingress_class(CLASS, gateway=(SPACE, "public")),
            gateway(http_listener(80), secure, name="public", namespace=SPACE),
            tls_secret("shop", shared_authority().issue(HOST), SPACE),
        )
        for name in ("one", "two"):
            cluster.echo(name, SPACE)
        cluster.apply(shop("one"))
        try:
            yield cluster.programmed("public", SPACE, within=START_SECONDS)
        finally:
            cluster.kubectl("delete", "ingressclass", CLASS, "--ignore-not-found")


def served_by(address: str, service: str, path: str = "/") -> None:
    """Waits until a pod of this Service answers."""

    def probe() -> bool:
        answer = fetch(address, HOST, path)
        assert answer.status == 200, f"{answer.status}: {answer.body[:200]!r}"
        return str(answer.json()["pod"]).startswith(f"{service}-")

    eventually(probe, within=FOLLOW_SECONDS, every=0.1)


def secured(address: str, name: str) -> str:
    """The status line over TLS, verified for this name."""
    client = shared_authority().client_context()
    with (
        socket.create_connection((address, 443), timeout=5) as plain,
        client.wrap_socket(plain, server_hostname=name) as stream,
    ):
        stream.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        return stream.recv(64).decode().split("\r\n")[0]


def test_an_ingress_is_served_over_http_and_with_its_own_certificate(address: str) -> None:
    served_by(address, "one")
    assert secured(address, HOST) == "HTTP/1.1 200 OK"
    with pytest.raises(ssl.SSLError):
        secured(address, "nobody.example.com")
    assert fetch(address, "nobody.example.com").status == 404


def test_the_address_stands_in_the_status(cluster: RealCluster, address: str) -> None:
    def told() -> bool:
        points = cluster.get("ingress", "shop", SPACE)["status"].get("loadBalancer", {}).get("ingress", [])
        return [point.get("ip") or point.get("hostname") for point in points] == [address]

    eventually(told, within=FOLLOW_SECONDS, every=0.2)


def test_a_change_is_followed_and_no_request_fails(cluster: RealCluster, address: str) -> None:
    served_by(address, "one")
    with under_load(address, HOST):
        for service in ("two", "one", "two", "one"):
            cluster.apply(shop(service))
            served_by(address, service)


def test_annotations_have_their_effect_and_those_without_one_are_named_in_an_event(
    cluster: RealCluster, address: str
) -> None:
    cluster.apply(shop("one", force_ssl_redirect="true", proxy_buffer_size="8k"))

    def redirected() -> bool:
        return fetch(address, HOST).status == 308

    eventually(redirected, within=FOLLOW_SECONDS, every=0.1)

    def noted() -> bool:
        found = [it for it in cluster.items("events", SPACE) if it["involvedObject"].get("kind") == "Ingress"]
        return any("proxy-buffer-size" in it["message"] for it in found)

    eventually(noted, within=FOLLOW_SECONDS, every=0.5)
    cluster.apply(shop("one"))
    served_by(address, "one")


def test_a_route_takes_over_from_an_ingress_and_gives_back(cluster: RealCluster, address: str) -> None:
    served_by(address, "one")
    route = http_route("shop", rule(backend_ref("two")), hosts=[HOST], parents=[parent("public")], namespace=SPACE)
    with under_load(address, HOST):
        cluster.apply(route)
        served_by(address, "two")
        cluster.delete("httproute", "shop", SPACE)
        served_by(address, "one")


def test_an_ingress_of_another_class_is_left_alone(cluster: RealCluster, address: str) -> None:
    served_by(address, "one")
    theirs = placed(ingress("theirs", ["theirs.example.com"], ingress_path("one"), class_name="nginx"))
    cluster.apply(theirs)
    cluster.apply(shop("two"))
    served_by(address, "two")
    assert fetch(address, "theirs.example.com").status == 404
    assert not cluster.get("ingress", "theirs", SPACE).get("status", {}).get("loadBalancer")
    cluster.delete("ingress", "theirs", SPACE)
