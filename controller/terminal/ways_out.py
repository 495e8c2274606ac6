"""What `sekisho up` says of ways out: what each is, and what its policies let through."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from rich.text import Text

from controller.terminal.curl import CurlLine, Explain, dialled
from controller.terminal.writer import Writer, counted, grid, text
from gateway.admin.explain import Question
from gateway.routing_table.describe_egress import of_mesh_alone, where, who
from gateway.routing_table.model import EgressPolicy, EgressRule, Listener, Resources

_MAX_RULES: Final = 12
_MAX_QUESTIONS: Final = 20


def write_ways_out(writer: Writer, table: Resources) -> None:
    """One line for each rule of the policies; a way out that no policy speaks for lets nothing through, and says so."""
    policies = {policy.key: policy for policy in table.egress_policies}
    if writer.styled and (policies or any(listener.egress for listener in table.listeners)):
        writer.heading("Ways out")
    rules = [(policy, rule) for policy in policies.values() for rule in policy.rules]
    shown = rules[:_MAX_RULES]
    if writer.styled and shown:
        writer.block(grid([_row(policy, rule) for policy, rule in shown]))
    for policy, rule in () if writer.styled else shown:
        verb = "allows" if rule.action == "Allow" else "denies"
        writer.line(f"egress policy {policy.key}{_mode(policy)} {verb} {who(rule)} -> {where(rule)} ({rule.name})")
    if len(rules) > len(shown):
        writer.line((f"  and {counted(len(rules) - len(shown), 'more rule')} of egress policies", "soft"))
    for listener in table.listeners:
        if listener.egress is not None and not any(key in policies for key in listener.egress.policies):
            remedy = "an EgressPolicy whose targetRefs name its Gateway says what may pass"
            writer.line((f"{listener.key} lets nothing out: no policy speaks for it; {remedy}", "warn"))


def way_out_line(table: Resources, explain: Explain) -> CurlLine | None:
    """A command that the policies let out from this machine, where there is one."""
    for listener, question in islice(_questions(table), _MAX_QUESTIONS):
        answer = explain(question)
        if answer.get("decision") == "egress" and answer.get("listener") == listener.key:
            proxy = f"{listener.protocol.lower()}://{dialled(listener)}:{listener.bind_port}"
            host, _, port = question.url.rpartition(":")
            command = f"curl --proxy {proxy} https://{host}{'' if port == '443' else ':' + port}/"
            return CurlLine(command=command, shows=listener.key, kind="egress")
    return None


def _questions(table: Resources) -> Iterator[tuple[Listener, Question]]:
    """CONNECT to each exact name, by the forward proxy whose policies it is in. TLS is what curl speaks there."""
    policies = {policy.key: policy for policy in table.egress_policies}
    for listener in table.listeners:
        # A proxy that is itself dialled by TLS asks for more than a line can show.
        if listener.egress is None or listener.egress.way != "Proxy" or listener.protocol != "HTTP":
            continue
        if of_mesh_alone(listener):
            continue
        named = (policies[key] for key in listener.egress.policies if key in policies)
        for rule in (rule for policy in named for rule in policy.rules if rule.action == "Allow"):
            for destination in rule.destinations:
                port = next((port for port in destination.ports or (443,) if port != 80), None)
                for name in destination.names if port else ():
                    if "*" not in name:
                        yield listener, Question(url=f"{name}:{port}", method="CONNECT")


def _row(policy: EgressPolicy, rule: EgressRule) -> list[Text]:
    arrow = ("→ ", "good") if rule.action == "Allow" else ("✗ ", "bad")
    return [
        text(who(rule)),
        text(arrow, where(rule)),
        text((f"{policy.key}/{rule.name}", "where"), (_mode(policy), "warn")),
    ]


def _mode(policy: EgressPolicy) -> str:
    return " (Report)" if policy.mode == "Report" else ""
