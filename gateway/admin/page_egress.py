"""The part of the page that is about ways out: each rule of egress policies, and what was decided by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from gateway.routing_table.describe_egress import where, who
from gateway.routing_table.model import EgressPolicy, EgressRule
from gateway.telemetry.statistics import Statistics


class EgressRow(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, since the process began. Without a rule: what a policy decided because none of its rules allows it;
    without a policy: where the client is under none."""

    policy: str
    rule: str
    action: str
    mode: str
    who: str
    where: str
    source: str
    allowed: int
    would_deny: int
    denied: int
    failed: int
    received: int
    """Bytes from clients."""
    sent: int
    """Bytes to clients."""


def egress_rows(
    policies: Iterable[EgressPolicy], statistics: Statistics, sources: Mapping[str, str]
) -> list[EgressRow]:
    """Rules in the order of the table, then what was decided without one. ``sources``: file and line by object."""
    decided: Counter[tuple[str, str, str]] = Counter()
    for line in statistics.egress:
        decided[line.policy, line.rule, line.decision] += line.count
    moved = {(line.policy, line.rule): (line.received, line.sent) for line in statistics.egress_bytes}
    modes = {policy.key: policy.mode for policy in policies}

    def row(policy: str, name: str, rule: EgressRule | None) -> EgressRow:
        received, sent = moved.get((policy, name), (0, 0))
        return EgressRow(
            policy=policy,
            rule=name,
            action=rule.action if rule is not None else "",
            mode=modes.get(policy, ""),
            who=who(rule) if rule is not None else "",
            where=where(rule) if rule is not None else "",
            source=sources.get(f"EgressPolicy/{policy}", ""),
            allowed=decided[policy, name, "allow"],
            would_deny=decided[policy, name, "would_deny"],
            denied=decided[policy, name, "deny"],
            failed=decided[policy, name, "failed"],
            received=received,
            sent=sent,
        )

    rules = {(policy.key, rule.name): rule for policy in policies for rule in policy.rules}
    without = sorted({(policy, rule) for policy, rule, _ in decided} - rules.keys())
    return [row(policy, name, rule) for (policy, name), rule in rules.items()] + [
        row(policy, name, None) for policy, name in without
    ]
