"""What people are shown of an authorization decision."""

from __future__ import annotations

from typing import Any

from rich.tree import Tree

from controller.terminal.authorization import write_authorization


def lines(tree: Tree) -> list[str]:
    return [str(tree.label), *(line for child in tree.children for line in lines(child))]


def shown(**answer: Any) -> str:
    tree = Tree("")
    base = {"allowed": False, "reason": "because", "policies": [], "dry_run_allowed": None, "audited": None}
    write_authorization(tree, {**base, **answer})
    return "\n".join(lines(tree))


def tried(**policy: Any) -> dict[str, Any]:
    return {"policy": "shop/p", "action": "ALLOW", "dry_run": False, "refusal": "", "rules": [], **policy}


def test_a_decision_names_each_rule_and_its_first_failed_condition() -> None:
    failed = {"field": "from[0].source.principals", "want": "a/b", "got": "a/c"}
    none = {"field": "when[0] request.headers[x]", "want": "1", "got": None}
    rules = [
        {"rule": 0, "matched": False, "failed": failed},
        {"rule": 1, "matched": False, "failed": none},
        {"rule": 2, "matched": True, "failed": None},
    ]
    text = shown(allowed=True, policies=[tried(rules=rules, source="shop.yaml:3")])
    assert "authorization allowed: because" in text
    assert "shop/p ALLOW  shop.yaml:3" in text
    assert "rule 0: from[0].source.principals wants 'a/b', it is 'a/c'" in text
    assert "rule 1: when[0] request.headers[x] wants '1', there is none" in text
    assert "rule 2 matches" in text


def test_what_cannot_be_enforced_says_why() -> None:
    text = shown(policies=[tried(refusal="spec.rules: unknown"), tried()])
    assert "authorization denied" in text
    assert "cannot be enforced as it is written: spec.rules: unknown" in text
    assert "it has no rules, so it matches nothing" in text


def test_long_policies_are_cut_to_what_was_tried_last() -> None:
    rules = [{"rule": number, "matched": True, "failed": None} for number in range(20)]
    text = shown(policies=[tried(rules=rules)])
    assert "rule 19" in text
    assert "and 12 more before" in text
    assert "rule 3 " not in text


def test_dry_run_and_audit_are_told() -> None:
    text = shown(dry_run_allowed=False, audited="shop/audit", policies=[tried(dry_run=True)])
    assert "policies in dry run would deny it" in text
    assert "audited by shop/audit" in text
    assert "shop/p ALLOW, dry run" in text
