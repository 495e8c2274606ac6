"""What egress policies say of a destination, in an explanation: the decision, and every rule that speaks of it.

A route may lead to several destinations; each has an answer of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
        place = (f"  {rule['source']}" if rule.get("source") else "", "where")
        branch.add(text(name, f"{mode}: ", what, place))
    if len(answer["tried"]) > _MAX_RULES:
        branch.add(text((f"and {len(answer['tried']) - _MAX_RULES} more", "soft")))
    if not answer["tried"]:
        branch.add(text((_nobody(answer["policies"]), "soft")))
    if answer["allowed"]:
        branch.add(text(("guard ", "soft"), _guard(answer["address_blocks"])))
        limits = ", ".join(_limits(answer["limits"]))
        if limits:
            branch.add(text(("limits ", "soft"), limits))
    if answer["contact"]:
        branch.add(text(("ask ", "soft"), answer["contact"]))


def _nobody(policies: int) -> str:
    if policies == 0:
        return "no policy speaks for this way out"
    whose = "the one policy does not name" if policies == 1 else f"none of {policies} policies names"
    return f"{whose} this destination"


def write_destinations(tree: Tree, destinations: Iterable[Answer]) -> None:
    """Where a route leads outside, and whether the request gets there."""
    for answer in destinations:
        place = f"{answer['host']}:{answer['port']}"
        spoken = f"{answer['method']} {answer['path']}" if answer["protocol"] == "HTTP" else answer["protocol"]
        branch = tree.add(text(("outside ", "soft"), (place, "title"), f" as {spoken}"))
        if answer["must_ask_for_host"]:
            branch.add(text((f"what the client sends must be TLS that asks for {answer['host']}", "warn")))
        if answer["egress"]:
            write_egress(branch, answer["egress"])
        elif answer["status"]:
            how = f"answers {answer['status']}" if answer["protocol"] == "HTTP" else "closed"
            branch.add(text(("denied", "bad"), f": {how} ({answer['code']})"))
        else:
            branch.add(text(("no egress policy speaks for this listener, so none is asked", "warn")))
        if answer["credentials"]:
            branch.add(text(("credentials ", "soft"), f"from a Secret: {', '.join(answer['credentials'])}"))


def _guard(blocks: Iterable[str]) -> str:
    named = ", ".join(blocks)
    return "every address that the name has must be public" + (f", or in {named}" if named else "")


def _limits(limits: Mapping[str, int]) -> Iterable[str]:
    if limits["connections"]:
        yield f"{limits['connections']} connections at once"
    if limits["bytes"]:
        yield f"{limits['bytes']} bytes"
    if limits["duration_ms"]:
        yield f"{limits['duration_ms']} ms"
