"""AuthorizationPolicies: what each says, and which Gateways it applies to.

Owns the way from Istio's spelling to the routing table's, and selection: by ``targetRefs``, by labels of a Gateway's
pods, or the whole namespace; policies of the root namespace apply everywhere. A policy that cannot be enforced as it is
written is in the table with a refusal, and denies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from controller.resources import (
    GATEWAY_GROUP,
    AuthorizationCondition,
    AuthorizationOperation,
    AuthorizationPolicy,
    AuthorizationRule,
    AuthorizationSource,
    Gateway,
    GatewayClass,
    PolicyTargetReference,
)
from controller.store import Key
from controller.translate.backend_view import BackendId
from controller.translate.denied_identities import denied_identities
from controller.translate.external_authorization import FoundProvider, find_provider
from controller.translate.graph import Reads, Stage
from controller.translate.indexes import AUTHORIZATIONS
from controller.translate.infrastructure_names import own_labels, selector
from controller.translate.names import object_name
from controller.translate.stages import Rank
from gateway.routing_table import model, validate

DRY_RUN_ANNOTATION = "istio.io/dry-run"
TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})

_SERVICE_ACCOUNT = "source.serviceAccount"


class ParsedAuthorization(msgspec.Struct, frozen=True):
    """A policy by itself."""

    key: Key | None
    """The object that says so; None where none does."""
    policy: model.AuthorizationPolicy
    targets: tuple[PolicyTargetReference, ...]
    labels: Mapping[str, str]
    """A Gateway's pods must have them, where there are no targets."""
    backend: BackendId | None = None
    """Of the provider that a CUSTOM policy asks."""
    provider_problem: str = ""
    """Why there is nobody to ask."""


def _parse(key: Key, reads: Reads) -> ParsedAuthorization | None:
    resource = reads.get(AuthorizationPolicy, key.namespace, key.name)
    if resource is None:
        return None
    spec = resource.spec
    rules = () if resource.refusal else tuple(_rule(key.namespace, rule) for rule in spec.rules)
    found = FoundProvider()
    if spec.action == "CUSTOM" and not resource.refusal:
        found = find_provider(reads, key.namespace, spec.provider.name if spec.provider else "")
    policy = model.AuthorizationPolicy(
        key=object_name(key),
        action=_ACTIONS[spec.action],
        rules=rules,
        dry_run=resource.metadata.annotations.get(DRY_RUN_ANNOTATION, "").strip() in TRUE,
        refusal=resource.refusal,
        provider=found.settings,
    )
    problem = validate.problem(policy)
    if problem is not None:
        policy = msgspec.structs.replace(policy, rules=(), refusal=problem, provider=None)
    return ParsedAuthorization(
        key,
        policy,
        spec.targets,
        spec.selector.match_labels if spec.selector else {},
        found.backend if policy.provider is not None else None,
        found.problem,
    )


_ACTIONS: Mapping[str, model.AuthorizationAction] = {
    "ALLOW": "ALLOW",
    "DENY": "DENY",
    "AUDIT": "AUDIT",
    "CUSTOM": "CUSTOM",
}

AUTHORIZATION: Stage[Key, ParsedAuthorization | None] = Stage(Rank.AUTHORIZATION, _parse)
"""By AuthorizationPolicy."""


def _rule(namespace: str, rule: AuthorizationRule) -> model.AuthorizationRule:
    return model.AuthorizationRule(
        sources=tuple(_source(namespace, item.source) for item in rule.from_),
        operations=tuple(_operation(item.operation) for item in rule.to),
        conditions=tuple(_condition(namespace, condition) for condition in rule.when),
    )


def _source(namespace: str, source: AuthorizationSource) -> model.AuthorizationSource:
    fields = {field: getattr(source, field) for field in model.AuthorizationSource.__struct_fields__}
    for field in ("service_accounts", "not_service_accounts"):
        fields[field] = _service_accounts(namespace, fields[field])
    return model.AuthorizationSource(**fields)


def _operation(operation: AuthorizationOperation) -> model.AuthorizationOperation:
    fields = {field: getattr(operation, field) for field in model.AuthorizationOperation.__struct_fields__}
    for field in ("ports", "not_ports"):
        fields[field] = tuple(int(port) for port in fields[field])
    return model.AuthorizationOperation(**fields)


def _condition(namespace: str, condition: AuthorizationCondition) -> model.AuthorizationCondition:
    values, not_values = condition.values, condition.not_values
    if condition.key == _SERVICE_ACCOUNT:
        values, not_values = _service_accounts(namespace, values), _service_accounts(namespace, not_values)
    return model.AuthorizationCondition(key=condition.key, values=values, not_values=not_values)


def _service_accounts(namespace: str, names: Iterable[str]) -> tuple[str, ...]:
    """A name alone is of the policy's namespace."""
    return tuple(name if not name or "/" in name else f"{namespace}/{name}" for name in names)


def policies_of(reads: Reads, key: Key, gateway: Gateway) -> tuple[ParsedAuthorization, ...]:
    """The policies that apply to a Gateway, by key; whoever the authority denies is denied by one of them."""
    found: list[ParsedAuthorization] = []
    denied = denied_identities(reads).authorization
    if denied is not None:
        found.append(ParsedAuthorization(None, denied, (), {}))
    for namespace in dict.fromkeys((key.namespace, reads.options.root_namespace)):
        for policy_key in reads.referring(AUTHORIZATIONS, namespace):
            parsed = reads.result(AUTHORIZATION, policy_key)
            if parsed is not None and applies(parsed, policy_key, key, gateway, reads.options.root_namespace):
                found.append(parsed)
    return tuple(sorted(found, key=lambda parsed: parsed.policy.key))


class Selecting(Protocol):
    """A policy, as far as it says what it applies to."""

    @property
    def targets(self) -> tuple[PolicyTargetReference, ...]:
        """Named, if there are any."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """Otherwise what its pods must have."""
        ...


def applies(parsed: Selecting, policy: Key, key: Key, gateway: Gateway, root: str) -> bool:
    """Whether a policy applies to a Gateway. ``root``: the namespace whose policies apply everywhere."""
    if parsed.targets:
        return any(_targets(target, policy, key, gateway, root) for target in parsed.targets)
    labels = pod_labels(key, gateway)
    return all(labels.get(name) == value for name, value in parsed.labels.items())


def _targets(target: PolicyTargetReference, policy: Key, key: Key, gateway: Gateway, root: str) -> bool:
    if target.group != GATEWAY_GROUP or target.namespace not in (None, policy.namespace):
        return False
    if target.kind == GatewayClass.kind:
        return policy.namespace == root and target.name == gateway.spec.gateway_class_name
    return target.kind == Gateway.kind and policy.namespace == key.namespace and target.name == key.name


def pod_labels(key: Key, gateway: Gateway) -> Mapping[str, str]:
    """Labels of the pods that serve a Gateway: what a selector looks at, in a cluster and without one."""
    metadata = gateway.spec.infrastructure
    own = own_labels(selector(key.name, gateway.spec.gateway_class_name))
    return {**(metadata.labels if metadata else {}), **own}
