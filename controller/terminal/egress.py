"""What egress policies say of a destination, in an explanation: the decision, and every rule that speaks of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.tree import Tree

from controller.terminal.writer import text

_MAX_RULES: Final = 20
Answer = Mapping[str, Any]


def write_egress(tree: Tree, answer: Answer) -> None:
    """The decision, then the rules that were tried."""
    verdict, style = ("allowed", "good") if answer["allowed"] else ("denied", "bad")
    if answer["would_deny"]:
        verdict, style = "let through by Report mode", "warn"
    branch = tree.add(text(("egress ", "soft"), (verdict, style), f": {answer['reason']}"))
    for rule in answer["tried"][:_MAX_RULES]:
        name = (f"{rule['policy']}/{rule['rule']}", "title")
        mode = f" {rule['action']}" + (", Report" if rule["mode"] == "Report" else "")
        what = ("matches", "good") if rule["matched"] else (f"does not match: {rule['failed']}", "warn")
        branch.add(text(name, f"{mode}: ", what))
    if len(answer["tried"]) > _MAX_RULES:
        branch.add(text((f"and {len(answer['tried']) - _MAX_RULES} more", "soft")))
    if not answer["tried"]:
        branch.add(text((_nobody(answer["policies"]), "soft")))
    if answer["contact"]:
        branch.add(text(("ask ", "soft"), answer["contact"]))


def _nobody(policies: int) -> str:
    if policies == 0:
        return "no policy speaks for this way out"
    whose = "the one policy does not name" if policies == 1 else f"none of {policies} policies names"
    return f"{whose} this destination"
