"""An outside, and its names."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.support.certificates import Authority
from tests.support.outside import METADATA, OTHER_PUBLIC, PRIVATE, PUBLIC, SHARED, Outside, can_make_namespaces

SPECIAL = {
    "loopback": "127.0.0.1",
    "loopback-high": "127.99.0.1",
    "this-network": "0.0.0.0",
    "zero-net": "0.1.2.3",
    "private-10": PRIVATE,
    "private-172": "172.16.5.4",
    "private-192": "192.168.0.1",
    "gateway": "172.30.77.1",
    "link-local": "169.254.7.7",
    "metadata": METADATA,
    "metadata-ecs": "169.254.170.2",
    "metadata-alibaba": "100.100.100.200",
    "metadata-azure": "168.63.129.16",
    "shared": SHARED,
    "multicast": "224.0.0.251",
    "documentation": "192.0.2.1",
    "documentation-2": "198.51.100.7",
    "documentation-3": "203.0.113.7",
    "benchmark": "198.18.0.1",
    "protocol": "192.0.0.8",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "v6-loopback": "::1",
    "v6-unspecified": "::",
    "v6-private": "fd00::1",
    "v6-link-local": "fe80::1",
    "v6-multicast": "ff02::1",
    "v6-documentation": "2001:db8::1",
    "v6-metadata": "fd00:ec2::254",
    "v6-mapped-metadata": "::ffff:169.254.169.254",
    "v6-mapped-loopback": "::ffff:127.0.0.1",
    "v6-compatible": "::10.9.9.9",
    "v6-nat64": "64:ff9b::a09:909",
    "v6-nat64-metadata": "64:ff9b::a9fe:a9fe",
    "v6-nat64-local": "64:ff9b:1::a09:909",
    "v6-6to4": "2002:a09:909::1",
    "v6-teredo": "2001:0:5db8:d80a:0:0:f5f6:f6f6",
    "v6-isatap": "2606:4700::5efe:a09:909",
    "v6-site-local": "fec0::1",
}
"""Addresses that a name may not resolve to, by what they are."""


def zone() -> dict[str, object]:
    turns = itertools.cycle(([PUBLIC], [PRIVATE]))
    return {
        "ok.example": [PUBLIC],
        "other.example": [OTHER_PUBLIC],
        "deep.sub.ok.example": [PUBLIC],
        "intranet.corp.example": [PRIVATE],
        "alias-private.example": ["intranet.corp.example."],
        "alias-ok.example": ["ok.example."],
        "mixed.example": [PUBLIC, PRIVATE],
        "mixed-v6.example": [PUBLIC, "fd00::1"],
        "mixed-metadata.example": [METADATA, PUBLIC],
        "empty.example": [],
        "turning.example": lambda: next(turns),
        **{f"{name}.special.example": [address] for name, address in SPECIAL.items()},
    }


@pytest.fixture(scope="module")
def outside(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    if not can_make_namespaces():
        pytest.skip("network namespaces need root and ip(8)")
    names = (
        "ok.example",
        "other.example",
        "*.ok.example",
        "intranet.corp.example",
        "alias-ok.example",
        "edition.cnn.com",
    )
    context = authority.issue(*names).server_context(tmp_path_factory.mktemp("outside"))
    with Outside(zone(), context).running() as running:  # type: ignore[arg-type]
        yield running
