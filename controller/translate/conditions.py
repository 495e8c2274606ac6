"""Conditions: their types, their reasons, and builders for them.

Owns the vocabulary of the Gateway API (``apis/v1``: gateway, gatewayclass, listenerset, shared,
policy and backendtlspolicy types). Must not decide when a condition holds: each kind's module does. There is
no ``lastTransitionTime``: translation has no clock, and whoever writes a status adds it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

Status = Literal["True", "False", "Unknown"]

MAX_MESSAGE = 32_768
"""Characters of a message that an API server takes (Kubernetes ``metav1.Condition``)."""


class ConditionType(StrEnum):
    """What a condition is about."""

    ACCEPTED = "Accepted"
    PROGRAMMED = "Programmed"
    RESOLVED_REFS = "ResolvedRefs"
    CONFLICTED = "Conflicted"
    OVERLAPPING_TLS_CONFIG = "OverlappingTLSConfig"
    PARTIALLY_INVALID = "PartiallyInvalid"
    SUPPORTED_VERSION = "SupportedVersion"
    INSECURE_FRONTEND_VALIDATION = "InsecureFrontendValidationMode"
    ENFORCED = "sekisho.dev/Enforced"
    """Set on an EgressPolicy: that it decides, and on which listeners."""
    REPORT_ONLY = "sekisho.dev/ReportOnly"
    """Set on an EgressPolicy, True, in place of the one above, in mode Report."""
    ALLOWS_EVERY_NAME = "sekisho.dev/AllowsEveryName"
    """Set on an EgressPolicy, True, where a rule allows everything and says that this is meant."""
    DATA_PLANE = "sekisho.dev/Programmed"
    """Set on a route, False, when the data plane refused a part of it."""


class ConditionReason(StrEnum):
    """Why a condition has its status."""

    ACCEPTED = "Accepted"
    PROGRAMMED = "Programmed"
    RESOLVED_REFS = "ResolvedRefs"
    PENDING = "Pending"
    INVALID = "Invalid"
    INVALID_PARAMETERS = "InvalidParameters"
    SUPPORTED_VERSION = "SupportedVersion"
    UNSUPPORTED_ADDRESS = "UnsupportedAddress"
    ADDRESS_NOT_USABLE = "AddressNotUsable"
    ADDRESS_NOT_ASSIGNED = "AddressNotAssigned"
    LISTENERS_NOT_VALID = "ListenersNotValid"
    LISTENERS_NOT_RESOLVED = "ListenersNotResolved"
    HOSTNAME_CONFLICT = "HostnameConflict"
    PROTOCOL_CONFLICT = "ProtocolConflict"
    NO_CONFLICTS = "NoConflicts"
    PORT_UNAVAILABLE = "PortUnavailable"
    UNSUPPORTED_PROTOCOL = "UnsupportedProtocol"
    UNSUPPORTED_VALUE = "UnsupportedValue"
    INVALID_CERTIFICATE_REF = "InvalidCertificateRef"
    INVALID_CLIENT_CERTIFICATE_REF = "InvalidClientCertificateRef"
    INVALID_ROUTE_KINDS = "InvalidRouteKinds"
    REF_NOT_PERMITTED = "RefNotPermitted"
    OVERLAPPING_HOSTNAMES = "OverlappingHostnames"
    NOT_ALLOWED_BY_LISTENERS = "NotAllowedByListeners"
    NO_MATCHING_LISTENER_HOSTNAME = "NoMatchingListenerHostname"
    NO_MATCHING_PARENT = "NoMatchingParent"
    INCOMPATIBLE_FILTERS = "IncompatibleFilters"
    INVALID_KIND = "InvalidKind"
    BACKEND_NOT_FOUND = "BackendNotFound"
    INVALID_BACKEND_TLS = "InvalidBackendTLS"
    """Ours: a BackendTLSPolicy or an XBackend's TLS cannot be honoured, so nothing is sent."""
    INVALID_BACKEND = "InvalidBackend"
    """Ours: an XBackend that is not accepted."""
    CONFLICTED = "Conflicted"
    TARGET_NOT_FOUND = "TargetNotFound"
    NO_VALID_CA_CERTIFICATE = "NoValidCACertificate"
    INVALID_CA_CERTIFICATE_REF = "InvalidCACertificateRef"
    INVALID_CA_CERTIFICATE_KIND = "InvalidCACertificateKind"
    ENFORCED = "Enforced"
    """Ours: an EgressPolicy decides."""
    REPORT_ONLY = "ReportOnly"
    """Ours: an EgressPolicy records and does not deny."""
    ACKNOWLEDGED = "Acknowledged"
    """Ours: what is dangerous is meant."""
    CONFIGURATION_CHANGED = "ConfigurationChanged"
    NOT_ALLOWED = "NotAllowed"
    PARENT_NOT_ACCEPTED = "ParentNotAccepted"
    PARENT_NOT_PROGRAMMED = "ParentNotProgrammed"
    PROVISIONING_FAILED = "ProvisioningFailed"
    """Ours: an object that the Gateway needs in the cluster cannot be made."""
    REJECTED = "Rejected"
    """Ours: the data plane refused the object."""


class Condition(msgspec.Struct, frozen=True, rename="camel"):
    """One observation on an object, true of one generation of it."""

    type: ConditionType
    status: Status
    reason: ConditionReason
    message: str
    observed_generation: int


class Problem(msgspec.Struct, frozen=True):
    """A reason for a condition to be False, and the sentence that says what to do."""

    reason: ConditionReason
    message: str


def holds(type_: ConditionType, reason: ConditionReason, message: str, generation: int) -> Condition:
    """A condition that is True."""
    return Condition(type_, "True", reason, _bounded(message), generation)


def fails(type_: ConditionType, reason: ConditionReason, message: str, generation: int) -> Condition:
    """A condition that is False."""
    return Condition(type_, "False", reason, _bounded(message), generation)


def pending(message: str, generation: int) -> Condition:
    """``Programmed`` before the data plane has answered."""
    return Condition(ConditionType.PROGRAMMED, "Unknown", ConditionReason.PENDING, _bounded(message), generation)


def first_of(problems: tuple[Problem, ...]) -> tuple[ConditionReason, str]:
    """One reason and one message for several problems: the first reason, every message."""
    return problems[0].reason, "; ".join(dict.fromkeys(problem.message for problem in problems))


def _bounded(message: str) -> str:
    """A longer message would have an API server refuse the whole status."""
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"
