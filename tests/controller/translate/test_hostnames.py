from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.translate.hostnames import ANY, hostname_problem, intersect, overlap

labels = st.sampled_from(["a", "b", "example", "com"])
hostnames = st.builds(
    lambda wildcard, parts: ("*." if wildcard else "") + ".".join(parts),
    st.booleans(),
    st.lists(labels, min_size=1, max_size=3),
)
hosts = st.lists(labels, min_size=1, max_size=4).map(".".join)


def covers(hostname: str, host: str) -> bool:
    """The rule, said as plainly as possible: an oracle for the tests."""
    if hostname in ("", ANY):
        return True
    if hostname.startswith("*."):
        return host.endswith(hostname[1:]) and host != hostname[2:]
    return host == hostname


@given(hostnames, st.lists(hostnames, max_size=3), hosts)
def test_an_intersection_holds_the_hosts_that_both_sides_cover(listener: str, route: list[str], host: str) -> None:
    agreed = intersect(listener, route)
    both = covers(listener, host) and (not route or any(covers(hostname, host) for hostname in route))
    assert any(covers(hostname, host) for hostname in agreed) == both


@given(hostnames, hostnames, hosts)
def test_overlapping_hostnames_are_found_both_ways(one: str, other: str, host: str) -> None:
    assert overlap(one, other) == overlap(other, one)
    if covers(one, host) and covers(other, host):
        assert overlap(one, other)


def test_no_hostname_at_all_is_every_host() -> None:
    assert intersect("", ()) == (ANY,)


def test_a_wildcard_covers_several_labels_and_not_the_bare_domain() -> None:
    assert intersect("*.example.com", ["a.b.example.com", "example.com"]) == ("a.b.example.com",)


def test_a_listener_without_hostname_overlaps_with_all() -> None:
    assert overlap("", "a.example.com")


@pytest.mark.parametrize("name", ["example.com", "*.example.com", "localhost", "a_b.example", "a" * 63 + ".com"])
def test_names_that_are_hostnames(name: str) -> None:
    assert hostname_problem(name) == ""


@pytest.mark.parametrize(
    "name", ["10.0.0.1", "*.10.0.0.1", "::1", "a..b", "-a.com", "a-.com", "A.com", "a" * 64 + ".com", "a.*.com", ""]
)
def test_names_that_are_not(name: str) -> None:
    assert hostname_problem(name)
