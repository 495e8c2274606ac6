"""Egress: who may reach what outside."""

from __future__ import annotations

from typing import Literal

from gateway.routing_table.model.schema import Struct


class EgressCredential(Struct):
    """A user of the forward proxy, and the SHA-256 digest of the password (64 hexadecimal digits)."""

    user: str
    sha256: str

    def __repr__(self) -> str:
        return f"EgressCredential(user={self.user!r}, sha256=<redacted>)"


class EgressSource(Struct):
    """Who asks: every field that is given must hold, by one of its values. Nothing is a wildcard."""

    principals: tuple[str, ...] = ()
    """``trust-domain/ns/namespace/sa/service-account``, from a verified client certificate."""
    namespaces: tuple[str, ...] = ()
    """Of the principal, as service accounts are."""
    service_accounts: tuple[str, ...] = ()
    """``namespace/name``."""
    subject_alt_names: tuple[str, ...] = ()
    """DNS names (lower case) or URIs of a verified client certificate."""
    credentials: tuple[EgressCredential, ...] = ()
    """What a client of the forward proxy shows in ``Proxy-Authorization`` (Basic)."""
    ip_blocks: tuple[str, ...] = ()
    """Addresses or CIDR blocks of the connection's peer."""


EgressProtocol = Literal["TLS", "HTTP", "TCP"]


class EgressDestination(Struct):
    """Where to. One of ``names`` or ``ip_blocks`` must hold, and every other field that is given."""

    names: tuple[str, ...] = ()
    """Lower case. ``*.name`` stands for one label more, ``**.name`` for one or more, ``*`` for every name."""
    ip_blocks: tuple[str, ...] = ()
    """Addresses that a client may name by themselves; in a Deny rule, addresses that names resolve to as well."""
    ports: tuple[int, ...] = ()
    """None given: 443, and 80 for HTTP."""
    protocols: tuple[EgressProtocol, ...] = ()
    """What may be spoken; none given: TLS whose server name agrees, and HTTP. ``TCP`` is a tunnel nobody looks into."""
    methods: tuple[str, ...] = ()
    """Where requests are seen (HTTP); where they are not, an Allow rule that asks for it does not match, and a Deny
    rule takes it for met."""
    path_prefixes: tuple[str, ...] = ()
    """As ``methods``; ``/a`` covers ``/a`` and ``/a/b``, not ``/ab``."""


class EgressLimits(Struct):
    """0 means none. ``connections``: open at once, by this rule; the others are of each connection or request."""

    connections: int = 0
    bytes: int = 0
    """Both ways together."""
    duration_ms: int = 0


class EgressRule(Struct, kw_only=True):
    """Matches by one source (none: everybody) and one destination."""

    name: str
    action: Literal["Allow", "Deny"] = "Allow"
    sources: tuple[EgressSource, ...] = ()
    destinations: tuple[EgressDestination, ...]
    address_blocks: tuple[str, ...] = ()
    """Blocks of addresses, private ones for example, that a name of this rule may resolve to although they are not
    public. Addresses of metadata services and of the gateway itself count only where they stand here alone."""
    encrypted_client_hello: bool = False
    """Take a ClientHello whose true server name may be hidden."""
    limits: EgressLimits = EgressLimits()


class EgressPolicy(Struct):
    """Who may reach what. ``key``: ``namespace/name``.

    Of several policies, a Deny rule that matches denies; else an Allow rule must match. In mode ``Report`` a policy
    denies nothing: what it would deny is let through and recorded, for the sources that its rules name. It does not
    undo the denial of another policy, nor what is said of addresses.
    """

    key: str
    mode: Literal["Enforce", "Report"] = "Enforce"
    rules: tuple[EgressRule, ...] = ()
    confined_to: str = ""
    """A namespace: the policy speaks of principals of that namespace alone."""
    contact: str = ""
    """Whom a client that is denied should ask."""
    refusal: str = ""
    """Why it cannot be enforced as it was written: all that it could speak of is denied."""
