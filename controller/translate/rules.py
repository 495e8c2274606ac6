"""One rule of a route while it is translated: what was found wrong, and what it needs.

Owns the three ways a rule can be wrong. A value that nobody knows rejects the route, as the
specification asks. A rule that makes no sense is dropped, and the others stay. A filter that guards
and cannot be applied fails the rule: its requests are answered with 500, so that nothing slips past it.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import msgspec

from controller.resources import BackendObjectReference
from controller.store import Key
from controller.translate.backend_view import BackendId, internal_error
from controller.translate.backends import Referrer, Resolved, resolve_backend
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.graph import Reads
from gateway.routing_table import model
from gateway.routing_table.reasons import Reason


class Content(msgspec.Struct, frozen=True):
    """What a rule does, wherever it is attached."""

    name: str
    matches: tuple[model.Match, ...]
    filters: tuple[model.Filter, ...] = ()
    backends: tuple[model.WeightedBackend, ...] = ()
    timeouts: model.Timeouts = model.Timeouts()
    retry: model.Retry | None = None
    failure: model.Failure | None = None


class TranslatedRule(NamedTuple):
    """A rule's content, or why there is none."""

    content: Content
    rejected: tuple[str, ...]
    dropped: tuple[Problem, ...]
    unresolved: tuple[Problem, ...]
    backends: tuple[BackendId, ...]
    targets: tuple[Key, ...]
    notices: tuple[str, ...]


class Rule:
    """A rule in translation. Everything found on the way is collected here."""

    def __init__(self, reads: Reads, referrer: Referrer) -> None:
        self.reads = reads
        self.referrer = referrer
        self._rejected: list[str] = []
        self._dropped: list[Problem] = []
        self._unresolved: list[Problem] = []
        self._failure: model.Failure | None = None
        self._backends: dict[BackendId, None] = {}
        self._targets: dict[Key, None] = {}
        self._notices: list[str] = []

    def backend(self) -> Rule:
        """The same rule for the filters of one backend reference, which fail that backend alone."""
        part = copy.copy(self)
        part.forget_failure()
        return part

    def forget_failure(self) -> None:
        """Start over with what :meth:`fail` records."""
        self._failure = None

    def reject(self, message: str) -> None:
        """An unknown value: the whole route is not accepted."""
        self._rejected.append(message)

    def drop(self, message: str, reason: ConditionReason = ConditionReason.UNSUPPORTED_VALUE) -> None:
        """The rule is not usable; the route's other rules are."""
        self._dropped.append(Problem(reason, message))

    def fail(self, problem: Problem) -> None:
        """The rule's requests are answered with 500."""
        self._unresolved.append(problem)
        self._failure = self._failure or internal_error(Reason.FILTER_NOT_RESOLVED, problem.message)

    def unresolved(self, problem: Problem) -> None:
        """A reference leads nowhere."""
        self._unresolved.append(problem)

    def notice(self, message: str) -> None:
        """Something is configured and has no effect."""
        self._notices.append(message)

    def check_regex(self, pattern: str, what: str) -> None:
        """A regular expression that the data plane cannot compile drops the rule."""
        problem = self.reads.options.regex_problem(pattern)
        if problem:
            self.drop(f"the regular expression of {what}, {_shortened(pattern)!r}, is not usable: {problem}")

    def resolve(self, reference: BackendObjectReference) -> Resolved:
        """Where a reference to a backend leads; a problem is remembered."""
        resolved = resolve_backend(self.reads, self.referrer, reference)
        if resolved.view.problem is not None:
            self._unresolved.append(resolved.view.problem)
        if resolved.target is not None:
            self._targets[resolved.target] = None
        return resolved

    def use(self, backend: BackendId) -> None:
        """The rule sends traffic to a backend, which therefore belongs in the table."""
        self._backends[backend] = None

    def share(self, weight: int, resolved: Resolved, filters: tuple[model.Filter, ...]) -> model.WeightedBackend:
        """A backend's share of the traffic; what cannot be sent is answered with an error, and keeps its share."""
        failure = self._failure or resolved.view.failure
        if failure is not None or resolved.backend is None or resolved.view.resource is None:
            return model.WeightedBackend(weight=weight, failure=failure)
        self.use(resolved.backend)
        return model.WeightedBackend(backend=resolved.view.resource.key, weight=weight, filters=filters)

    def finish(self, content: Content) -> TranslatedRule:
        """The result."""
        content = msgspec.structs.replace(content, failure=self._failure) if self._failure else content
        return TranslatedRule(
            content=content,
            rejected=tuple(self._rejected),
            dropped=tuple(self._dropped),
            unresolved=tuple(self._unresolved),
            backends=tuple(self._backends),
            targets=tuple(self._targets),
            notices=tuple(self._notices),
        )


def _shortened(pattern: str, length: int = 60) -> str:
    return pattern if len(pattern) <= length else pattern[: length - 1] + "…"
