"""EgressPolicy (``sekisho.dev/v1alpha1``): who may reach what outside.

Owns its shape, and that it never fails open: a spec that is not wholly understood becomes a policy with a ``refusal``,
because what was dropped of it may have denied something.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from controller.resources.gateway_parameters import SEKISHO_GROUP
from controller.resources.metadata import Resource
from controller.resources.references import GATEWAY_GROUP
from controller.resources.refusal import readable_selection, understood_or_refused
from controller.resources.schema import (
    Duration,
    Group,
    Kind,
    NamespaceName,
    ObjectName,
    PortNumber,
    SectionName,
    Struct,
    Violation,
)

Text = Annotated[str, Meta(min_length=1, max_length=1024)]
NamePattern = Annotated[str, Meta(min_length=1, max_length=256)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Bytes = Annotated[int, Meta(ge=1, le=2**53)]


class EgressTargetReference(Struct, frozen=True, kw_only=True):
    """A Gateway, or one of its listeners."""

    group: Group = GATEWAY_GROUP
    kind: Kind = "Gateway"
    name: ObjectName
    namespace: NamespaceName | None = None
    """Of the Gateway, where it is another: then a ReferenceGrant there must allow it, and the policy speaks of
    identities of its own namespace alone."""
    section_name: SectionName | None = None


class EgressCredentialsReference(Struct, frozen=True, kw_only=True):
    """A Secret of the policy's namespace. Each of its keys is a user, and the value ``sha256:`` and the digest of the
    password in hexadecimal digits."""

    name: ObjectName


class EgressFrom(Struct, frozen=True, kw_only=True):
    """Who asks: every field that is given must hold, by one of its values. There are no wildcards."""

    principals: Annotated[tuple[Text, ...], Meta(max_length=1024)] = ()
    """SPIFFE identities, from verified client certificates."""
    namespaces: Annotated[tuple[NamespaceName, ...], Meta(max_length=1024)] = ()
    """Of the identity."""
    service_accounts: Annotated[tuple[Text, ...], Meta(max_length=1024)] = ()
    """``namespace/name``, or a name of the policy's namespace."""
    subject_alt_names: Annotated[tuple[Text, ...], Meta(max_length=1024)] = ()
    """DNS names or URIs of a verified client certificate."""
    credentials: EgressCredentialsReference | None = None
    """Users of the forward proxy."""
    ip_blocks: Annotated[tuple[Text, ...], Meta(max_length=1024)] = ()
    """Where the connection comes from: CIDR blocks or addresses."""


class EgressTo(Struct, frozen=True, kw_only=True):
    """Where to: one of ``names`` or ``ip_blocks``, and every other field that is given."""

    names: Annotated[tuple[NamePattern, ...], Meta(max_length=65536)] = ()
    """``*.example.com``: one label more; ``**.example.com``: one or more; ``*``: every name, with acknowledgement."""
    ip_blocks: Annotated[tuple[Text, ...], Meta(max_length=1024)] = ()
    """Addresses that may be asked for by themselves; with action Deny, those that names resolve to as well."""
    ports: Annotated[tuple[PortNumber, ...], Meta(max_length=64)] = ()
    """None: 443, and 80 for HTTP."""
    protocols: tuple[Literal["TLS", "HTTP", "TCP"], ...] = ()
    """None: TLS and HTTP. TCP is a tunnel that nobody looks into."""
    methods: Annotated[tuple[Text, ...], Meta(max_length=64)] = ()
    """Where requests are seen: HTTP."""
    path_prefixes: Annotated[tuple[Text, ...], Meta(max_length=1024)] = ()


class EgressRuleLimits(Struct, frozen=True, kw_only=True):
    """Bounds of a rule: ``connections`` open at once; the others of each."""

    connections: Count | None = None
    bytes: Bytes | None = None
    duration: Duration | None = None


class EgressPolicyRule(Struct, frozen=True, kw_only=True):
    """Matches by one of ``from`` (none: everybody) and one of ``to``."""

    name: Annotated[str, Meta(min_length=1, max_length=253)]
    action: Literal["Allow", "Deny"] = "Allow"
    from_: Annotated[tuple[EgressFrom, ...], Meta(max_length=256)] = msgspec.field(default=(), name="from")
    to: Annotated[tuple[EgressTo, ...], Meta(min_length=1, max_length=256)]
    address_blocks: Annotated[tuple[Text, ...], Meta(max_length=1024)] = ()
    """Addresses that are not public and that the names may resolve to. Those of metadata services and of the gateway
    itself count only where they stand alone."""
    encrypted_client_hello: Literal["Deny", "Allow"] = "Deny"
    limits: EgressRuleLimits = EgressRuleLimits()


class EgressPolicySpec(Struct, frozen=True, kw_only=True):
    """``mode`` Report denies nothing and records what it would deny, for the sources that its rules name."""

    target_refs: Annotated[tuple[EgressTargetReference, ...], Meta(min_length=1, max_length=16)]
    mode: Literal["Enforce", "Report"] = "Enforce"
    contact: Annotated[str, Meta(max_length=1024)] = ""
    """Whom a client that is denied should ask; it is told so."""
    acknowledge: Annotated[tuple[Literal["AllowsEveryName"], ...], Meta(max_length=8)] = ()
    """``AllowsEveryName``: that a rule with the name ``*`` allows everything is meant."""
    rules: Annotated[tuple[EgressPolicyRule, ...], Meta(max_length=1024, extra={"unique": "name"})] = ()

    def violations(self) -> Iterator[Violation]:
        """What allows everything says that it is meant; a rule says where to."""
        for index, rule in enumerate(self.rules):
            if rule.action == "Allow" and not self.acknowledge and any("*" in to.names for to in rule.to):
                yield Violation(
                    f"rules[{index}]",
                    "the name * allows every name there is",
                    "list names, or add AllowsEveryName to acknowledge",
                )
            for position, to in enumerate(rule.to):
                if not to.names and not to.ip_blocks:
                    yield Violation(
                        f"rules[{index}].to[{position}]", "it names no destination", "give names or ipBlocks"
                    )


class EgressPolicy(Resource, frozen=True, kw_only=True):
    """Who may reach what outside, by which Gateway."""

    group: ClassVar[str] = SEKISHO_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1alpha1",)
    kind: ClassVar[str] = "EgressPolicy"

    spec: EgressPolicySpec
    refusal: str = ""
    """Ours, never written by a person: what of the spec was not understood."""

    @classmethod
    def prepare(cls, document: dict[str, Any]) -> dict[str, Any]:
        """The spec as it is where all of it is understood; otherwise what it applies to, with a refusal."""
        return understood_or_refused(document, EgressPolicySpec, _targets)


UNREADABLE_TARGET = "*"
"""Stands for every Gateway of the namespace, where it cannot be read which one is meant."""


def _targets(spec: object) -> dict[str, Any]:
    return readable_selection(spec, EgressPolicySpec) or {"targetRefs": [{"name": UNREADABLE_TARGET}]}
