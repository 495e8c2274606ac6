from __future__ import annotations

import pytest

from controller.store import Key
from controller.translate.names import (
    backend_key,
    gateway_of,
    ingress_listener_key,
    listener_key,
    listener_of,
    object_name,
    route_key,
    route_of,
)

GATEWAY = Key("Gateway", "infra", "web.example")
SET = Key("ListenerSet", "shop", "more.example")
ROUTE = Key("HTTPRoute", "shop", "cart.v1")


@pytest.mark.parametrize("address", ["", "::1", "10.0.0.1"])
def test_a_listener_is_found_again_from_its_key(address: str) -> None:
    assert listener_of(listener_key(GATEWAY, GATEWAY, "https.main", address)) == (GATEWAY, "https.main")
    assert listener_of(listener_key(GATEWAY, SET, "https.main", address)) == (SET, "https.main")
    assert listener_of(ingress_listener_key(GATEWAY, "*.example.com", address)) == (GATEWAY, "Ingress/*.example.com")


@pytest.mark.parametrize("variant", ["", object_name(GATEWAY)])
def test_a_rule_is_found_again_from_its_key(variant: str) -> None:
    assert route_of(route_key(ROUTE, 12, variant)) == (ROUTE, 12)


def test_a_gateway_is_found_again_from_its_key() -> None:
    assert gateway_of(object_name(GATEWAY)) == GATEWAY


def test_variants_of_a_backend_have_keys_of_their_own() -> None:
    service = Key("Service", "shop", "cart")
    assert backend_key(service, 80, "") == "Service/shop/cart/80"
    assert backend_key(service, 80, "", "UDP") == "Service/shop/cart/80@udp"
    assert backend_key(service, 80, "infra/web", "TLS") == "Service/shop/cart/80@tls@infra/web"
    assert backend_key(service, 80, "infra/web") == "Service/shop/cart/80@infra/web"
