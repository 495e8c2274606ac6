"""GatewayClasses: which are ours, and with which parameters.

Owns ``GatewayClassStatus`` (Gateway API: ``gatewayclass_types.go``).
"""

from __future__ import annotations

import msgspec

from controller.resources import GatewayClass, GatewayParametersSpec
from controller.store import Key
from controller.translate.conditions import ConditionReason, ConditionType, Problem, fails, holds
from controller.translate.features import CLUSTER_FEATURES, SUPPORTED_FEATURES
from controller.translate.graph import NOTHING, Published, Reads, Stage
from controller.translate.options import CLASS_NAME
from controller.translate.parameters import find_parameters
from controller.translate.stages import Rank
from controller.translate.statuses import GatewayClassStatus

_VERSION = "v1.6"


class ClassView(msgspec.Struct, frozen=True):
    """A class as its Gateways see it."""

    exists: bool
    ours: bool
    parameters: GatewayParametersSpec | None = None
    problem: Problem | None = None


def _gateway_class(name: str, reads: Reads) -> ClassView:
    gateway_class = reads.get(GatewayClass, "", name)
    if gateway_class is None:
        implied = reads.options.implicit_class and name == CLASS_NAME
        return ClassView(exists=implied, ours=implied)
    if gateway_class.spec.controller_name != reads.options.controller_name:
        return ClassView(exists=True, ours=False)
    reference = gateway_class.spec.parameters_ref
    if reference is None:
        return ClassView(exists=True, ours=True)
    found = find_parameters(reads, reference, reference.namespace or "")
    if isinstance(found, Problem):
        return ClassView(exists=True, ours=True, problem=found)
    return ClassView(exists=True, ours=True, parameters=found)


GATEWAY_CLASS: Stage[str, ClassView] = Stage(Rank.GATEWAY_CLASS, _gateway_class)
"""By name."""


def _status(key: Key, reads: Reads) -> GatewayClassStatus | None:
    gateway_class = reads.get(GatewayClass, "", key.name)
    view = reads.result(GATEWAY_CLASS, key.name)
    if gateway_class is None or not view.ours:
        return None
    generation = gateway_class.metadata.generation
    accepted = (
        fails(ConditionType.ACCEPTED, view.problem.reason, view.problem.message, generation)
        if view.problem
        else holds(ConditionType.ACCEPTED, ConditionReason.ACCEPTED, "Gateways of this class are served", generation)
    )
    version = holds(
        ConditionType.SUPPORTED_VERSION,
        ConditionReason.SUPPORTED_VERSION,
        f"Gateway API {_VERSION} is supported",
        generation,
    )
    features = CLUSTER_FEATURES if reads.options.provision else SUPPORTED_FEATURES
    return GatewayClassStatus(conditions=(accepted, version), supported_features=features)


def _publish(key: Key, status: GatewayClassStatus | None) -> Published:
    return Published(status=(key, status)) if status else NOTHING


GATEWAY_CLASS_STATUS: Stage[Key, GatewayClassStatus | None] = Stage(Rank.GATEWAY_CLASS_STATUS, _status, _publish)
