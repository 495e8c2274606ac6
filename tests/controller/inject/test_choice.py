"""Who gets a sidecar."""

from __future__ import annotations

import pytest

from controller.inject import inject_document, refusal, wanted
from tests.controller.inject.pods import SETTINGS, pod


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, False),
        ({"sekisho.dev/injection": "enabled"}, True),
        ({"istio-injection": "enabled"}, True),
        ({"istio-injection": "disabled"}, False),
        ({"sekisho.dev/injection": "disabled", "istio-injection": "enabled"}, False),
    ],
)
def test_a_namespace_says_it_by_our_label_or_istios(labels: dict[str, str], expected: bool) -> None:
    assert wanted(labels) is expected


@pytest.mark.parametrize(
    ("spec", "metadata", "why"),
    [
        ("", "", ""),
        ("", 'labels: {sidecar.istio.io/inject: "true"}', ""),
        ("", 'labels: {sidecar.istio.io/inject: "false"}', "asks for none"),
        ("", 'annotations: {sidecar.istio.io/inject: "false"}', "asks for none"),
        ("", 'labels: {sidecar.istio.io/inject: "true"}, annotations: {sidecar.istio.io/inject: "false"}', ""),
        ("", "labels: {istio.io/dataplane-mode: ambient}", "without a sidecar"),
        ("", "labels: {app.kubernetes.io/managed-by: sekisho-controller}", "Sekisho itself"),
        ("hostNetwork: true", "", "node's own network"),
        ("initContainers: [{name: istio-proxy, image: i}]", "", "another sidecar, istio-proxy"),
    ],
)
def test_a_pod_goes_without_where_it_wants_none_or_cannot_have_one(spec: str, metadata: str, why: str) -> None:
    made = pod(spec, metadata)
    reason = refusal(made["metadata"], made["spec"])
    assert (why in reason) if why else not reason
    outcome = inject_document(made, SETTINGS)
    assert outcome.injected is not bool(why)
    assert (outcome.document == made) is bool(why)
