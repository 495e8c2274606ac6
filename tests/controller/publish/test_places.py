"""Which table a service account gets, whatever its process says of itself."""

from __future__ import annotations

import pytest

from controller.ca.service_account import ServiceAccount
from controller.publish.places import table_of
from controller.store import Key
from controller.translate.workload import SidecarPlace

CART = ServiceAccount("shop", "cart")
SIDECARS = {
    Key("Pod", "shop", "cart-1"): SidecarPlace("shop/cart/1", "shop", "cart"),
    Key("WorkloadEntry", "shop", "machine"): SidecarPlace("shop/machine/1", "shop", "cart"),
    Key("Pod", "shop", "web-1"): SidecarPlace("shop/web/1", "shop", "web"),
    Key("Pod", "lab", "cart-1"): SidecarPlace("lab/cart/1", "lab", "cart"),
}


def table(account: ServiceAccount, workload: str = "") -> str | None:
    def gateway_of(namespace: str, name: str) -> Key | None:
        return Key("Gateway", namespace, "edge") if name == "edge-sekisho" else None

    return table_of(gateway_of, lambda: SIDECARS)(account, workload)


@pytest.mark.parametrize(("workload", "expected"), [("shop/cart-1", "shop/cart/1"), ("shop/machine", "shop/machine/1")])
def test_a_sidecar_gets_the_table_of_the_workload_that_has_its_account(workload: str, expected: str) -> None:
    assert table(CART, workload) == expected


@pytest.mark.parametrize("workload", ["shop/web-1", "lab/cart-1", "shop/other", "shop", "/", "shop/cart-1/x"])
def test_nobody_gets_the_table_of_a_workload_that_has_another_account(workload: str) -> None:
    assert table(CART, workload) is None


def test_the_gateway_of_a_gateway_names_no_workload() -> None:
    assert table(ServiceAccount("shop", "edge-sekisho")) == "shop/edge"
    assert table(CART) is None
