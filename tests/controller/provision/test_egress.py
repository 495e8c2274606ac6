"""Egress of provisioned gateways: options that the gateway takes, and the volumes behind them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from controller.provision.egress import egress_arguments, egress_mounts, egress_volumes
from controller.resources import EgressParameters, EgressRecords, RecordCollector, RecordFiles, parse
from controller.translate.egress_parameters import wrong_egress
from gateway.cli import add_gateway_options, gateway_settings
from gateway.config import GatewaySettings
from tests.support.gateways import parameters

MEGABYTE = 1024 * 1024


def records(**asked: Any) -> EgressParameters:
    return parameters(egress={"records": asked}).egress


def test_nothing_is_added_where_nothing_is_asked_for() -> None:
    for nothing in (EgressParameters(), records()):
        assert egress_arguments(nothing) == []
        assert egress_mounts(nothing) == egress_volumes(nothing) == []
    only_collector = records(collector={"url": "http://otel:4318"})
    assert egress_mounts(only_collector) == egress_volumes(only_collector) == []


def test_a_volume_of_the_pod_has_room_for_all_files_and_a_bound() -> None:
    asked = records(files={"maxBytes": MEGABYTE, "files": 4})
    [volume] = egress_volumes(asked)
    limit = int(volume["emptyDir"]["sizeLimit"])
    assert 4 * MEGABYTE * 1.25 <= limit <= 32 * MEGABYTE


def test_pods_that_share_a_claim_have_folders_of_their_own() -> None:
    asked = records(files={"persistentVolumeClaim": "audit"})
    assert egress_volumes(asked) == [{"name": "records", "persistentVolumeClaim": {"claimName": "audit"}}]
    assert egress_mounts(asked) == [{"name": "records", "mountPath": "/var/log/sekisho", "subPathExpr": "$(POD_NAME)"}]


def test_the_gateway_takes_the_options(tmp_path: Path) -> None:
    asked = records(files={"maxBytes": 2 * MEGABYTE, "files": 3}, collector={"url": "http://otel.ns:4318"})
    arguments = egress_arguments(asked)
    file = "/var/log/sekisho/egress.jsonl"
    assert arguments[arguments.index(file) - 1] == "--egress-log"
    settings = settings_of([str(tmp_path / "egress.jsonl") if one == file else one for one in arguments])
    assert (settings.egress_log_bytes, settings.egress_log_files) == (2 * MEGABYTE, 3)
    assert settings.egress_otlp.url == "http://otel.ns:4318"


def settings_of(arguments: list[str]) -> GatewaySettings:
    parser = argparse.ArgumentParser()
    add_gateway_options(parser, access_log="stdout")
    return gateway_settings(parser.parse_args(arguments))


def test_the_collector_s_certificates_are_mounted_for_its_options_alone() -> None:
    over_tls = {"url": "https://otel:4318", "caConfigMap": "otel-ca", "clientCertificateSecret": "otel-client"}
    asked = records(collector=over_tls)
    paths = {mount["name"]: mount["mountPath"] for mount in egress_mounts(asked)}
    assert egress_arguments(asked) == [
        *("--egress-otlp", "https://otel:4318"),
        *("--egress-otlp-ca", f"{paths['collector-ca']}/ca.crt"),
        *("--egress-otlp-certificate", f"{paths['collector-client']}/tls.crt"),
        *("--egress-otlp-key", f"{paths['collector-client']}/tls.key"),
    ]
    assert all(mount["readOnly"] for mount in egress_mounts(asked))
    [authorities, shown] = egress_volumes(asked)
    assert authorities["configMap"] == {"name": "otel-ca"}
    assert shown["secret"] == {"secretName": "otel-client", "defaultMode": 0o440}


def test_the_authorities_of_name_servers_are_mounted_for_their_option() -> None:
    asked = parameters(egress={"nameserverCAConfigMap": "dns-ca"}).egress
    [volume], [mount] = egress_volumes(asked), egress_mounts(asked)
    assert volume == {"name": "nameserver-ca", "configMap": {"name": "dns-ca"}}
    assert egress_arguments(asked) == ["--egress-dns-ca", f"{mount['mountPath']}/ca.crt"]
    assert mount["readOnly"]


@pytest.mark.parametrize("field", ["caConfigMap", "clientCertificateSecret"])
def test_certificates_for_a_collector_in_the_clear_are_refused(field: str) -> None:
    spec = {"egress": {"records": {"collector": {"url": "http://otel:4318", field: "otel"}}}}
    document = {
        "apiVersion": "sekisho.dev/v1alpha1",
        "kind": "GatewayParameters",
        "metadata": {"name": "a"},
        "spec": spec,
    }
    found = parse(document)
    assert found.resource is None
    [problem] = found.problems
    assert problem.field.endswith(f"egress.records.collector.{field}")
    assert problem.remedy == "write https:// in url"


@pytest.mark.parametrize(
    "url", ["", "otel:4318", "http://otel", "http://otel:0", "http://a@otel:1", "http://otel:1/ x", "ftp://otel:21"]
)
def test_a_collector_that_the_gateway_would_not_take_is_told_with_its_remedy(url: str) -> None:
    wrong = wrong_egress(records_of(url))
    assert wrong.startswith("egress.records.collector.url: ")
    assert "http://HOST:PORT" in wrong


def records_of(url: str) -> EgressParameters:
    return EgressParameters(records=EgressRecords(files=RecordFiles(), collector=RecordCollector(url=url)))


def test_what_is_right_is_not_told() -> None:
    assert wrong_egress(records_of("http://[::1]:4318/v1")) == ""
