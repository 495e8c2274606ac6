"""Over random egress policies, what `explain` says of requests that routes send outside is what the engine did.

Outside is this machine: a name server of the test's own answers with a loopback address, which a rule may permit, or
with a private one, which none does.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway._engine import Engine, explain
from gateway.routing_table import model
from tests.support.backends.http2 import Http2Backend
from tests.support.certificates import Authority
from tests.support.clients.raw import RawClient, RawResponse
from tests.support.name_server import NameServer
from tests.support.ports import free_port

PORT = free_port()
LOOPBACK, PRIVATE = "127.0.0.1", "192.168.77.1"
PLACES = {"ok.example": LOOPBACK, "a.ok.example": LOOPBACK, "private.example": PRIVATE, "none.example": ""}
IDENTITIES = ("", "spiffe://cluster.local/ns/shop/sa/cart", "spiffe://cluster.local/ns/bank/sa/pay")
METHODS, PATHS = ("GET", "POST"), ("/", "/v1", "/v1/x", "/v2")
SERVER, CLIENTS = "Secret/default/server", "ConfigMap/default/clients"

sources = st.one_of(
    st.builds(model.EgressSource, namespaces=st.sampled_from((("shop",), ("bank",), ("shop", "bank")))),
    st.builds(model.EgressSource, principals=st.just(("cluster.local/ns/shop/sa/cart",))),
    st.builds(model.EgressSource, subject_alt_names=st.just((IDENTITIES[2],))),
    st.builds(model.EgressSource, ip_blocks=st.sampled_from((("127.0.0.0/8",), ("10.0.0.0/8",)))),
)
some = st.sampled_from


@st.composite
def policies(draw: st.DrawFn, port: int) -> tuple[model.EgressPolicy, ...]:
    destinations = st.builds(
        model.EgressDestination,
        names=st.lists(some((*PLACES, "**.ok.example", "*.example", "*")), min_size=1, max_size=2).map(tuple),
        ports=some(((port,), (port, 443), (443,))),
        protocols=some(((), (), ("HTTP",), ("TLS",))),
        methods=some(((), (), ("GET",))),
        path_prefixes=some(((), (), ("/v1",))),
    )
    rules = st.builds(
        model.EgressRule,
        name=some(("one", "two")),
        action=some(("Allow", "Allow", "Allow", "Deny")),
        sources=st.lists(sources, max_size=2).map(tuple),
        destinations=st.lists(destinations, min_size=1, max_size=2).map(tuple),
        address_blocks=some(((), (f"{LOOPBACK}/32",), (f"{LOOPBACK}/32",))),
    )
    many = st.lists(rules, min_size=1, max_size=2, unique_by=lambda rule: rule.name).map(tuple)
    made = st.builds(
        model.EgressPolicy,
        key=some(("default/a", "default/b", "default/c")),
        mode=some(("Enforce", "Enforce", "Report")),
        rules=many,
        confined_to=some(("", "", "shop")),
        refusal=some(("", "", "", "", "a field of another version")),
    )
    return tuple(draw(st.lists(made, max_size=3, unique_by=lambda policy: policy.key)))


@st.composite
def tables(draw: st.DrawFn, port: int, names: str, server: model.Certificate, clients: str) -> model.Resources:
    """A rule for each destination, by its host; some are of a GRPCRoute, and some name another host."""
    chosen = draw(policies(port))
    missing = draw(some(((), (), (), ("default/gone",))))
    routed = model.RoutedEgress(policies=(*(policy.key for policy in chosen), *missing), nameservers=(names,))
    backends, endpoints, routes = [], [], []
    for number, name in enumerate(PLACES):
        key = f"XBackend/default/b{number}/{port}"
        backends.append(model.Backend(key=key, protocol="H2C"))
        endpoints.append(model.Endpoints(key=key, endpoints=(model.Endpoint(address=name, port=port),)))
        kind: Literal["HTTPRoute", "GRPCRoute"] = draw(some(("HTTPRoute", "HTTPRoute", "GRPCRoute")))
        rewrites = kind == "HTTPRoute" and draw(some((False, False, False, True)))
        routes.append(
            model.Route(
                key=f"{kind}/default/r{number}/0",
                kind=kind,
                object=f"default/r{number}",
                rule=0,
                created=0,
                attachments=(model.Attachment(listener="default/edge/web", hostnames=(name,)),),
                matches=(model.Match(),),
                filters=(model.URLRewrite(hostname="other.example"),) if rewrites else (),
                backends=(model.WeightedBackend(backend=key, weight=1),),
            )
        )
    listener = model.Listener(
        key="default/edge/web",
        gateway="default/edge",
        address=LOOPBACK,
        port=PORT,
        bind_port=PORT,
        protocol="HTTPS",
        certificates=(server.key,),
        client_validation=model.ClientValidation(trust_bundles=(CLIENTS,), allow_insecure_fallback=True),
        routed_egress=routed,
    )
    return model.Resources(
        trust_bundles=(model.TrustBundle(key=CLIENTS, certificates=clients),),
        certificates=(server,),
        endpoints=tuple(endpoints),
        backends=tuple(backends),
        gateways=(model.Gateway(key="default/edge"),),
        egress_policies=chosen,
        listeners=(listener,),
        routes=tuple(routes),
    )


@dataclass(frozen=True)
class Place:
    """What the tests share: an engine, the host outside, and certificates."""

    engine: Engine
    port: int
    names: str
    authority: Authority
    server: model.Certificate
    contexts: dict[str, ssl.SSLContext]


@pytest.fixture(scope="module")
def place(directory: Path) -> Iterator[Place]:
    authority = Authority("Clients")
    issued = authority.issue(*PLACES)
    contexts = {}
    for number, identity in enumerate(IDENTITIES):
        contexts[identity] = authority.client_context()
        if identity:
            contexts[identity].load_cert_chain(*authority.issue(uris=[identity]).write(directory, f"client{number}"))
    engine = Engine(json.dumps({"workers": 1, "access_log": "none", "records": {}}).encode())
    with Http2Backend() as backend, NameServer(PLACES) as names:
        server = model.Certificate(key=SERVER, chain=issued.chain, private_key=issued.private_key)
        yield Place(engine, backend.port, names.address, authority, server, contexts)
    engine.close()


_versions = iter(range(1, 1_000_000))


def apply(engine: Engine, table: model.Resources) -> bytes:
    snapshot = msgspec.json.encode(model.Snapshot(version=str(next(_versions)), resources=table))
    applied = msgspec.json.decode(engine.apply(snapshot), type=model.Applied)
    assert not applied.error
    assert not applied.rejected
    return snapshot


GRPC: dict[int, str] = {200: "0", 403: "7", 421: "14", 502: "14"}
"""What stands for a status in gRPC's words."""


def is_one_of(answer: RawResponse, statuses: set[int]) -> bool:
    told = answer.header("grpc-status")
    return answer.status in statuses if told is None else told in {GRPC[status] for status in statuses}


def expected(said: dict[str, Any], name: str) -> set[int]:
    """What the engine must do, with what only it knows: where the name leads."""
    if said["decision"] != "route":
        return {said["status"]}
    [outside] = said["destinations"]
    permitted = f"{PLACES[name]}/32" in outside["egress"]["address_blocks"]
    if not PLACES[name]:
        return {502}
    return {200} if permitted else {403}


@settings(max_examples=max(150, settings().max_examples), deadline=None)
@given(data=st.data())
def test_explain_says_what_becomes_of_a_request_that_leads_outside(place: Place, data: st.DataObject) -> None:
    table = data.draw(tables(place.port, place.names, place.server, place.authority.pem), label="table")
    snapshot = apply(place.engine, table)
    identity = data.draw(some(IDENTITIES), label="identity")
    for name in PLACES:
        method, path = data.draw(some(METHODS)), data.draw(some(PATHS))
        headers = [("content-type", "application/grpc")] if data.draw(some((False, False, True))) else []
        url = f"https://{name}:{PORT}{path}"
        asked = json.dumps({"method": method, "url": url, "headers": headers, "from": identity}).encode()
        said = json.loads(place.engine.explain(asked))
        assert said == json.loads(explain(snapshot, asked)), "live and offline differ"
        lines = [f"{key}: {value}" for key, value in headers] + (["content-length: 0"] if method == "POST" else [])
        with RawClient(PORT, tls=place.contexts[identity], server_name=name) as client:
            answer = client.request(method, path, *lines, host=name)
        assert is_one_of(answer, expected(said, name)), (said, answer)


def test_a_connection_is_not_needed_to_explain(place: Place) -> None:
    """The name server hears of no question, and nothing is counted."""
    with contextlib.closing(socket.create_server((LOOPBACK, 0))) as silent, NameServer(PLACES) as names:
        port = silent.getsockname()[1]
        rule = model.EgressRule(
            name="all",
            destinations=(model.EgressDestination(names=("ok.example",), ports=(port,)),),
            limits=model.EgressLimits(connections=7),
        )
        key = f"XBackend/default/b0/{port}"
        route = model.Route(
            key="HTTPRoute/default/r/0",
            kind="HTTPRoute",
            object="default/r",
            rule=0,
            created=0,
            attachments=(model.Attachment(listener="default/edge/web", hostnames=("*",)),),
            matches=(model.Match(),),
            filters=(
                model.CredentialInjection(
                    headers=(model.SecretHeader(name="x-key", value="of-a-secret"),), source="a/b"
                ),
            ),
            backends=(model.WeightedBackend(backend=key, weight=1),),
        )
        listener = model.Listener(
            key="default/edge/web",
            gateway="default/edge",
            address=LOOPBACK,
            port=PORT,
            bind_port=PORT,
            protocol="HTTP",
            routed_egress=model.RoutedEgress(policies=("default/a",), nameservers=(names.address,)),
        )
        resources = model.Resources(
            endpoints=(model.Endpoints(key=key, endpoints=(model.Endpoint(address="ok.example", port=port),)),),
            backends=(model.Backend(key=key),),
            gateways=(model.Gateway(key="default/edge"),),
            egress_policies=(model.EgressPolicy(key="default/a", rules=(rule,)),),
            listeners=(listener,),
            routes=(route,),
        )
        apply(place.engine, resources)
        answer = place.engine.explain(json.dumps({"method": "GET", "url": f"http://ok.example:{PORT}/v1?q"}).encode())
        assert b"of-a-secret" not in answer
        [outside] = json.loads(answer)["destinations"]
        assert (outside["host"], outside["port"], outside["path"]) == ("ok.example", port, "/v1")
        assert outside["credentials"] == ["x-key"]
        assert outside["egress"]["limits"]["connections"] == 7
        assert (outside["egress"]["policy"], outside["egress"]["rule"]) == ("default/a", "all")
        assert names.questions == []
