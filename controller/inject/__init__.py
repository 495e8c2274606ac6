"""Injection: what a workload's pod needs to have a sidecar.

Owns documents alone: it asks nobody, and both `sekisho inject` and the admission webhook use it. Must not know tables.
"""

from __future__ import annotations

from controller.inject.choice import refusal, wanted
from controller.inject.manifests import inject_document
from controller.inject.pod import injected, without_sidecar
from controller.inject.review import answer
from controller.inject.settings import InjectionSettings

__all__ = ["InjectionSettings", "answer", "inject_document", "injected", "refusal", "wanted", "without_sidecar"]
