"""When a change of roots may go on, and to what.

Owns the judgement alone: whoever asks has read what is kept (``material``) and what the controller says of itself and
its gateways. A phase goes on when nobody would be left behind: everyone connected trusts what will be signed with, and
nothing in use was signed by what is dropped.
"""

from __future__ import annotations

import datetime

import msgspec
from cryptography import x509

from controller.ca import extensions
from controller.ca.material import Material, Phase
from controller.ca.root import Root


class GatewayTrust(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a connected gateway said of its trust and of its certificate."""

    gateway: str
    bundle: str = ""
    """The digest of the bundle in force there; empty before it has said so."""
    root_key: str = ""
    """The key identifier of the root that its certificate leads to."""


class ReplicaTrust(msgspec.Struct, frozen=True, kw_only=True):
    """One replica of the controller, and the digest of the bundle in force there."""

    replica: str
    bundle: str


class AuthorityReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How things stand with all of them; the controller's admin address answers it."""

    phase: str
    bundle: str
    root_key: str
    root_ends: datetime.datetime
    certificate_seconds: float
    """The life of a certificate."""
    leads: bool = True
    """Whether all replicas and gateways are known here: with the leader alone."""
    denied: int = 0
    replicas: tuple[ReplicaTrust, ...] = ()
    gateways: tuple[GatewayTrust, ...] = ()


def next_phase(material: Material, following: Root) -> Material:
    """One step further. ``following``: the root that a change which begins now leads to."""
    match material.phase:
        case Phase.STABLE:
            return material.introduced(following)
        case Phase.INTRODUCED:
            return material.switched()
        case Phase.SWITCHED:
            return material.dropped()


def objections(material: Material, report: AuthorityReport) -> tuple[str, ...]:
    """Why the next phase would leave somebody behind; empty if nobody."""
    if not report.leads:
        return ("this replica does not lead, and does not know all gateways: ask the leader",)
    wanted = material.digest
    found = [
        f"the replica {replica.replica} has not taken over the bundle {wanted} yet"
        for replica in report.replicas
        if replica.bundle != wanted
    ]
    found += [
        f"{gateway.gateway} has not taken over the bundle {wanted} yet"
        for gateway in report.gateways
        if gateway.bundle != wanted
    ]
    dropped = {key_identifier(root) for root in material.previous}
    found += [
        f"{gateway.gateway} still has a certificate that the root before has signed"
        for gateway in report.gateways
        if material.phase is Phase.SWITCHED and gateway.root_key in dropped
    ]
    return tuple(found)


def too_early(
    material: Material, began: datetime.datetime, now: datetime.datetime, life: datetime.timedelta
) -> tuple[str, ...]:
    """The same where nobody is connected, but fetches a certificate, and the bundle with it, once in its life."""
    ends = began + life
    if material.phase is Phase.STABLE or now >= ends:
        return ()
    waits = f"the next phase is for {ends:%F %T} and later"
    return (f"certificates live for {life}, so not everybody has come by since {began:%F %T}: {waits}",)


def key_identifier(root: x509.Certificate) -> str:
    """Of a root's key, as certificates below it name it."""
    identifier = extensions.authority_key(root).key_identifier or b""
    return identifier.hex()
