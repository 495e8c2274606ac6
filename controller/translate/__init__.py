"""Translation: a snapshot of objects becomes routing tables and statuses.

Owns every decision between the API objects and the contract with the gateway. Pure: no asyncio, no
clock, no logging, no file or network. One module for each kind or step.
"""

from __future__ import annotations

from controller.translate.conditions import Condition, ConditionReason, ConditionType
from controller.translate.infrastructure import Infrastructure, Port
from controller.translate.options import CLASS_NAME, CONTROLLER_NAME, STANDALONE_TABLE, Options
from controller.translate.statuses import (
    BackendAncestorStatus,
    BackendStatus,
    GatewayClassStatus,
    GatewayStatus,
    GatewayStatusAddress,
    IngressStatus,
    ListenerSetStatus,
    ListenerStatus,
    PolicyAncestorStatus,
    PolicyStatus,
    RouteParentStatus,
    RouteStatus,
    Status,
    SupportedFeature,
)
from controller.translate.tables import Change, diff
from controller.translate.translator import Translation, Translator, Update, translate

__all__ = [
    "CLASS_NAME",
    "CONTROLLER_NAME",
    "STANDALONE_TABLE",
    "BackendAncestorStatus",
    "BackendStatus",
    "Change",
    "Condition",
    "ConditionReason",
    "ConditionType",
    "GatewayClassStatus",
    "GatewayStatus",
    "GatewayStatusAddress",
    "Infrastructure",
    "IngressStatus",
    "ListenerSetStatus",
    "ListenerStatus",
    "Options",
    "PolicyAncestorStatus",
    "PolicyStatus",
    "Port",
    "RouteParentStatus",
    "RouteStatus",
    "Status",
    "SupportedFeature",
    "Translation",
    "Translator",
    "Update",
    "diff",
    "translate",
]
