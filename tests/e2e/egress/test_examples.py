"""The repository's examples of egress, as they stand there."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import mutual_host
from tests.support.certificates import Authority
from tests.support.egress import EgressGateway
from tests.support.examples import example
from tests.support.manifests import authority_config_map, gateway_class, manifest, tls_secret
from tests.support.outside import NAME_SERVER, PUBLIC, Outside

DESTINATION = "edition.cnn.com"
DATABASE = ("orders.db.example.net", 5433)


@pytest.fixture(scope="module")
def gateway(outside: Outside, directory: Path, authority: Authority) -> Iterator[EgressGateway]:
    """Only the servers that resolve names, certificates and authorities are of the test."""
    outside.zone |= {DESTINATION: [PUBLIC], DATABASE[0]: [PUBLIC]}
    (way_out,) = example("egress/way-out.yaml")
    database = example("egress/database.yaml")
    for one in (way_out, database[0]):
        reference = {"group": "sekisho.dev", "kind": "GatewayParameters", "name": "out"}
        one["spec"]["infrastructure"] = {"parametersRef": reference}
    names = {"egress": {"nameservers": [NAME_SERVER]}}
    parameters = manifest("sekisho.dev/v1alpha1", "GatewayParameters", "out", "infra", spec=names)
    manifests = [gateway_class(), way_out, parameters, *example("egress/one-destination.yaml"), *database]
    manifests += [
        authority_config_map("provider-authority", authority.pem, "infra"),
        tls_secret("orders-client", authority.issue("gateway.example"), "infra"),
    ]
    context = authority.issue(DATABASE[0]).server_context(directory)
    context.load_verify_locations(cadata=authority.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    with (
        mutual_host.serving((PUBLIC, DATABASE[1]), context, outside.beyond.run),
        EgressGateway(outside, directory / "examples", manifests) as running,
    ):
        yield running


def test_a_database_is_reached_by_a_certificate_that_no_client_has(gateway: EgressGateway) -> None:
    with gateway.connect(5432) as client:
        client.sendall(b"SELECT 1;")
        assert client.recv(4096).endswith(b"hello gateway.example")
    host, port = DATABASE
    record = gateway.decision(host=host, port=port, decision="allow")
    assert (record["way"], record["policy"], record["rule"]) == ("Route", "infra/databases", "orders")


def test_one_object_lets_one_destination_out(gateway: EgressGateway, authority_file: Path) -> None:
    assert len(example("egress/one-destination.yaml")) == 1

    def curl(url: str) -> subprocess.CompletedProcess[str]:
        words = ["ip", "netns", "exec", gateway.outside.inside.name, "curl", "-sS", "-m", "10", "-x"]
        words += ["http://127.0.0.1:3128", "--cacert", str(authority_file), url]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)

    for scheme in ("http", "https"):
        answered = curl(f"{scheme}://{DESTINATION}/politics")
        assert answered.stdout == f"outside {PUBLIC}", answered.stderr
    assert "#platform" in curl("http://ok.example/").stdout
    assert "response 403" in curl("https://ok.example/").stderr
    assert "response 403" in curl(f"https://{DESTINATION}:8443/").stderr
    record = gateway.decision(host=DESTINATION, port=443)
    assert (record["policy"], record["rule"]) == ("infra/edition", "edition")
