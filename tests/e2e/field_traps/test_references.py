"""Traps of policies, values and kinds that routes refer to."""

from __future__ import annotations

from pathlib import Path

from tests.support.backends.http1 import Http1Backend
from tests.support.certificates import shared_authority
from tests.support.edge import Edge, open_edge
from tests.support.manifests import (
    authority_config_map,
    backend,
    backend_tls_policy,
    external_backend,
    external_ref,
    gateway,
    gateway_class,
    http_listener,
    http_route,
    path_match,
    rule,
)
from tests.support.marked_rules import ask
from tests.support.ports import free_port
from tests.support.sekisho import Sekisho

# --- trap 11: BackendTLSPolicy -----------------------------------------------------------------------


def test_trap_11_the_hostname_does_not_authenticate_where_names_are_given(tmp_path: Path) -> None:
    """`hostname` is SNI and identity, unless subjectAltNames are given: then it must not authenticate.

    Invalid authorities are held by test_backends and test_bad_input.
    """
    tls = shared_authority().issue("policy.test").server_context(tmp_path)
    with Http1Backend("tls", tls=tls) as server:
        manifests = [authority_config_map("ca", shared_authority().pem)]
        for name, names in (("plain", []), ("names", [{"type": "Hostname", "hostname": "other.test"}])):
            manifests += [
                *backend(name, server.port),
                backend_tls_policy(name, name, "policy.test", "ca", alternative_names=names),
                http_route(name, rule(name), hosts=[f"{name}.test"]),
            ]
        with open_edge(tmp_path, manifests) as edge:
            assert ask(edge, "plain.test").status == 200
            assert ask(edge, "names.test").status in {502, 503}
    assert {item.authority for item in server.journal.received} == {"plain.test"}


# --- trap 15: status ---------------------------------------------------------------------------------


def test_trap_15_status_is_current_and_an_unknown_value_is_no_crash(tmp_path: Path, origin: Http1Backend) -> None:
    """An unknown enum value is `Accepted=False/UnsupportedValue`; the rest of the file serves."""
    port = free_port()
    manifests = [
        gateway_class(),
        gateway(http_listener(port)),
        *backend("origin", origin.port),
        http_route("fine", rule("origin"), hosts=["fine.test"]),
        http_route("odd", rule("origin", matches=[path_match("/x", "Telepathic")]), hosts=["odd.test"]),
    ]
    with Sekisho(tmp_path, manifests) as sekisho:
        edge = Edge(sekisho, port, 0)
        assert ask(edge, "fine.test").status == 200
        assert ask(edge, "odd.test", "/x").status == 404
        assert "UnsupportedValue" in sekisho.admin("/status").text


# --- trap 16: XBackend -------------------------------------------------------------------------------


def test_trap_16_an_external_host_named_by_xbackend(tmp_path: Path, origin: Http1Backend) -> None:
    """XBackend has no conformance test upstream: a route to an external host serves."""
    manifests = [external_backend("out", "localhost", origin.port), http_route("out", rule(external_ref("out")))]
    with open_edge(tmp_path, manifests) as edge:
        assert ask(edge, "t16.test").report.backend == "origin"
