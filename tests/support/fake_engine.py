"""An engine without traffic: holds a table by the contract's rules and answers what a test put in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gateway.routing_table import validate, wire
from gateway.routing_table.model import Applied, Delta, ListenerState, Rejection, Resources, Snapshot
from gateway.telemetry.statistics import Statistics


class FakeEngine:
    def __init__(self) -> None:
        self.version = ""
        self.table = Resources()
        self.updates: list[bytes] = []
        self.refused: dict[str, str] = {}
        """Keys that are refused although nothing is wrong with them, and why."""
        self.unbindable: dict[str, str] = {}
        """Listeners that cannot be bound, and why."""
        self.counters = Statistics()
        self.explanation: dict[str, Any] = {"decision": "no_listener", "candidates": [], "nearest": []}
        self.questions: list[dict[str, Any]] = []
        self.identities: list[tuple[str, str, str, str]] = []
        """Chain, private key, trust bundle and trust domain, as they were given."""
        self.connections = 0
        self.draining = False
        self.closed = False

    def apply(self, update: bytes, /) -> bytes:
        self.updates.append(update)
        try:
            message, rejected = wire.decode_update(update)
        except wire.WireError as error:
            return wire.encode(Applied(version=self.version, error=str(error)))
        if isinstance(message, Delta) and message.base != self.version:
            return wire.encode(Applied(version=self.version, error=f"version {self.version!r} is served"))
        sent = message.resources if isinstance(message, Snapshot) else message.upsert
        rejected += tuple(
            Rejection(kind=kind, key=resource.key, reason=self.refused[resource.key])
            for kind in wire.KINDS
            for resource in getattr(sent, kind)
            if resource.key in self.refused
        )
        wanted = sent if isinstance(message, Snapshot) else wire.apply_delta(self.table, message)
        rejected += validate.dangling(wanted)
        refused = {(item.kind, item.key) for item in rejected}
        kept = {
            kind: tuple(
                wire.by_key(self.table, kind).get(resource.key) if (kind, resource.key) in refused else resource
                for resource in getattr(wanted, kind)
            )
            for kind in wire.KINDS
        }
        self.table = wire.resources_of({kind: [item for item in items if item] for kind, items in kept.items()})
        self.version = message.version
        listeners = tuple(
            ListenerState(key=item.key, bound=item.key not in self.unbindable, error=self.unbindable.get(item.key, ""))
            for item in self.table.listeners
        )
        return wire.encode(Applied(version=self.version, rejected=rejected, listeners=listeners))

    def snapshot(self, kinds: Sequence[str], /) -> Iterable[bytes]:
        resources = wire.resources_of({kind: getattr(self.table, kind) for kind in wire.KINDS if kind in kinds})
        text = wire.encode(Snapshot(version=self.version, resources=resources))
        return (text[:100], text[100:])

    def counts(self) -> bytes:
        return msgspec.json.encode({kind: len(getattr(self.table, kind)) for kind in wire.KINDS})

    def explain(self, request: bytes, /) -> bytes:
        self.questions.append(msgspec.json.decode(request))
        return msgspec.json.encode(self.explanation)

    def set_identity(self, chain_pem: str, private_key_pem: str, trust_bundle_pem: str, trust_domain: str, /) -> None:
        self.identities.append((chain_pem, private_key_pem, trust_bundle_pem, trust_domain))

    def statistics(self) -> bytes:
        return msgspec.json.encode(self.counters)

    def drain(self) -> None:
        self.draining = True

    def active(self) -> int:
        return self.connections

    def close(self) -> None:
        self.closed = True
