"""Identities that the mesh's authority denies, as tables say it: policies that deny them everywhere, and no endpoint
that answers by one of them.

An identity is denied from the first table that says so on, whatever its certificate still is good for: requests on open
connections as well, and connections as they are made.
"""

from __future__ import annotations

from typing import Final

import msgspec

from controller.resources import DENIED_IDENTITIES, DeniedIdentities
from controller.translate.graph import Reads, Stage
from controller.translate.stages import Rank
from gateway.routing_table import model

POLICY: Final = "sekisho.dev/denied-identities"
"""Key of the policies. No namespace has a name like that, so no policy of a user does."""
_SCHEME: Final = "spiffe://"


class Denied(msgspec.Struct, frozen=True):
    """What follows from the list. Nothing, where it is empty."""

    principals: frozenset[str] = frozenset()
    """As policies name them, without a scheme."""
    authorization: model.AuthorizationPolicy | None = None
    egress: model.EgressPolicy | None = None


def _denied(_key: str, reads: Reads) -> Denied:
    listed = reads.get(DeniedIdentities, "", DENIED_IDENTITIES)
    if listed is None or not listed.identities:
        return Denied()
    principals = tuple(identity.removeprefix(_SCHEME) for identity in listed.identities)
    rule = model.AuthorizationRule(sources=(model.AuthorizationSource(principals=principals),))
    everywhere = model.EgressDestination(names=("*",), ip_blocks=("0.0.0.0/0", "::/0"))
    return Denied(
        principals=frozenset(principals),
        authorization=model.AuthorizationPolicy(key=POLICY, action="DENY", rules=(rule,)),
        egress=model.EgressPolicy(
            key=POLICY,
            rules=(
                model.EgressRule(
                    name="denied",
                    action="Deny",
                    sources=(model.EgressSource(principals=principals),),
                    destinations=(everywhere,),
                ),
            ),
        ),
    )


DENIED: Stage[str, Denied] = Stage(Rank.DENIED_IDENTITIES, _denied)
"""By the empty key: there is one list."""


def denied_identities(reads: Reads) -> Denied:
    """What the list comes to now."""
    return reads.result(DENIED, "")
