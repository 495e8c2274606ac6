"""A provisioned way out that writes its records to files and to a collector, as GatewayParameters say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.clients.forward_proxy import through
from tests.support.manifests import Manifest, manifest
from tests.support.real_cluster import CommandError, RealCluster
from tests.support.waiting import eventually

SPACE, PORT = "audited", 3128
START_SECONDS, FOLLOW_SECONDS = 120.0, 30.0
COLLECTOR = f"collector.{SPACE}.svc.cluster.local:4318"


def in_space(kind: str, name: str, api: str = "v1", **fields: Any) -> Manifest:
    made = manifest(api, kind, name, **fields)
    made["metadata"]["namespace"] = SPACE
    return made


def parameters(url: str) -> Manifest:
    records = {
        "files": {"maxBytes": 1024 * 1024, "files": 2},
        "collector": {"url": url, "caConfigMap": "collectors", "clientCertificateSecret": "shown"},
    }
    egress = {
        "nameservers": ["tls://10.96.0.10:853#dns.test"],
        "nameserverCAConfigMap": "name-servers",
        "records": records,
    }
    return in_space("GatewayParameters", "out", "sekisho.dev/v1alpha1", spec={"egress": egress})


@pytest.fixture(scope="module")
def address(cluster: RealCluster) -> Iterator[str]:
    """Where the way out listens. Nobody is where its collector should be."""
    authority = Authority("Collectors")
    shown = authority.issue("gateway")
    with cluster.space(SPACE):
        infrastructure = {"parametersRef": {"group": "sekisho.dev", "kind": "GatewayParameters", "name": "out"}}
        listener = {"name": "proxy", "protocol": "sekisho.dev/EgressProxy", "port": PORT}
        cluster.apply(
            in_space("ConfigMap", "collectors", data={"ca.crt": authority.pem}),
            in_space("ConfigMap", "name-servers", data={"ca.crt": authority.pem}),
            in_space(
                "Secret",
                "shown",
                type="kubernetes.io/tls",
                stringData={"tls.crt": shown.chain, "tls.key": shown.private_key},
            ),
            parameters(f"https://{COLLECTOR}"),
            in_space(
                "Gateway",
                "out",
                "gateway.networking.k8s.io/v1",
                spec={"gatewayClassName": "sekisho", "infrastructure": infrastructure, "listeners": [listener]},
            ),
        )
        yield cluster.programmed("out", SPACE, within=START_SECONDS)


def test_the_pods_write_where_they_are_told_and_say_what_does_not_arrive(cluster: RealCluster, address: str) -> None:
    assert through(address, "http://evil.example/")[0] == 403

    def told() -> bool:
        lines = cluster.logs("deployment/out-sekisho", SPACE).splitlines()
        records = [json.loads(line) for line in lines if line.startswith("{") and '"record":"egress_' in line]
        lost = [line for line in lines if line.startswith(f"egress records do not reach the collector {COLLECTOR}: ")]
        return bool(lost) and {record["host"] for record in records} == {"evil.example"}

    eventually(told, within=FOLLOW_SECONDS, every=0.5)
    [pod] = cluster.items("pods", SPACE, "gateway.networking.k8s.io/gateway-name=out")
    [volume] = [one for one in pod["spec"]["volumes"] if one["name"] == "records"]
    assert int(volume["emptyDir"]["sizeLimit"]) >= 2 * 1024 * 1024


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize("url", ["otel:4318", "https://otel", "ftp://otel:21", "http://a@otel:4318"])
def test_the_server_refuses_what_is_no_collector(cluster: RealCluster, url: str) -> None:
    with pytest.raises(CommandError, match="url"):
        cluster.apply(parameters(url))
