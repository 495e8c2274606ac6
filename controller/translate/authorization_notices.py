"""What is to be said of AuthorizationPolicies: their API has no conditions that a gateway could write.

Owns the wording: a policy that is not understood, applies to nothing, or cannot be enforced as its author may think.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from controller.resources import (
    GATEWAY_GROUP,
    AuthorizationPolicy,
    Gateway,
    GatewayClass,
    PolicyTargetReference,
    Service,
)
from controller.store import Key
from controller.translate.authorization import (
    AUTHORIZATION,
    DRY_RUN_ANNOTATION,
    FALSE,
    TRUE,
    ParsedAuthorization,
)
from controller.translate.backends import BACKEND
from controller.translate.gateway import AUTHORIZED, GOVERNING, Governed
from controller.translate.graph import NOTHING, Published, Reads, Stage
from controller.translate.shadowed_policies import shadowed_rules
from controller.translate.stages import Rank
from gateway.routing_table import model

_OF_REQUESTS = ("hosts", "methods", "paths", "request_principals")
_OF_IDENTITIES = ("principals", "namespaces", "service_accounts")
_MOST_PLACES = 64
"""Where a policy applies to more, what others leave of it is not looked for: every change would look again."""
_IDENTITY_CONDITIONS = ("source.principal", "source.namespace", "source.serviceAccount")


def _notices(key: Key, reads: Reads) -> tuple[str, ...]:
    resource = reads.get(AuthorizationPolicy, key.namespace, key.name)
    parsed = reads.result(AUTHORIZATION, key)
    if resource is None or parsed is None:
        return ()
    governed: list[Governed] = sorted(reads.members(AUTHORIZED, parsed.policy.key))
    return (
        *_of_policy(parsed.policy),
        *_of_provider(parsed, governed, reads),
        *_of_dry_run(resource),
        *_of_selection(key, resource, governed, reads.options.root_namespace),
        *_of_listeners(parsed.policy, governed),
        *_of_others(parsed.policy, governed, reads),
    )


def _of_policy(policy: model.AuthorizationPolicy) -> Iterator[str]:
    if policy.refusal:
        effect = {
            "ALLOW": "it allows nothing",
            "AUDIT": "it audits nothing",
        }.get(policy.action, "it denies everything")
        if policy.dry_run:
            effect = "it has no effect in dry run"
        yield f"it cannot be enforced as it is written, so {effect}: {policy.refusal}"
    elif policy.action == "ALLOW" and not policy.rules and not policy.dry_run:
        yield "it has no rules: it allows nothing, so all is denied that no other ALLOW policy allows"


def _of_provider(parsed: ParsedAuthorization, governed: list[Governed], reads: Reads) -> Iterator[str]:
    policy = parsed.policy
    if policy.refusal or policy.action != "CUSTOM":
        return
    effect = "nothing of it is enforced in dry run" if policy.dry_run else "all that its rules match is denied"
    if parsed.backend is None:
        yield f"nobody can be asked, so {effect}: {parsed.provider_problem}"
        return
    problem = reads.result(BACKEND, parsed.backend).problem
    if problem is not None:
        fails = "so requests go on without" if policy.provider and policy.provider.fail_open else f"so {effect}"
        yield f"its provider cannot be reached, {fails}: {problem.message}"
    streams = list(dict.fromkeys(f"{one.gateway}/{name}" for one in governed for name in one.streams))
    if streams and policy.rules and not policy.dry_run:
        yield (
            f"listeners {', '.join(streams)} carry connections and no requests, about which nobody is asked: all that"
            " its rules match there is denied"
        )


def _of_dry_run(resource: AuthorizationPolicy) -> Iterator[str]:
    text = resource.metadata.annotations.get(DRY_RUN_ANNOTATION)
    if text is not None and text.strip() not in TRUE | FALSE:
        yield f"the annotation {DRY_RUN_ANNOTATION} is {text!r}, neither true nor false: the policy is enforced"


def _of_selection(key: Key, resource: AuthorizationPolicy, governed: list[Governed], root: str) -> Iterator[str]:
    for target in resource.spec.targets:
        problem = target_problem(key, target, root)
        if problem:
            yield f"the target {target.kind} {target.name} has no effect: {problem}"
    if not governed:
        yield (
            "it applies to no Gateway and no workload with a sidecar that is served here, so it has no effect: look at"
            " its namespace and selection"
        )


def target_problem(key: Key, target: PolicyTargetReference, root: str) -> str:
    """Why a target has no effect, or empty."""
    if target.namespace not in (None, key.namespace):
        return "a policy applies to its own namespace; move the policy there"
    match (target.group, target.kind):
        case (group, Gateway.kind) if group == GATEWAY_GROUP:
            return ""
        case (group, GatewayClass.kind) if group == GATEWAY_GROUP:
            return "" if key.namespace == root else f"only policies of the namespace {root} apply to a GatewayClass"
        case ("", Service.kind):
            return ""
        case _:
            return "only a Gateway, a GatewayClass or a Service is served here"


def _of_listeners(policy: model.AuthorizationPolicy, governed: list[Governed]) -> Iterator[str]:
    if policy.refusal:
        return
    streams = list(dict.fromkeys(f"{one.gateway}/{name}" for one in governed for name in one.streams))
    of_requests = [index for index, rule in enumerate(policy.rules) if _asks_of_requests(rule)]
    if streams and of_requests:
        rules = ", ".join(str(index) for index in of_requests)
        effect = "never match" if policy.action == "ALLOW" else "match without their fields of requests"
        yield f"listeners {', '.join(streams)} carry connections and no requests: there, rules {rules} {effect}"
    unknown = list(dict.fromkeys(f"{one.gateway}/{name}" for one in governed for name in one.without_identity))
    of_identities = [index for index, rule in enumerate(policy.rules) if _asks_of_identities(rule)]
    if unknown and of_identities:
        rules = ", ".join(str(index) for index in of_identities)
        yield (
            f"listeners {', '.join(unknown)} ask for no client certificates, so nobody has an identity there, at which"
            f" rules {rules} look"
        )


def _of_others(policy: model.AuthorizationPolicy, governed: list[Governed], reads: Reads) -> Iterator[str]:
    """A rule is in the shade only where it is everywhere that the policy applies."""
    places = {one.place for one in governed}
    if not places or "" in places or len(places) > _MOST_PLACES:
        return
    keys = frozenset.intersection(*(frozenset(reads.members(GOVERNING, place)) for place in places))
    found = (reads.result(AUTHORIZATION, key) for key in sorted(keys))
    yield from shadowed_rules(policy, (parsed.policy for parsed in found if parsed is not None))


def _asks_of_requests(rule: model.AuthorizationRule) -> bool:
    return _asks(rule, _OF_REQUESTS) or any(
        condition.key.startswith(("request.headers[", "request.auth.")) for condition in rule.conditions
    )


def _asks_of_identities(rule: model.AuthorizationRule) -> bool:
    return _asks(rule, _OF_IDENTITIES) or any(condition.key in _IDENTITY_CONDITIONS for condition in rule.conditions)


def _asks(rule: model.AuthorizationRule, fields: tuple[str, ...]) -> bool:
    wanted = {*fields, *(f"not_{field}" for field in fields)}
    items: tuple[msgspec.Struct, ...] = (*rule.sources, *rule.operations)
    return any(getattr(item, field) for item in items for field in item.__struct_fields__ if field in wanted)


def _publish(key: Key, notices: tuple[str, ...]) -> Published:
    return Published(notices=tuple((key, text) for text in notices)) if notices else NOTHING


AUTHORIZATION_NOTICES: Stage[Key, tuple[str, ...]] = Stage(Rank.AUTHORIZATION_NOTICES, _notices, _publish)
"""By AuthorizationPolicy."""
