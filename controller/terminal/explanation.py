"""An explanation as a tree: what takes the request, through which filters, to which backends, and why not others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from rich.text import Text
from rich.tree import Tree

from controller.terminal.authentication import write_authentication
from controller.terminal.authorization import write_authorization
from controller.terminal.egress import write_destinations, write_egress
from controller.terminal.writer import Writer, text
from gateway.admin.explain import Question
from gateway.routing_table import describe
from gateway.routing_table.model import Filter, WeightedBackend

_MAX_PASSED_OVER: Final = 8
Answer = Mapping[str, Any]


def write_explanation(writer: Writer, question: Question, answer: Answer) -> None:
    """The whole answer, for people."""
    tree = Tree(text((f"{question.method} {question.url}", "title")), guide_style="soft")
    for name, value in question.headers:
        tree.add(text((f"{name}: {_shown(name, value)}", "soft")))
    for name, value in (("from", question.from_), ("source", question.source)):
        if value:
            tree.add(text((f"{name} {value}", "soft")))
    _verdict(tree, answer)
    if answer.get("authentication"):
        write_authentication(tree, answer["authentication"])
    if answer.get("authorization"):
        write_authorization(tree, answer["authorization"])
    if answer.get("egress"):
        write_egress(tree, answer["egress"])
    else:
        _found(tree, answer)
    write_destinations(tree, answer.get("destinations") or ())
    writer.block(tree) if writer.styled else _plain(writer, tree)


def _found(tree: Tree, answer: Answer) -> None:
    match answer["decision"]:
        case "route":
            _route(tree, answer)
            _passed_over(tree, answer)
        case "denied":
            if answer.get("route"):
                _route(tree, answer)
        case "no_listener":
            tree.add(text("no listener has this scheme and port; a URL without a port means 80, or 443 with https"))
        case _:
            _nearest(tree, answer)


def _shown(name: str, value: str) -> str:
    """Credentials are nothing for a terminal's memory."""
    if name.lower() not in ("authorization", "cookie", "proxy-authorization"):
        return value
    scheme, space, rest = value.partition(" ")
    return f"{scheme} …" if space and rest else "…"


def _plain(writer: Writer, tree: Tree, depth: int = 0) -> None:
    for number, line in enumerate(str(tree.label).splitlines()):
        writer.line("  " * (depth + (number > 0)) + line)
    for child in tree.children:
        _plain(writer, child, depth + 1)


def _verdict(tree: Tree, answer: Answer) -> None:
    if answer.get("listener"):
        tree.add(text(("listener ", "soft"), answer["listener"]))
    words = {
        "route": ("routed", "good"),
        "not_found": ("no route takes it", "bad"),
        "misdirected": ("misdirected: another listener owns this host on this connection", "bad"),
        "denied": ("denied by policy", "bad"),
        "egress": ("goes out", "good"),
        "no_listener": ("nothing listens there", "bad"),
    }
    verdict, style = words.get(answer["decision"], (answer["decision"], "warn"))
    status = f", answers {answer['status']}" if answer.get("status") else ""
    code = f" ({answer['code']})" if answer.get("code") and answer.get("status") else ""
    tree.add(text((verdict + status, "warn" if status and style == "good" else style), (code, "soft")))


def _route(tree: Tree, answer: Answer) -> None:
    name = f" “{answer['name']}”" if answer.get("name") else ""
    number = answer.get("rule_match")
    matched = f", match {number}" if number is not None else ""
    route = tree.add(
        text(("route ", "soft"), (answer["route"], "title"), f"{name}{matched}", (_source(answer), "where"))
    )
    for step in answer.get("filters") or ():
        route.add(text(("filter ", "soft"), _filter_words(step)))
    shares = [msgspec.convert(share, WeightedBackend) for share in answer.get("backends") or ()]
    total = sum(share.weight for share in shares)
    for share in shares:
        style = "bad" if share.failure is not None else "good"
        backend = route.add(text(("backend ", "soft"), (describe.backend(share, total), style)))
        for step in share.filters:
            backend.add(text(("filter ", "soft"), describe.filter_(step)))
    for name, unit in (("request_ms", "whole request"), ("backend_request_ms", "each attempt")):
        value = (answer.get("timeouts") or {}).get(name)
        if value:
            route.add(text(("timeout ", "soft"), f"{unit} {value} ms"))
    retry = answer.get("retry")
    if retry:
        codes = ", ".join(str(code) for code in retry.get("codes") or ()) or "connection failures"
        route.add(text(("retry ", "soft"), f"{retry.get('attempts', 1)} times on {codes}"))


def _source(item: Answer) -> str:
    return f"  {item['source']}" if item.get("source") else ""


def _filter_words(step: Any) -> str:
    try:
        return describe.filter_(msgspec.convert(step, Filter))
    except msgspec.ValidationError:
        return str(step.get("type", step))


def _passed_over(tree: Tree, answer: Answer) -> None:
    missed = [item for item in answer.get("candidates") or () if not item["matched"]]
    if not missed:
        return
    branch = tree.add(text(("tried before it, without a match", "soft")))
    for item in missed[:_MAX_PASSED_OVER]:
        branch.add(_missed(item))
    if len(missed) > _MAX_PASSED_OVER:
        branch.add(text((f"and {len(missed) - _MAX_PASSED_OVER} more", "soft")))


def _nearest(tree: Tree, answer: Answer) -> None:
    nearest = answer.get("nearest") or ()
    if not nearest:
        tree.add(text(("no route comes near", "soft")))
        return
    branch = tree.add(text(("nearest misses", "soft")))
    for item in nearest:
        branch.add(_missed(item))


def _missed(item: Answer) -> Text:
    failed = item.get("failed")
    return text(
        (item["route"], "title"),
        f" match {item['match']}",
        (_source(item), "where"),
        "\n",
        (failure_in_words(failed), "warn") if failed else "",
    )


def failure_in_words(failed: Answer) -> str:
    """``header x-canary: wants "yes", the request has none``."""
    name = f" {failed['name']}" if failed.get("name") else ""
    got = failed.get("got")
    has = "has none" if got is None else f"has {got!r}"
    return f"{failed['predicate']}{name}: wants {failed.get('want', '')!r}, the request {has}"
