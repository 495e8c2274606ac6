"""References to certificates: a listener's, a Gateway's towards backends, an XBackend's.

Owns what makes one valid (Gateway API: ``SecretObjectReference``): a Secret, allowed by a grant if
it is in another namespace, that holds a certificate and its key.
"""

from __future__ import annotations

from typing import NamedTuple

from controller.resources import Secret, SecretObjectReference
from controller.store import Key
from controller.translate.certificates import CERTIFICATE
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.graph import Reads
from controller.translate.reference_grant import is_permitted, missing_grant
from gateway.routing_table import model


class Resolved(NamedTuple):
    """What a reference leads to. Both: the Secret is gone, and what it held is kept."""

    certificate: model.Certificate | None
    problem: Problem | None


def resolve_certificate(
    reads: Reads, referrer: Key, referrer_group: str, reference: SecretObjectReference, invalid: ConditionReason
) -> Resolved:
    """The certificate, and what is wrong; ``invalid`` is the reason for what is not a matter of permission."""
    if (reference.group, reference.kind) != ("", Secret.kind):
        group = f" of group {reference.group}" if reference.group else ""
        message = (
            f"{reference.kind} {reference.name}{group} cannot hold a certificate: refer to a Secret of the core group"
        )
        return Resolved(None, Problem(invalid, message))
    target = Key(Secret.kind, reference.namespace or referrer.namespace, reference.name)
    if not is_permitted(reads, referrer, referrer_group, target, ""):
        return Resolved(None, Problem(ConditionReason.REF_NOT_PERMITTED, missing_grant(referrer, target)))
    material = reads.result(CERTIFICATE, target)
    return Resolved(material.certificate, Problem(invalid, material.problem) if material.problem else None)
