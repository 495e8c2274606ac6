"""The answer to an API server that asks whether a pod is to be changed (Kubernetes ``admission.k8s.io/v1``).

Which pods are asked about is the MutatingWebhookConfiguration's. A pod is never refused: what cannot have a sidecar
goes without, and a question that is not understood is an error, which the configuration's ``failurePolicy`` decides.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from controller.inject.choice import refusal
from controller.inject.json_patch import json_patch
from controller.inject.pod import injected
from controller.inject.settings import InjectionSettings

API_VERSION = "admission.k8s.io/v1"


class ReviewError(Exception):
    """Not a question that can be answered."""


def answer(review: Mapping[str, Any], settings: InjectionSettings) -> dict[str, Any]:
    """An ``AdmissionReview`` with the response; raises :class:`ReviewError`."""
    request = review.get("request")
    if review.get("kind") != "AdmissionReview" or not isinstance(request, dict) or not request.get("uid"):
        raise ReviewError("this is no AdmissionReview with a request")
    if review.get("apiVersion") != API_VERSION:
        raise ReviewError(f"an AdmissionReview of {review.get('apiVersion')} is not understood: {API_VERSION} is")
    response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
    pod = request.get("object")
    if _is_pod(request) and isinstance(pod, dict) and (pod.get("spec") or {}).get("containers"):
        reason = refusal(pod.get("metadata") or {}, pod["spec"])
        if reason:
            response["auditAnnotations"] = {"skipped": reason}
        else:
            patch = list(json_patch(pod, injected(pod, settings)))
            response["patchType"] = "JSONPatch"
            response["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}


def _is_pod(request: Mapping[str, Any]) -> bool:
    kind = request.get("kind") or {}
    creating = request.get("operation") == "CREATE" and not request.get("subResource")
    return creating and (kind.get("group"), kind.get("kind")) == ("", "Pod")
