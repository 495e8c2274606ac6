"""EgressPolicies: what each says, and which Gateways it decides for.

Owns the way from the API's spelling to the routing table's, and what a policy may do for a Gateway of another
namespace: only with a ReferenceGrant there, only for identities of its own namespace, and never more than names on the
public internet. A policy that cannot be enforced as it is written is in the table with a refusal, and denies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from controller.resources import (
    SEKISHO_GROUP,
    EgressFrom,
    EgressPolicy,
    EgressPolicyRule,
    EgressPolicySpec,
    EgressTargetReference,
    EgressTo,
    Gateway,
    Secret,
    duration_ms,
)
from controller.resources.egress_policy import UNREADABLE_TARGET
from controller.store import Key
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.denied_identities import denied_identities
from controller.translate.graph import Reads, Stage
from controller.translate.indexes import EGRESS_POLICIES
from controller.translate.names import object_name
from controller.translate.reference_grant import is_permitted, missing_grant
from controller.translate.stages import Rank
from gateway.routing_table import model, validate

_SPIFFE = "spiffe://"
_TOP_LEVEL = re.compile(r"\*{1,2}\.[^.]+\.?\Z")
_DIGEST = re.compile(rb"sha256:([0-9a-f]{64})\s*\Z")


class ParsedEgress(msgspec.Struct, frozen=True):
    """A policy by itself."""

    policy: model.EgressPolicy
    targets: tuple[EgressTargetReference, ...]
    problem: str
    """Why it is not accepted, or empty; then the policy has it as its refusal."""
    allows_every_name: bool


class AttachedEgress(msgspec.Struct, frozen=True):
    """A policy that decides for a Gateway: for all its ways out, or those named."""

    policy: model.EgressPolicy
    sections: tuple[str, ...]

    def applies_to(self, listener: str) -> bool:
        """Whether it decides about the listener of that name."""
        return not self.sections or listener in self.sections


def _parse(key: Key, reads: Reads) -> ParsedEgress | None:
    resource = reads.get(EgressPolicy, key.namespace, key.name)
    if resource is None:
        return None
    spec = resource.spec
    foreign = any(target.namespace not in (None, key.namespace) for target in spec.target_refs)
    problem = resource.refusal or (next(_foreign_problems(spec), "") if foreign else "")
    rules: list[model.EgressRule] = []
    for rule in spec.rules:
        made = _rule(reads, key.namespace, rule)
        if isinstance(made, str):
            problem = problem or made
        else:
            rules.append(made)
    policy = model.EgressPolicy(
        key=object_name(key),
        mode=spec.mode,
        rules=tuple(rules),
        confined_to=key.namespace if foreign else "",
        contact=spec.contact,
    )
    problem = problem or validate.problem(policy) or ""
    if problem:
        policy = msgspec.structs.replace(policy, mode="Enforce", rules=(), refusal=problem)
    every = any(rule.action == "Allow" and any("*" in to.names for to in rule.to) for rule in spec.rules)
    return ParsedEgress(policy, spec.target_refs, problem, every and not problem)


EGRESS_POLICY: Stage[Key, ParsedEgress | None] = Stage(Rank.EGRESS_POLICY, _parse)
"""By EgressPolicy."""


def _foreign_problems(spec: EgressPolicySpec) -> Iterator[str]:
    """What a policy for a Gateway of another namespace may not say: its owner alone decides on that."""
    only = "only a policy in the Gateway's namespace may"
    if spec.mode == "Report":
        yield f"spec.mode: Report lets through what nothing allows, which {only}"
    for index, rule in enumerate(spec.rules):
        if rule.action == "Deny":
            continue
        if rule.address_blocks:
            yield f"spec.rules[{index}].addressBlocks: it permits addresses that are not public, which {only}"
        if any("*" in to.names for to in rule.to):
            yield f"spec.rules[{index}]: it allows every name, which {only}"
        wide = next((name for to in rule.to for name in to.names if _TOP_LEVEL.match(name)), None)
        if wide is not None:
            yield f"spec.rules[{index}]: it allows every name of a top-level domain ({wide}), which {only}"
        if any(to.ip_blocks for to in rule.to):
            yield f"spec.rules[{index}]: it allows addresses in place of names, which {only}"
        if rule.encrypted_client_hello == "Allow" or any("TCP" in to.protocols for to in rule.to):
            yield f"spec.rules[{index}]: it allows connections whose destination is not seen, which {only}"


def _rule(reads: Reads, namespace: str, rule: EgressPolicyRule) -> model.EgressRule | str:
    sources: list[model.EgressSource] = []
    for source in rule.from_:
        made = _source(reads, namespace, source)
        if isinstance(made, str):
            return f"rule {rule.name}: {made}"
        sources.append(made)
    limits = rule.limits
    return model.EgressRule(
        name=rule.name,
        action=rule.action,
        sources=tuple(sources),
        destinations=tuple(map(_destination, rule.to)),
        address_blocks=rule.address_blocks,
        encrypted_client_hello=rule.encrypted_client_hello == "Allow",
        limits=model.EgressLimits(
            connections=limits.connections or 0,
            bytes=limits.bytes or 0,
            duration_ms=duration_ms(limits.duration) if limits.duration else 0,
        ),
    )


def _source(reads: Reads, namespace: str, source: EgressFrom) -> model.EgressSource | str:
    credentials: tuple[model.EgressCredential, ...] = ()
    if source.credentials is not None:
        found = _credentials(reads, Key(Secret.kind, namespace, source.credentials.name))
        if isinstance(found, str):
            return found
        credentials = found
    return model.EgressSource(
        principals=tuple(principal.removeprefix(_SPIFFE) for principal in source.principals),
        namespaces=source.namespaces,
        service_accounts=tuple(name if "/" in name else f"{namespace}/{name}" for name in source.service_accounts),
        subject_alt_names=tuple(name if ":" in name else name.lower() for name in source.subject_alt_names),
        credentials=credentials,
        ip_blocks=source.ip_blocks,
    )


def _credentials(reads: Reads, key: Key) -> tuple[model.EgressCredential, ...] | str:
    secret = reads.get(Secret, key.namespace, key.name)
    if secret is None:
        return f"{key} does not exist, so nobody has credentials"
    credentials: list[model.EgressCredential] = []
    for user, value in sorted(secret.data.items()):
        digest = _DIGEST.match(value)
        if digest is None:
            return f"{key}: the value of {user!r} is no digest: write sha256: and 64 hexadecimal digits"
        credentials.append(model.EgressCredential(user=user, sha256=digest[1].decode()))
    return tuple(credentials) or f"{key} holds no users"


def _destination(to: EgressTo) -> model.EgressDestination:
    return model.EgressDestination(
        names=tuple(name.lower().removesuffix(".") for name in to.names),
        ip_blocks=to.ip_blocks,
        ports=to.ports,
        protocols=to.protocols,
        methods=to.methods,
        path_prefixes=to.path_prefixes,
    )


def egress_policies_of(reads: Reads, key: Key) -> tuple[AttachedEgress, ...]:
    """The policies that decide for a Gateway, by key; whoever the authority denies is denied by one of them."""
    found: dict[str, AttachedEgress] = {}
    denied = denied_identities(reads).egress
    if denied is not None:
        found[denied.key] = AttachedEgress(denied, ())
    for index in ((key.namespace, key.name), (key.namespace, UNREADABLE_TARGET)):
        for policy in reads.referring(EGRESS_POLICIES, index):
            parsed = reads.result(EGRESS_POLICY, policy)
            if parsed is None:
                continue
            targets = [target for target in parsed.targets if names_gateway(policy, target, key)]
            if not targets or grant_problem(reads, policy, key):
                continue
            names = tuple(target.section_name for target in targets if target.section_name)
            sections = names if len(names) == len(targets) else ()
            found[parsed.policy.key] = AttachedEgress(parsed.policy, sections)
    return tuple(found[name] for name in sorted(found))


def names_gateway(policy: Key, target: EgressTargetReference, gateway: Key) -> bool:
    """Whether a policy's target is the Gateway."""
    return target.kind == Gateway.kind and target_gateway(policy, target) in (
        gateway,
        Key(Gateway.kind, gateway.namespace, UNREADABLE_TARGET),
    )


def target_gateway(policy: Key, target: EgressTargetReference) -> Key:
    """The Gateway that a target names, whatever its kind says."""
    return Key(Gateway.kind, target.namespace or policy.namespace, target.name)


def grant_problem(reads: Reads, policy: Key, gateway: Key) -> Problem | None:
    """Why a policy may not speak for a Gateway of another namespace."""
    if is_permitted(reads, policy, SEKISHO_GROUP, gateway, "gateway.networking.k8s.io"):
        return None
    return Problem(ConditionReason.REF_NOT_PERMITTED, missing_grant(policy, gateway))
