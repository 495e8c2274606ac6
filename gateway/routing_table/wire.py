"""The routing table on the wire: JSON, one document a message.

Owns encoding, decoding and the rules that keep one bad resource from costing another. It holds no
state and does not decide what a gateway serves: the engine applies the same rules to the same
bytes, and ``tests/contract`` holds cases that both sides decode.

The unknown-field rule
    A field that this reader does not know may be a match or a guard, so the *resource* that holds
    it is rejected and its previous version keeps serving. An unknown field outside a resource (in
    the message itself, or a kind this reader has never heard of) refuses the whole message,
    because nothing tells what it would have changed.

    A policy of authorization or authentication that is rejected is removed instead: its previous version may permit
    what this one was to forbid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from gateway.routing_table import validate
from gateway.routing_table.model import (
    FORMAT,
    Applied,
    AuthorizationPolicy,
    Backend,
    Certificate,
    Delta,
    EgressPolicy,
    Endpoints,
    Gateway,
    Listener,
    Rejection,
    Removed,
    RequestAuthentication,
    Resource,
    Resources,
    Route,
    Snapshot,
    TrustBundle,
    Update,
)

Kind = Literal[
    "trust_bundles",
    "certificates",
    "endpoints",
    "backends",
    "gateways",
    "authorization_policies",
    "request_authentications",
    "egress_policies",
    "listeners",
    "routes",
]
PolicyKind = Literal["authorization_policies", "request_authentications", "egress_policies"]

KINDS: Final[Mapping[Kind, type[Resource]]] = {
    "trust_bundles": TrustBundle,
    "certificates": Certificate,
    "endpoints": Endpoints,
    "backends": Backend,
    "gateways": Gateway,
    "authorization_policies": AuthorizationPolicy,
    "request_authentications": RequestAuthentication,
    "egress_policies": EgressPolicy,
    "listeners": Listener,
    "routes": Route,
}
"""Every kind, by its field in :class:`Resources`, in the order in which kinds are applied."""
POLICY_KINDS: Final[tuple[PolicyKind, ...]] = ("authorization_policies", "request_authentications", "egress_policies")
"""Kinds of which a refused resource keeps no previous version."""


class WireError(ValueError):
    """A whole message that cannot be read; nothing of it may be applied."""


class _RawResources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """:class:`Resources` with each resource still undecoded, so that a bad one stays alone."""

    trust_bundles: tuple[msgspec.Raw, ...] = ()
    certificates: tuple[msgspec.Raw, ...] = ()
    endpoints: tuple[msgspec.Raw, ...] = ()
    backends: tuple[msgspec.Raw, ...] = ()
    gateways: tuple[msgspec.Raw, ...] = ()
    authorization_policies: tuple[msgspec.Raw, ...] = ()
    request_authentications: tuple[msgspec.Raw, ...] = ()
    egress_policies: tuple[msgspec.Raw, ...] = ()
    listeners: tuple[msgspec.Raw, ...] = ()
    routes: tuple[msgspec.Raw, ...] = ()


class _RawSnapshot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="snapshot"):
    format: int
    version: str
    resources: _RawResources


class _RawDelta(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="delta"):
    format: int
    version: str
    base: str
    upsert: _RawResources = _RawResources()
    remove: Removed = Removed()


class _Envelope(msgspec.Struct, frozen=True):
    """The one field read before all others: it says whether the rest can be understood."""

    format: int


class _Keyed(msgspec.Struct, frozen=True):
    key: str


class _Named(msgspec.Struct, frozen=True):
    """The keys alone."""

    trust_bundles: tuple[_Keyed, ...] = ()
    certificates: tuple[_Keyed, ...] = ()
    endpoints: tuple[_Keyed, ...] = ()
    backends: tuple[_Keyed, ...] = ()
    gateways: tuple[_Keyed, ...] = ()
    authorization_policies: tuple[_Keyed, ...] = ()
    request_authentications: tuple[_Keyed, ...] = ()
    egress_policies: tuple[_Keyed, ...] = ()
    listeners: tuple[_Keyed, ...] = ()
    routes: tuple[_Keyed, ...] = ()


class _SnapshotOutline(msgspec.Struct, frozen=True, tag="snapshot"):
    version: str


class _DeltaOutline(msgspec.Struct, frozen=True, tag="delta"):
    version: str
    upsert: _Named = _Named()
    remove: Removed = Removed()


class Outline(msgspec.Struct, frozen=True):
    """What an update is about, without its resources."""

    version: str = ""
    named: frozenset[tuple[str, str]] | None = None
    """Kind and key of everything that a delta brings or removes; None of a snapshot, which is about everything."""


_encoder = msgspec.json.Encoder()
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_message = msgspec.json.Decoder(_RawSnapshot | _RawDelta).decode
_decode_applied = msgspec.json.Decoder(Applied).decode
_decode_outline = msgspec.json.Decoder(_SnapshotOutline | _DeltaOutline).decode
_decode_key = msgspec.json.Decoder(_Keyed).decode
_decoders: Final[Mapping[Kind, msgspec.json.Decoder[Resource]]] = {
    kind: msgspec.json.Decoder(resource) for kind, resource in KINDS.items()
}


def encode(message: Update | Applied | Resources) -> bytes:
    """The bytes of a message. Secrets are inside: for the wire and the state file only."""
    return _encoder.encode(message)


def outline(data: bytes) -> Outline | None:
    """What an update is about; None where it cannot be read, which the engine then says better."""
    try:
        message: _SnapshotOutline | _DeltaOutline = _decode_outline(data)
    except msgspec.DecodeError:
        return None
    if isinstance(message, _SnapshotOutline):
        return Outline(message.version)
    brought = ((kind, item.key) for kind in KINDS for item in getattr(message.upsert, kind))
    removed = ((kind, key) for kind in KINDS for key in getattr(message.remove, kind))
    return Outline(message.version, frozenset((*brought, *removed)))


def decode_snapshot(pieces: Iterable[bytes]) -> Resources:
    """The resources of a table that was judged before, such as the engine's own."""
    message, rejected = decode_update(b"".join(pieces))
    if rejected or not isinstance(message, Snapshot):
        raise WireError(f"not a table: {rejected}")
    return message.resources


def decode_applied(data: bytes) -> Applied:
    """The engine's answer to an update."""
    try:
        return _decode_applied(data)
    except msgspec.DecodeError as error:
        raise WireError(f"not an answer to an update: {error}") from error


def decode_update(data: bytes) -> tuple[Update, tuple[Rejection, ...]]:
    """The update with its good resources, and a rejection for each bad one.

    Raises :class:`WireError` where nothing of the message may be applied. References between
    resources are not looked at: they are a matter of the table, not of the message.
    """
    try:
        envelope = _decode_envelope(data)
        if envelope.format != FORMAT:
            raise WireError(f"format {envelope.format} is not supported, this reader knows format {FORMAT}")
        message: _RawSnapshot | _RawDelta = _decode_message(data)
    except msgspec.DecodeError as error:
        raise WireError(f"not a routing table update: {error}") from error
    match message:
        case _RawSnapshot():
            resources, rejected = _decode_resources(message.resources)
            return Snapshot(version=message.version, resources=resources), rejected
        case _RawDelta():
            resources, rejected = _decode_resources(message.upsert)
            remove = _with_refused_policies(message.remove, resources, rejected)
            return Delta(version=message.version, base=message.base, upsert=resources, remove=remove), rejected


def _with_refused_policies(remove: Removed, good: Resources, rejected: Sequence[Rejection]) -> Removed:
    """A policy that is refused goes: its previous version may permit what this one was to forbid."""
    gone: dict[str, tuple[str, ...]] = {}
    for kind in POLICY_KINDS:
        held = {policy.key for policy in getattr(good, kind)}
        named: tuple[str, ...] = getattr(remove, kind)
        refused = {item.key for item in rejected if item.kind == kind} - held - set(named)
        if refused:
            gone[kind] = (*named, *sorted(refused))
    return msgspec.structs.replace(remove, **gone) if gone else remove


def _decode_resources(raw: _RawResources) -> tuple[Resources, tuple[Rejection, ...]]:
    good: dict[Kind, list[Resource]] = {}
    rejected: list[Rejection] = []
    for kind in KINDS:
        seen: set[str] = set()
        for index, document in enumerate(getattr(raw, kind)):
            decoded = _decode_resource(kind, index, document)
            if isinstance(decoded, Rejection):
                rejected.append(decoded)
            elif decoded.key in seen:
                rejected.append(Rejection(kind=kind, key=decoded.key, reason="the key appears twice in one message"))
            else:
                seen.add(decoded.key)
                good.setdefault(kind, []).append(decoded)
    return resources_of(good), tuple(rejected)


def _decode_resource(kind: Kind, index: int, document: msgspec.Raw) -> Resource | Rejection:
    try:
        resource = _decoders[kind].decode(document)
    except msgspec.DecodeError as error:
        return Rejection(kind=kind, key=_key_of(document, index), reason=str(error))
    problem = validate.problem(resource)
    if problem is not None:
        return Rejection(kind=kind, key=resource.key, reason=problem)
    return resource


def _key_of(document: msgspec.Raw, index: int) -> str:
    try:
        return _decode_key(document).key
    except msgspec.DecodeError:
        return f"#{index}"


def resources_of(by_kind: Mapping[Kind, Iterable[Resource]]) -> Resources:
    """Resources put together from a mapping by kind; kinds that are not named are empty."""
    return Resources(**{kind: tuple(resources) for kind, resources in by_kind.items()})  # type: ignore[arg-type]


def by_key(resources: Resources, kind: Kind) -> dict[str, Resource]:
    """The resources of one kind, by key."""
    return {resource.key: resource for resource in getattr(resources, kind)}


def apply_delta(resources: Resources, delta: Delta) -> Resources:
    """What a holder of ``resources`` holds after ``delta``. The caller has compared the versions."""
    changed: dict[Kind, Iterable[Resource]] = {}
    for kind in KINDS:
        upsert: tuple[Resource, ...] = getattr(delta.upsert, kind)
        remove: tuple[str, ...] = getattr(delta.remove, kind)
        if not upsert and not remove:
            changed[kind] = getattr(resources, kind)
            continue
        held = by_key(resources, kind)
        held.update((resource.key, resource) for resource in upsert)
        for key in remove:
            held.pop(key, None)
        changed[kind] = held.values()
    return resources_of(changed)
