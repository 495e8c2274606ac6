"""ReferenceGrants: whether an object may refer to one in another namespace.

Owns the rule (Gateway API: ``referencegrant_types.go``): a reference within a namespace needs no
grant; any other needs one in the target's namespace whose ``from`` and ``to`` both match.
"""

from __future__ import annotations

from controller.resources import ReferenceGrant, ReferenceGrantSpec
from controller.store import Key
from controller.translate.graph import Reads
from controller.translate.indexes import GRANTS


def is_permitted(reads: Reads, referrer: Key, referrer_group: str, target: Key, target_group: str) -> bool:
    """Whether ``referrer`` may refer to ``target``."""
    if referrer.namespace == target.namespace:
        return True
    for key in reads.referring(GRANTS, target.namespace):
        grant = reads.get(ReferenceGrant, key.namespace, key.name)
        if grant is not None and _allows(grant.spec, referrer, referrer_group, target, target_group):
            return True
    return False


def _allows(grant: ReferenceGrantSpec, referrer: Key, referrer_group: str, target: Key, target_group: str) -> bool:
    source = (referrer_group, referrer.kind, referrer.namespace)
    return any((origin.group, origin.kind, origin.namespace) == source for origin in grant.from_) and any(
        (to.group, to.kind) == (target_group, target.kind) and to.name in (None, "", target.name) for to in grant.to
    )


def missing_grant(referrer: Key, target: Key) -> str:
    """The sentence for a reference that is not permitted."""
    return (
        f"{referrer} may not refer to {target}: no ReferenceGrant in namespace {target.namespace} allows"
        f" {referrer.kind} of namespace {referrer.namespace}"
    )
