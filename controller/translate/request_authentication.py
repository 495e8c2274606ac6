"""RequestAuthentications: what each says, and which Gateways it applies to.

Owns the way from Istio's spelling to the routing table's, and where the keys of a rule come from: the rule itself, or
what was fetched. Selection is that of AuthorizationPolicies. One that cannot be enforced as it is written is in the
table with a refusal, and refuses every request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from controller.resources import (
    DISCOVERY,
    Gateway,
    JWTRule,
    KeySet,
    PolicyTargetReference,
    RequestAuthentication,
    key_set_name,
)
from controller.store import Key
from controller.translate.authorization import applies
from controller.translate.graph import Reads, Stage
from controller.translate.indexes import AUTHENTICATIONS
from controller.translate.jwks import key_set_problem
from controller.translate.names import object_name
from controller.translate.stages import Rank
from gateway.routing_table import model, validate


class ParsedAuthentication(msgspec.Struct, frozen=True):
    """A policy by itself."""

    policy: model.RequestAuthentication
    targets: tuple[PolicyTargetReference, ...]
    labels: Mapping[str, str]
    """A Gateway's pods must have them, where there are no targets."""
    problems: tuple[str, ...] = ()
    """Of the keys of its rules."""


def _parse(key: Key, reads: Reads) -> ParsedAuthentication | None:
    resource = reads.get(RequestAuthentication, key.namespace, key.name)
    if resource is None:
        return None
    spec = resource.spec
    problems: list[str] = []
    rules: list[model.TokenRule] = []
    for index, rule in enumerate(() if resource.refusal else spec.jwt_rules):
        keys, problem = _keys(rule, reads)
        rules.append(_rule(rule, keys))
        if problem:
            effect = "tokens of its issuer are refused" if not keys else "the keys from before count"
            problems.append(f"rule {index} ({rule.issuer}): {problem}; {effect}")
    policy = model.RequestAuthentication(key=object_name(key), rules=tuple(rules), refusal=resource.refusal)
    refusal = validate.problem(policy)
    if refusal is not None:
        policy, problems = msgspec.structs.replace(policy, rules=(), refusal=refusal), []
    labels = spec.selector.match_labels if spec.selector else {}
    return ParsedAuthentication(policy, spec.targets, labels, tuple(problems))


def _keys(rule: JWTRule, reads: Reads) -> tuple[str, str]:
    """The usable keys, and what is wrong with them. Keys that are not usable are none."""
    if rule.jwks:
        problem = key_set_problem(rule.jwks)
        return ("", f"jwks: {problem}") if problem else (rule.jwks, "")
    location = key_location(rule)
    fetched = reads.get(KeySet, "", key_set_name(location))
    if fetched is None:
        return "", f"its keys are not fetched yet from {location}"
    if fetched.problem:
        return fetched.keys, f"its keys cannot be fetched from {location}: {fetched.problem}"
    return fetched.keys, ""


def key_location(rule: JWTRule) -> str:
    """Where the keys of a rule without keys are, or what says it."""
    return rule.jwks_uri or rule.issuer.rstrip("/") + DISCOVERY


def key_locations(policies: Iterable[RequestAuthentication]) -> frozenset[str]:
    """Everything that has to be fetched."""
    return frozenset(_locations(policies))


def _locations(policies: Iterable[RequestAuthentication]) -> Iterator[str]:
    for policy in policies:
        for rule in policy.spec.jwt_rules:
            if not rule.jwks:
                yield key_location(rule)


def _rule(rule: JWTRule, keys: str) -> model.TokenRule:
    outputs = rule.output_claim_to_headers
    return model.TokenRule(
        issuer=rule.issuer,
        audiences=rule.audiences,
        keys=keys,
        from_headers=tuple(
            model.TokenHeader(name=header.name.lower(), prefix=header.prefix) for header in rule.from_headers
        ),
        from_params=rule.from_params,
        from_cookies=rule.from_cookies,
        output_payload_to_header=rule.output_payload_to_header.lower(),
        output_claim_to_headers=tuple(
            model.ClaimHeader(header=output.header.lower(), claim=output.claim) for output in outputs
        ),
        forward_original_token=rule.forward_original_token,
    )


AUTHENTICATION: Stage[Key, ParsedAuthentication | None] = Stage(Rank.AUTHENTICATION, _parse)
"""By RequestAuthentication."""


def authentications_of(reads: Reads, key: Key, gateway: Gateway) -> tuple[model.RequestAuthentication, ...]:
    """Those that apply to a Gateway, by key."""
    found: list[model.RequestAuthentication] = []
    for namespace in dict.fromkeys((key.namespace, reads.options.root_namespace)):
        for policy_key in reads.referring(AUTHENTICATIONS, namespace):
            parsed = reads.result(AUTHENTICATION, policy_key)
            if parsed is not None and applies(parsed, policy_key, key, gateway, reads.options.root_namespace):
                found.append(parsed.policy)
    return tuple(sorted(found, key=lambda policy: policy.key))
