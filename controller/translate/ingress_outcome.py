"""Ingresses as they are served: their routes in a table, and what there is to say of them.

Owns how an Ingress stands. The API has no conditions for it, so they are told by reports and Events
alone; its own status is ``ingress_status``'s.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

import msgspec

from controller.resources import Ingress
from controller.store import Key
from controller.translate.backend_tls_policy import ANCESTORS
from controller.translate.backend_view import PLACEMENTS
from controller.translate.certificates import CERTIFICATE
from controller.translate.conditions import (
    Condition,
    ConditionReason,
    ConditionType,
    Problem,
    fails,
    first_of,
    holds,
)
from controller.translate.graph import Collection, Published, Reads, Stage
from controller.translate.ingress import CANARIES, PARSED_INGRESS, PATHS, NotServed, ParsedIngress, ParsedTLS, places
from controller.translate.ingress_gateway import INGRESS_GATEWAY, IngressGateway
from controller.translate.ingress_routes import IngressRoutes
from controller.translate.ingress_tls import INGRESS_TLS
from controller.translate.rules import TranslatedRule
from controller.translate.stages import Rank


class IngressOutcome(msgspec.Struct, frozen=True):
    """How an Ingress stands. No conditions: it is none of ours. ``gateway`` is who serves it, if anybody does."""

    published: Published = Published()
    conditions: tuple[Condition, ...] = ()
    gateway: Key | None = None


def _outcome(key: Key, reads: Reads) -> IngressOutcome:
    ingress = reads.get(Ingress, key.namespace, key.name)
    parsed = reads.result(PARSED_INGRESS, key)
    if ingress is None:
        return IngressOutcome()
    generation = ingress.metadata.generation
    if isinstance(parsed, NotServed):
        if parsed.ours:
            refused = fails(ConditionType.ACCEPTED, ConditionReason.INVALID_PARAMETERS, parsed.reason, generation)
            return IngressOutcome(conditions=(refused,))
        return IngressOutcome(Published(notices=((key, parsed.reason),) if parsed.reason else ()))
    view = reads.result(INGRESS_GATEWAY, parsed.gateway)
    notices = list(parsed.settings.notices)
    if view.problem:
        message = f"{view.problem}: the IngressClass has its Ingresses served by that Gateway"
        refused = fails(ConditionType.ACCEPTED, ConditionReason.NO_MATCHING_PARENT, message, generation)
        return IngressOutcome(_noted(key, notices), (refused,))
    certificates = _Certificates(reads, parsed, view)
    if parsed.settings.canary is not None:
        notices += [*_lonely(reads, key, parsed), *certificates.notices]
        accepted = holds(ConditionType.ACCEPTED, ConditionReason.ACCEPTED, "the canary is taken", generation)
        conditions = accepted, _resolved(certificates.unresolved, generation)
        return IngressOutcome(_noted(key, notices), conditions, parsed.gateway)
    routes = IngressRoutes(reads, key, parsed, view)
    found = routes.build()
    homeless = routes.hosts_without_listener()
    notices += [*routes.notices, *certificates.notices]
    if homeless and routes.routes:
        notices.append(f"no listener of {parsed.gateway} on port 80 or 443 takes the host {', '.join(homeless)}")
    published = msgspec.structs.replace(
        _noted(key, notices),
        members=tuple(_members(parsed.gateway, view, found)),
        resources=tuple((view.table, "routes", route) for route in routes.routes),
    )
    problems = (*parsed.problems, *routes.unusable)
    standing = _accepted(parsed.gateway, problems, generation, served=bool(routes.routes), homeless=bool(homeless))
    resolved = _resolved((*certificates.unresolved, *found.unresolved), generation)
    return IngressOutcome(published, (standing[0], resolved, *standing[1:]), parsed.gateway)


def _noted(key: Key, notices: Iterable[str]) -> Published:
    return Published(notices=tuple((key, notice) for notice in dict.fromkeys(notices)))


def _accepted(
    gateway: Key, problems: tuple[str, ...], generation: int, *, served: bool, homeless: bool
) -> tuple[Condition, ...]:
    text = "; ".join(problems)
    if served:
        accepted = holds(ConditionType.ACCEPTED, ConditionReason.ACCEPTED, f"it is served by {gateway}", generation)
        if not problems:
            return (accepted,)
        message = f"Dropped Path: {text}"
        reason = ConditionReason.UNSUPPORTED_VALUE
        return accepted, holds(ConditionType.PARTIALLY_INVALID, reason, message, generation)
    if homeless:
        message = f"no listener of {gateway} on port 80 or 443 takes its hosts"
        reason = ConditionReason.NO_MATCHING_LISTENER_HOSTNAME
        return (fails(ConditionType.ACCEPTED, reason, message, generation),)
    message = f"no path is usable: {text}" if problems else "it has no path and no default backend"
    return (fails(ConditionType.ACCEPTED, ConditionReason.UNSUPPORTED_VALUE, message, generation),)


def _resolved(unresolved: tuple[Problem, ...], generation: int) -> Condition:
    if unresolved:
        return fails(ConditionType.RESOLVED_REFS, *first_of(unresolved), generation)
    resolved = "all references are resolved"
    return holds(ConditionType.RESOLVED_REFS, ConditionReason.RESOLVED_REFS, resolved, generation)


def _members(gateway: Key, view: IngressGateway, found: TranslatedRule) -> Iterator[tuple[Collection, Hashable]]:
    for target in found.targets:
        yield (ANCESTORS, target), gateway
    for backend in found.backends:
        yield (PLACEMENTS, ""), (view.table, backend)


def _lonely(reads: Reads, key: Key, parsed: ParsedIngress) -> Iterator[str]:
    """Places of a canary that it gets no requests for."""
    if parsed.default_backend is not None:
        yield "the default backend of a canary gets no requests: a canary shares paths alone"
    for path in parsed.paths:
        for place in places(parsed.gateway, path):
            named = f"{place.host or '*'}{place.path}"
            if not any(claim.ingress.namespace == key.namespace for claim in reads.members(PATHS, place)):
                yield f"the canary gets no requests for {named}: no Ingress of its namespace serves that"
                continue
            canaries = reads.members(CANARIES, place._replace(namespace=key.namespace))
            first = min((claim[:2] for claim in canaries), default=None)
            if first is not None and first[1] != key:
                yield f"the canary gets no requests for {named}: a path has one canary, and {first[1]} goes before"


class _Certificates:
    """What there is to say of the hosts that an Ingress has served over TLS."""

    def __init__(self, reads: Reads, parsed: ParsedIngress, view: IngressGateway) -> None:
        self.notices: list[str] = []
        found: list[Problem] = []
        for tls in parsed.tls:
            problem = reads.result(CERTIFICATE, tls.secret).problem if tls.secret else ""
            if problem:
                found.append(Problem(ConditionReason.INVALID_CERTIFICATE_REF, f"tls: {problem}"))
                continue
            notice = self._notice(reads, parsed.gateway, view, tls)
            if notice:
                self.notices.append(f"tls of host {tls.host or '*'}: {notice}")
        self.unresolved = tuple(found)

    def _notice(self, reads: Reads, gateway: Key, view: IngressGateway, tls: ParsedTLS) -> str:
        if any(entry.hostname == tls.host for entry in view.https):
            return f"a listener of {gateway} has this host, and its certificate is the one that is served"
        if tls.secret is None:
            return "it names no secretName, so only listeners of the Gateway itself can serve it over TLS"
        if view.tls is None:
            return f"{gateway} has no HTTPS listener on port 443, so it is not served over TLS"
        served = reads.result(INGRESS_TLS, (gateway, tls.host))
        if served is not None and served.claim.secret != tls.secret:
            return f"the certificate of Ingress {served.claim.ingress} is served, which goes before"
        return ""


def _publish(_key: Key, outcome: IngressOutcome) -> Published:
    return outcome.published


INGRESS: Stage[Key, IngressOutcome] = Stage(Rank.INGRESS, _outcome, _publish)
"""By Ingress."""
