"""What is to be said of RequestAuthentications: their API has no conditions that a gateway could write.

Owns the wording: one that is not understood, whose keys are not there, or that applies to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.resources import RequestAuthentication
from controller.store import Key
from controller.translate.authorization_notices import target_problem
from controller.translate.gateway import TOKENS_LOOKED_AT
from controller.translate.graph import NOTHING, Published, Reads, Stage
from controller.translate.request_authentication import AUTHENTICATION, ParsedAuthentication
from controller.translate.stages import Rank


def _notices(key: Key, reads: Reads) -> tuple[str, ...]:
    resource = reads.get(RequestAuthentication, key.namespace, key.name)
    parsed = reads.result(AUTHENTICATION, key)
    if resource is None or parsed is None:
        return ()
    applied = bool(reads.members(TOKENS_LOOKED_AT, parsed.policy.key))
    return (*_of_policy(parsed), *_of_selection(key, resource, applied, reads.options.root_namespace))


def _of_policy(parsed: ParsedAuthentication) -> Iterator[str]:
    if parsed.policy.refusal:
        reason = parsed.policy.refusal
        yield f"it cannot be enforced as it is written, so every request that it applies to is refused: {reason}"
    elif not parsed.policy.rules:
        yield "it has no jwtRules, so no token is looked at"
    yield from parsed.problems


def _of_selection(key: Key, resource: RequestAuthentication, applied: bool, root: str) -> Iterator[str]:
    for target in resource.spec.targets:
        problem = target_problem(key, target, root)
        if problem:
            yield f"the target {target.kind} {target.name} has no effect: {problem}"
    if not applied:
        yield (
            "it applies to no Gateway and no workload with a sidecar that is served here, so it has no effect: look at"
            " its namespace and selection"
        )


def _publish(key: Key, notices: tuple[str, ...]) -> Published:
    return Published(notices=tuple((key, text) for text in notices)) if notices else NOTHING


AUTHENTICATION_NOTICES: Stage[Key, tuple[str, ...]] = Stage(Rank.AUTHENTICATION_NOTICES, _notices, _publish)
"""By RequestAuthentication."""
