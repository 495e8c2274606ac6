"""What policies say of a request, in an explanation: each policy, its rules, the first condition that failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.text import Text
from rich.tree import Tree

from controller.terminal.writer import text

_MAX_RULES: Final = 8
Answer = Mapping[str, Any]


def write_authorization(tree: Tree, answer: Answer) -> None:
    """The decision, then what was asked for it."""
    style = "good" if answer["allowed"] else "bad"
    verdict = "allowed" if answer["allowed"] else "denied"
    branch = tree.add(text(("authorization ", "soft"), (verdict, style), f": {answer['reason']}"))
    for policy in answer.get("policies") or ():
        _policy(branch, policy)
    if answer.get("dry_run_allowed") is not None:
        words = "allow" if answer["dry_run_allowed"] else "deny"
        branch.add(text((f"policies in dry run would {words} it", "soft")))
    if answer.get("audited"):
        branch.add(text((f"audited by {answer['audited']}", "soft")))


def _policy(branch: Tree, policy: Answer) -> None:
    trial = ", dry run" if policy["dry_run"] else ""
    where = f"  {policy['source']}" if policy.get("source") else ""
    item = branch.add(text((policy["policy"], "title"), f" {policy['action']}{trial}", (where, "where")))
    if policy["refusal"]:
        item.add(text(("cannot be enforced as it is written: ", "bad"), policy["refusal"]))
        return
    rules = policy["rules"]
    for rule in rules[-_MAX_RULES:]:
        item.add(_rule(rule))
    if len(rules) > _MAX_RULES:
        item.add(text((f"and {len(rules) - _MAX_RULES} more before", "soft")))
    if not rules:
        item.add(text(("it has no rules, so it matches nothing", "soft")))


def _rule(rule: Answer) -> Text:
    if rule["matched"]:
        return text(f"rule {rule['rule']} ", ("matches", "good"))
    failed = rule["failed"]
    has = "there is none" if failed["got"] is None else f"it is {failed['got']!r}"
    return text(f"rule {rule['rule']}: ", (f"{failed['field']} wants {failed['want']!r}, {has}", "warn"))
