"""What an API server is answered."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest

from controller.inject import answer, injected
from controller.inject.json_patch import json_patch
from controller.inject.review import ReviewError
from tests.controller.inject.pods import SETTINGS, pod


def review(made: Any, **request: Any) -> dict[str, Any]:
    asked = {"uid": "u-1", "operation": "CREATE", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "object": made}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {**asked, **request}}


def patched(document: dict[str, Any], patch: list[dict[str, Any]]) -> dict[str, Any]:
    made = copy.deepcopy(document)
    for step in patch:
        *way, last = (part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:])
        target = made
        for name in way:
            target = target[name]
        if step["op"] == "remove":
            del target[last]
        else:
            target[last] = step["value"]
    return made


def test_the_patch_makes_the_pod_that_injection_makes() -> None:
    made = pod("volumes: [{name: data}]", "labels: {a/b: c}")
    response = answer(review(made), SETTINGS)["response"]
    assert (response["uid"], response["allowed"], response["patchType"]) == ("u-1", True, "JSONPatch")
    patch = json.loads(base64.b64decode(response["patch"]))
    assert patched(made, patch) == injected(made, SETTINGS)


def test_a_pod_that_goes_without_is_allowed_as_it_is_and_the_audit_log_knows_why() -> None:
    response = answer(review(pod("hostNetwork: true")), SETTINGS)["response"]
    assert response == {
        "uid": "u-1",
        "allowed": True,
        "auditAnnotations": {"skipped": "it is in the node's own network"},
    }


@pytest.mark.parametrize(
    "request_",
    [
        {"operation": "UPDATE"},
        {"subResource": "ephemeralcontainers"},
        {"kind": {"group": "apps", "kind": "Deployment"}},
        {"object": None},
        {"object": {"spec": {}}},
    ],
)
def test_what_is_no_new_pod_is_allowed_as_it_is(request_: dict[str, Any]) -> None:
    assert answer(review(pod(), **request_), SETTINGS)["response"] == {"uid": "u-1", "allowed": True}


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"kind": "AdmissionReview"},
        {**review(pod()), "apiVersion": "admission.k8s.io/v1beta1"},
        review(pod(), uid=""),
    ],
)
def test_what_is_no_question_is_an_error(odd: dict[str, Any]) -> None:
    with pytest.raises(ReviewError):
        answer(odd, SETTINGS)


def test_a_patch_goes_into_members_and_replaces_lists() -> None:
    before = {"a/b": 1, "gone": 1, "list": [1], "in": {"same": 1, "other": 2}}
    after = {"a/b": 2, "list": [1, 2], "in": {"same": 1, "other": 3, "new": {}}}
    patch = list(json_patch(before, after))
    assert {step["path"] for step in patch} == {"/a~1b", "/gone", "/list", "/in/other", "/in/new"}
    assert patched(before, patch) == after
