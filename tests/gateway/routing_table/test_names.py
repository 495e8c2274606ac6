from __future__ import annotations

import pytest

from gateway.routing_table.validate import is_ip_address


@pytest.mark.parametrize(
    ("text", "is_address"),
    [("10.0.0.1", True), ("fe80::1", True), ("fe80::1%eth0", False), ("www.example.com", False), ("", False)],
)
def test_an_address_that_can_be_dialled_has_no_zone(text: str, is_address: bool) -> None:
    assert is_ip_address(text) is is_address
