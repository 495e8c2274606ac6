"""Rules of AuthorizationPolicies that change nothing, because others decide first or say the same. Pure.

Owns when one rule covers another: whatever the second matches, the first does. It is said only of what is certain from
the rules as they are written, so two patterns of which one is wider are not found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.routing_table import model


def shadowed_rules(policy: model.AuthorizationPolicy, others: Iterable[model.AuthorizationPolicy]) -> Iterator[str]:
    """A sentence for each rule of an ALLOW policy that ``others``, which count where it does, leave without effect."""
    if policy.action != "ALLOW" or policy.refusal or policy.dry_run:
        return
    enforced = [other for other in others if other.key != policy.key and not (other.dry_run or other.refusal)]
    for number, rule in enumerate(policy.rules):
        for other in sorted(enforced, key=lambda it: (it.action != "DENY", it.key)):
            wider = next((index for index, it in enumerate(other.rules) if _goes_before(other, it, policy, rule)), None)
            if wider is None:
                continue
            if other.action == "DENY":
                yield f"rule {number} allows nothing: the DENY policy {other.key} denies what it matches (rule {wider})"
            else:
                yield f"rule {number} changes nothing: {other.key} allows what it matches (rule {wider})"
            break


def _goes_before(
    other: model.AuthorizationPolicy,
    wide: model.AuthorizationRule,
    policy: model.AuthorizationPolicy,
    rule: model.AuthorizationRule,
) -> bool:
    if other.action not in ("DENY", "ALLOW") or not covers(wide, rule):
        return False
    # Of two that say the same, it is said of one.
    return other.action == "DENY" or not covers(rule, wide) or other.key < policy.key


def covers(wide: model.AuthorizationRule, rule: model.AuthorizationRule) -> bool:
    """Whether ``wide`` matches, for certain, all that ``rule`` matches."""
    return (
        _any_of(wide.sources, rule.sources)
        and _any_of(wide.operations, rule.operations)
        and all(condition in rule.conditions for condition in wide.conditions)
    )


def _any_of(wide: tuple[object, ...], narrow: tuple[object, ...]) -> bool:
    """Nothing asked for is everything; otherwise each alternative must be one of the others."""
    return not wide or (bool(narrow) and all(item in wide for item in narrow))
