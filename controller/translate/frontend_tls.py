"""Client certificates: what a Gateway asks of those who connect to its HTTPS listeners.

Owns ``GatewaySpec.tls.frontend`` (GEP-91): the default and its overrides by port. A listener whose
authorities cannot be used is not served: without them anybody would get in.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from controller.resources import (
    GATEWAY_GROUP,
    ConfigMap,
    FrontendTLSConfig,
    FrontendTLSValidation,
    Gateway,
    ObjectReference,
    Secret,
)
from controller.store import Key
from controller.translate.certificates import TRUST_BUNDLE
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.graph import Reads
from controller.translate.listeners import ParsedListener
from controller.translate.reference_grant import is_permitted, missing_grant
from controller.translate.ways_out import EGRESS_PROXY
from gateway.routing_table import model

_KINDS = (ConfigMap.kind, Secret.kind)
_MODES = ("AllowValidOnly", "AllowInsecureFallback")


class _Validation(msgspec.Struct, frozen=True):
    """One configuration, resolved."""

    bundles: tuple[model.TrustBundle, ...]
    insecure_fallback: bool
    problem: Problem | None
    ref_problems: tuple[Problem, ...]


class ClientValidations:
    """The configurations of one Gateway, by port."""

    def __init__(self, reads: Reads, key: Key, gateway: Gateway) -> None:
        frontend = gateway.spec.tls.frontend if gateway.spec.tls else None
        self._default = _resolve(reads, key, frontend.default.validation if frontend else None)
        self._per_port = {
            override.port: _resolve(reads, key, override.tls.validation)
            for override in (frontend.per_port if frontend else ())
        }

    def apply(self, listeners: Iterable[ParsedListener]) -> tuple[ParsedListener, ...]:
        """The listeners, each with what it asks of clients."""
        return tuple(self._applied(listener) for listener in listeners)

    def _applied(self, listener: ParsedListener) -> ParsedListener:
        validation = self._per_port.get(listener.port, self._default)
        asks = listener.protocol == "HTTPS" or (listener.protocol == EGRESS_PROXY and listener.terminates_tls)
        if validation is None or not asks:
            return listener
        usable = validation.problem is None
        return msgspec.structs.replace(
            listener,
            problem=listener.problem or validation.problem,
            ref_problems=listener.ref_problems + validation.ref_problems,
            trust_bundles=validation.bundles if usable else (),
            client_validation=model.ClientValidation(
                trust_bundles=tuple(bundle.key for bundle in validation.bundles),
                allow_insecure_fallback=validation.insecure_fallback,
            )
            if usable
            else None,
        )


def falls_back(gateway: Gateway) -> bool:
    """Whether the Gateway lets clients in without a valid certificate although it asks for one."""
    frontend = gateway.spec.tls.frontend if gateway.spec.tls else None
    return frontend is not None and any(one.mode == "AllowInsecureFallback" for one in _validations(frontend))


def validates(gateway: Gateway) -> bool:
    """Whether the Gateway asks for client certificates on some port."""
    frontend = gateway.spec.tls.frontend if gateway.spec.tls else None
    return frontend is not None and bool(_validations(frontend))


def _validations(frontend: FrontendTLSConfig) -> list[FrontendTLSValidation]:
    configurations = (frontend.default, *(override.tls for override in frontend.per_port))
    return [one.validation for one in configurations if one.validation is not None]


def _resolve(reads: Reads, key: Key, validation: FrontendTLSValidation | None) -> _Validation | None:
    if validation is None:
        return None
    resolved = [_trust_bundle(reads, key, reference) for reference in validation.ca_certificate_refs]
    bundles = {found.key: found for found in resolved if isinstance(found, model.TrustBundle)}
    ref_problems = tuple(found for found in resolved if isinstance(found, Problem))
    problem = None
    if validation.mode not in _MODES:
        message = f"the client validation mode {validation.mode!r} is none of {', '.join(_MODES)}"
        problem = Problem(ConditionReason.UNSUPPORTED_VALUE, message)
    elif not bundles:
        reasons = "; ".join(found.message for found in ref_problems) or "caCertificateRefs is empty"
        message = f"no authority for client certificates is usable: {reasons}"
        problem = Problem(ConditionReason.NO_VALID_CA_CERTIFICATE, message)
    return _Validation(tuple(bundles.values()), validation.mode == "AllowInsecureFallback", problem, ref_problems)


def _trust_bundle(reads: Reads, gateway: Key, reference: ObjectReference) -> model.TrustBundle | Problem:
    if reference.group or reference.kind not in _KINDS:
        group = f" of group {reference.group}" if reference.group else ""
        return Problem(
            ConditionReason.INVALID_CA_CERTIFICATE_KIND,
            f"{reference.kind} {reference.name}{group} cannot hold certificate authorities: refer to a"
            f" {' or '.join(_KINDS)}",
        )
    target = Key(reference.kind, reference.namespace or gateway.namespace, reference.name)
    if not is_permitted(reads, gateway, GATEWAY_GROUP, target, ""):
        return Problem(ConditionReason.REF_NOT_PERMITTED, missing_grant(gateway, target))
    material = reads.result(TRUST_BUNDLE, target)
    return material.trust_bundle or Problem(ConditionReason.INVALID_CA_CERTIFICATE_REF, material.problem)
