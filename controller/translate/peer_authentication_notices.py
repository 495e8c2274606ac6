"""What is to be said of PeerAuthentications: their API has no conditions that a gateway could write.

Owns the wording: a policy that is not understood, that applies to nothing or has no effect, or a port that cannot have
a mode of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.resources import PeerAuthentication
from controller.store import Key
from controller.translate.graph import NOTHING, Published, Reads, Stage
from controller.translate.peer_authentication import AUTHENTICATED, is_selective
from controller.translate.stages import Rank


def _notices(key: Key, reads: Reads) -> tuple[str, ...]:
    policy = reads.get(PeerAuthentication, key.namespace, key.name)
    if policy is None:
        return ()
    if not reads.options.mesh:
        return ("there is no mesh here, so it has no effect",)
    governed: list[tuple[str, str]] = sorted(reads.members(AUTHENTICATED, key))
    return (*_of_spec(policy), *_of_selection(key, policy, governed, reads.options.root_namespace))


def _of_spec(policy: PeerAuthentication) -> Iterator[str]:
    if policy.refusal:
        yield f"it cannot be enforced as it is written, so it is STRICT for whom it selects: {policy.refusal}"
    if policy.spec.port_level_mtls and not is_selective(policy):
        yield "portLevelMtls has no effect without a selector: name the labels of the workloads whose ports they are"


def _of_selection(key: Key, policy: PeerAuthentication, governed: list[tuple[str, str]], root: str) -> Iterator[str]:
    if not governed:
        where = "any namespace" if key.namespace == root and not is_selective(policy) else f"namespace {key.namespace}"
        yield f"no workload of {where} that it selects has a sidecar or is a way out, so it has no effect"
    elif all(older for _, older in governed):
        olders = ", ".join(dict.fromkeys(older for _, older in governed))
        yield f"{olders} is older and of the same scope, so this one has no effect: remove one of them"


def _publish(key: Key, notices: tuple[str, ...]) -> Published:
    return Published(notices=tuple((key, text) for text in notices)) if notices else NOTHING


PEER_AUTHENTICATION_NOTICES: Stage[Key, tuple[str, ...]] = Stage(Rank.PEER_AUTHENTICATION_NOTICES, _notices, _publish)
"""By PeerAuthentication."""
