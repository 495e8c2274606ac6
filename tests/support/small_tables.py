"""Small routing tables, made of resources that are complete by themselves."""

from __future__ import annotations

from gateway.routing_table.model import (
    Attachment,
    Backend,
    Certificate,
    Destination,
    Endpoint,
    Endpoints,
    Gateway,
    Listener,
    Match,
    PathMatch,
    Resources,
    Route,
    WeightedBackend,
)

GATEWAY = "default/edge"
LISTENER = "default/edge/http"
BACKEND = "Service/default/shop/80"
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nnobody-may-see-this\n-----END PRIVATE KEY-----\n"


def route(name: str = "shop", path: str = "/", *, backend: str = BACKEND) -> Route:
    return Route(
        key=f"HTTPRoute/default/{name}/0",
        kind="HTTPRoute",
        object=f"default/{name}",
        rule=0,
        attachments=(Attachment(listener=LISTENER, hostnames=("shop.example.com",)),),
        matches=(Match(path=PathMatch(type="PathPrefix", value=path)),),
        backends=(WeightedBackend(backend=backend),),
    )


def listener(name: str = "http", port: int = 8080) -> Listener:
    return Listener(
        key=f"{GATEWAY}/{name}",
        gateway=GATEWAY,
        address="127.0.0.1",
        port=port,
        bind_port=port,
        protocol="HTTP",
    )


def resources(*routes: Route, certificates: tuple[Certificate, ...] = ()) -> Resources:
    return Resources(
        certificates=certificates,
        endpoints=(Endpoints(key=BACKEND, endpoints=(Endpoint(address="127.0.0.1", port=3000),)),),
        backends=(
            Backend(
                key=BACKEND,
                destination=Destination(
                    service="shop.default.svc.cluster.local", service_name="shop", service_namespace="default"
                ),
            ),
        ),
        gateways=(Gateway(key=GATEWAY),),
        listeners=(listener(),),
        routes=routes or (route(),),
    )


def certificate(key: str = "Secret/default/tls", chain: str = "-----BEGIN CERTIFICATE-----\n") -> Certificate:
    return Certificate(key=key, chain=chain, private_key=PRIVATE_KEY)
