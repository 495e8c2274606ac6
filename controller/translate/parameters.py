"""GatewayParameters: settings of the edge, from the class and from the Gateway.

Owns finding them (``GatewayClass.spec.parametersRef``, ``Gateway.spec.infrastructure.parametersRef``)
and laying the Gateway's over the class's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from controller.resources import (
    SEKISHO_GROUP,
    DeploymentParameters,
    EgressParameters,
    GatewayLimits,
    GatewayParameters,
    GatewayParametersSpec,
    LocalParametersReference,
    ParametersReference,
    ServiceParameters,
    duration_ms,
)
from controller.store import Key
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.egress_parameters import wrong_egress
from controller.translate.graph import Reads
from gateway.routing_table import model

Part = TypeVar("Part", DeploymentParameters, ServiceParameters)

MAX_TRUSTED_HOPS = 64

_REMEDY = f"refer to a GatewayParameters of group {SEKISHO_GROUP}"


def find_parameters(
    reads: Reads, reference: ParametersReference | LocalParametersReference, namespace: str
) -> GatewayParametersSpec | Problem:
    """The parameters that ``reference`` names in ``namespace``, or why there are none."""
    if (reference.group, reference.kind) != (SEKISHO_GROUP, GatewayParameters.kind):
        return _invalid(f"parametersRef names a {reference.kind} of group {reference.group!r}: {_REMEDY}")
    if not namespace:
        return _invalid("parametersRef has no namespace: name the one the GatewayParameters is in")
    key = Key(reference.kind, namespace, reference.name)
    parameters = reads.get(GatewayParameters, namespace, reference.name)
    if parameters is None:
        return _invalid(f"parametersRef names {key}, which does not exist")
    hops = parameters.spec.trusted_hops
    if hops is not None and hops > MAX_TRUSTED_HOPS:
        return _invalid(f"{key}: trustedHops is {hops}, at most {MAX_TRUSTED_HOPS} are possible")
    wrong = wrong_egress(parameters.spec.egress)
    if wrong:
        return _invalid(f"{key}: {wrong}")
    return parameters.spec


def _invalid(message: str) -> Problem:
    return Problem(ConditionReason.INVALID_PARAMETERS, message)


def layered(layers: Sequence[GatewayParametersSpec]) -> GatewayParametersSpec:
    """What is provisioned by: of each field of ``deployment`` and ``service``, and of the rest as a whole, the last.

    Of ``egress`` those are ``records`` and ``nameserver_ca_config_map``; the rest of it is in the table.
    """
    merged = GatewayParametersSpec()
    for layer in layers:
        merged = GatewayParametersSpec(
            deployment=_over(merged.deployment, layer.deployment),
            service=_over(merged.service, layer.service),
            pod_disruption_budget=layer.pod_disruption_budget or merged.pod_disruption_budget,
            autoscaling=layer.autoscaling or merged.autoscaling,
            egress=_egress_over(merged.egress, layer.egress),
        )
    return merged


def _egress_over(below: EgressParameters, above: EgressParameters) -> EgressParameters:
    return EgressParameters(
        records=above.records or below.records,
        nameserver_ca_config_map=above.nameserver_ca_config_map or below.nameserver_ca_config_map,
    )


def _over(below: Part, above: Part) -> Part:
    fields = {field: getattr(above, field) for field in above.__struct_fields__}
    return msgspec.structs.replace(below, **{field: value for field, value in fields.items() if value is not None})


def gateway_settings(key: str, layers: list[GatewayParametersSpec]) -> model.Gateway:
    """One Gateway's settings; a later layer wins."""
    defaults = model.Gateway(key=key)
    hops = [layer.trusted_hops for layer in layers if layer.trusted_hops is not None]
    logs = [layer.access_log for layer in layers if layer.access_log is not None]
    return model.Gateway(
        key=key,
        trusted_hops=hops[-1] if hops else defaults.trusted_hops,
        access_log=logs[-1] if logs else defaults.access_log,
        limits=_limits([layer.limits for layer in layers]),
    )


def _limits(layers: list[GatewayLimits]) -> model.Limits:
    values: dict[str, int] = {}
    for layer in layers:
        for field in GatewayLimits.__struct_fields__:
            value = getattr(layer, field)
            if isinstance(value, str):
                values[f"{field}_ms"] = duration_ms(value)
            elif value is not None:
                values[field] = value
    return model.Limits(**values)
