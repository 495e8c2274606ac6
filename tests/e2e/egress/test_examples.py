"""The repository's examples of egress, as they stand there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.egress import EgressGateway
from tests.support.examples import example
from tests.support.manifests import gateway_class, manifest
from tests.support.outside import NAME_SERVER, PUBLIC, Outside

DESTINATION = "edition.cnn.com"


@pytest.fixture(scope="module")
def gateway(outside: Outside, directory: Path) -> Iterator[EgressGateway]:
    """Only the servers that resolve names are of the test."""
    outside.zone[DESTINATION] = [PUBLIC]
    (way_out,) = example("egress/way-out.yaml")
    reference = {"group": "sekisho.dev", "kind": "GatewayParameters", "name": "out"}
    way_out["spec"]["infrastructure"] = {"parametersRef": reference}
    names = {"egress": {"nameservers": [NAME_SERVER]}}
    parameters = manifest("sekisho.dev/v1alpha1", "GatewayParameters", "out", "infra", spec=names)
    manifests = [gateway_class(), way_out, parameters, *example("egress/one-destination.yaml")]
    with EgressGateway(outside, directory / "examples", manifests) as running:
        yield running


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
