"""What became of the tokens of a request, in an explanation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.tree import Tree

from controller.terminal.writer import text


def write_authentication(tree: Tree, answer: Mapping[str, Any]) -> None:
    """Whether a token counts, and whose it is."""
    style, verdict = ("good", "passes") if answer["accepted"] else ("bad", "refused")
    branch = tree.add(text(("authentication ", "soft"), (verdict, style), f": {answer['reason']}"))
    if answer.get("principal"):
        branch.add(text(("principal ", "soft"), answer["principal"]))
    if answer.get("rule"):
        where = f"  {answer['source']}" if answer.get("source") else ""
        branch.add(text(("rule ", "soft"), (answer["rule"], "title"), (where, "where")))
