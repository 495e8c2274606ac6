"""Sidecars in manifests, by `sekisho inject`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.inject import inject_document, injected
from controller.inject_command import run_inject
from gateway.errors import SettingsError
from tests.controller.inject.pods import SETTINGS, named, pod

TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": pod()["spec"]}


@pytest.mark.parametrize(
    "kind", ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"]
)
def test_the_template_of_whatever_makes_pods_is_injected(kind: str) -> None:
    document = {"kind": kind, "metadata": {"name": "a"}, "spec": {"replicas": 2, "template": TEMPLATE}}
    outcome = inject_document(document, SETTINGS)
    assert outcome.injected
    assert outcome.document["spec"] == {"replicas": 2, "template": injected(TEMPLATE, SETTINGS)}
    assert document["spec"] == {"replicas": 2, "template": TEMPLATE}


def test_the_template_of_a_cron_job_is_further_in() -> None:
    job = {"spec": {"template": TEMPLATE}}
    document = {"kind": "CronJob", "spec": {"schedule": "* * * * *", "jobTemplate": job}}
    made = inject_document(document, SETTINGS).document
    assert made["spec"]["jobTemplate"]["spec"]["template"] == injected(TEMPLATE, SETTINGS)


@pytest.mark.parametrize("document", [{"kind": "Service", "spec": {}}, None, [], "text", {"spec": {}}])
def test_everything_else_stays_as_it_is(document: Any) -> None:
    outcome = inject_document(document, SETTINGS)
    assert (outcome.document, outcome.injected, outcome.skipped) == (document, False, "")


@pytest.mark.parametrize("spec", [None, {}, {"template": None}, {"template": {"spec": {}}}, {"template": "odd"}])
def test_a_workload_without_containers_is_left_alone_and_told_of(spec: Any) -> None:
    outcome = inject_document({"kind": "Deployment", "spec": spec}, SETTINGS)
    assert (outcome.injected, outcome.skipped) == (False, "it has no containers")


def test_the_command_writes_every_document_and_tells_what_it_did(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec: {ports: [{port: 80}]}\n---\n"
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: shop, namespace: a},"
        " spec: {containers: [{name: app, image: app, env: [{name: N, value: '0o17'}, {name: M, value: 'yes'}]}]}}\n"
        "- {apiVersion: v1, kind: Pod, metadata: {name: host}, spec: {hostNetwork: true, containers: [{name: app}]}}\n"
    )
    out, err = io.StringIO(), io.StringIO()
    run_inject([str(tmp_path)], SETTINGS, out, err)
    service, shop, host = yaml.safe_load_all(out.getvalue())
    assert service["spec"] == {"ports": [{"port": 80}]}
    assert named(shop["spec"]["initContainers"]) == ["sekisho-init", "sekisho-proxy"]
    assert [one["value"] for one in shop["spec"]["containers"][0]["env"]] == ["0o17", "yes"]
    assert "'0o17'" in out.getvalue()
    assert "initContainers" not in host["spec"]
    assert err.getvalue() == (
        "Pod a/shop: has a sidecar now\nPod host: has no sidecar, because it is in the node's own network\n"
    )


def test_a_manifest_that_cannot_be_read_gives_nothing_at_all(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text("kind: Service\n---\nkind: [\n")
    out = io.StringIO()
    with pytest.raises(SettingsError, match=r"odd.yaml:3: not valid YAML"):
        run_inject([str(path)], SETTINGS, out, io.StringIO())
    assert out.getvalue() == ""
    with pytest.raises(SettingsError, match="cannot be read"):
        run_inject([str(tmp_path / "missing.yaml")], SETTINGS, out, io.StringIO())
