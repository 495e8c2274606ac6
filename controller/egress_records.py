"""Decision records of egress, read back: who reached what, what would have been denied, and a policy from it.

Owns the meaning of the records that the engine writes (``gateway/engine/proxy/src/egress/record.rs``). Lines of other
kinds are passed over, so that a whole access log can be read. Must not decide anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

_SPIFFE = "spiffe://"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One decision, or the end of a connection that was let out."""

    record: str
    id: str = ""
    identity: str | None = None
    user: str | None = None
    source: str = ""
    way: str = ""
    protocol: str | None = None
    method: str | None = None
    host: str | None = None
    port: int = 0
    decision: str = ""
    reason: str = ""
    would_deny: bool = False
    policy: str | None = None
    rule: str | None = None
    bytes_received: int = 0
    bytes_sent: int = 0

    @property
    def caller(self) -> str:
        """Who asked, as well as it is known: an identity, a user, or an address without port."""
        if self.identity:
            return self.identity
        if self.user:
            return f"user {self.user}"
        return self.source.rpartition(":")[0].strip("[]")

    @property
    def spoken(self) -> str:
        """The protocol of a rule for it, the narrowest that it may be."""
        if self.protocol == "HTTP" or self.method not in (None, "CONNECT"):
            return "HTTP"
        # A tunnel of the proxy that only reports is not looked into, and mostly TLS. What routes carry mostly is not.
        looked_away = self.protocol == "TCP" and (self.way == "Route" or not self.would_deny)
        return "TCP" if looked_away else "TLS"


class Line(msgspec.Struct, kw_only=True):
    """A caller and a destination, added up."""

    caller: str
    host: str
    port: int
    allowed: int = 0
    would_deny: int = 0
    denied: int = 0
    failed: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    reasons: dict[str, int] = {}
    """Of denials, by reason code."""


_decode = msgspec.json.Decoder(Record).decode


def records(lines: Iterable[str | bytes]) -> Iterator[Record]:
    """The records of egress among the lines of a log."""
    for line in lines:
        text = line.strip()
        if not text:
            continue
        try:
            record = _decode(text)
        except msgspec.DecodeError:
            continue
        if record.record in ("egress_decision", "egress_end"):
            yield record


def report(found: Iterable[Record]) -> list[Line]:
    """Sums by caller and destination, those that were denied most first."""
    sums: dict[tuple[str, str, int], Line] = {}
    for record in found:
        key = (record.caller, record.host or "", record.port)
        line = sums.setdefault(key, Line(caller=key[0], host=key[1], port=key[2], reasons={}))
        if record.record == "egress_end":
            line.bytes_received += record.bytes_received
            line.bytes_sent += record.bytes_sent
        elif record.decision == "allow":
            line.would_deny += record.would_deny
            line.allowed += not record.would_deny
        elif record.decision == "deny":
            line.denied += 1
            line.reasons[record.reason] = line.reasons.get(record.reason, 0) + 1
        else:
            line.failed += 1
    return sorted(sums.values(), key=lambda it: (-it.denied, -it.would_deny, -it.allowed, it.caller, it.host, it.port))


def suggest(found: Iterable[Record], name: str, namespace: str, gateway: Mapping[str, str]) -> dict[str, Any]:
    """An EgressPolicy that allows what was let out, one rule for each set of destinations that callers share.

    What was denied is not in it: a person adds that. Callers that are known by their address alone get a rule for
    everybody, which says so by its name.
    """
    reached: dict[str | None, set[tuple[str, int, str]]] = defaultdict(set)
    for record in found:
        if record.record == "egress_decision" and record.decision == "allow" and record.host:
            who = record.identity if record.identity and record.identity.startswith(_SPIFFE) else None
            reached[who].add((record.host, record.port, record.spoken))
    callers: dict[frozenset[tuple[str, int, str]], list[str | None]] = defaultdict(list)
    for caller, destinations in reached.items():
        callers[frozenset(destinations)].append(caller)
    rules = [
        _rule(index, sorted(filter(None, who)), None in who, destinations)
        for index, (destinations, who) in enumerate(sorted(callers.items(), key=lambda it: sorted(it[0])), start=1)
    ]
    return {
        "apiVersion": "sekisho.dev/v1alpha1",
        "kind": "EgressPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"targetRefs": [dict(gateway)], "mode": "Report", "rules": rules},
    }


def _rule(
    index: int, identities: list[str], everybody: bool, destinations: frozenset[tuple[str, int, str]]
) -> dict[str, Any]:
    name = f"seen-{index}" + ("-from-everybody" if everybody else "")
    to: dict[tuple[int, str, bool], list[str]] = defaultdict(list)
    for host, port, spoken in sorted(destinations):
        to[port, spoken, _is_address(host)].append(host.strip("[]"))
    return {
        "name": name,
        **({} if everybody else {"from": [{"principals": identities}]}),
        "to": [
            {
                ("ipBlocks" if address else "names"): hosts,
                "ports": [port],
                "protocols": [spoken],
            }
            for (port, spoken, address), hosts in sorted(to.items())
        ],
    }


def _is_address(host: str) -> bool:
    return host.startswith("[") or host.replace(".", "").isdigit()
