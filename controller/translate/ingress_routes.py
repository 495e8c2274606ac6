"""Rules of Ingresses as routes of a table: one for each host and path, and for what an annotation adds.

Owns their ranks: where host and path are the same, routes of the Gateway API go before rules of Ingresses, and
those before default backends. Which listeners they attach to is ``ingress_attachment``'s, what a path means
``ingress_paths``'.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from controller.resources import IngressBackend
from controller.store import Key
from controller.translate.backends import Referrer
from controller.translate.conditions import ConditionReason, Problem
from controller.translate.graph import Reads
from controller.translate.ingress import CANARIES, PATHS, CanaryClaim, ParsedIngress, ParsedPath, Place
from controller.translate.ingress_annotations import Settings
from controller.translate.ingress_attachment import Attachments, attachments, host_predicates
from controller.translate.ingress_backends import ingress_share
from controller.translate.ingress_canary import splits
from controller.translate.ingress_gateway import IngressGateway
from controller.translate.ingress_paths import ROOT, Path
from controller.translate.names import object_name, route_key
from controller.translate.rules import Content, Rule, TranslatedRule
from gateway.routing_table import model

_AFTER_ROUTES, _AFTER_RULES = 1, 2
"""Ranks in the table; routes of the Gateway API have 0."""
_MOST_ATTACHMENTS = 4_000
"""Of one route of the table; a rule for every host may have more listeners than that."""
_TO_HTTPS = model.RequestRedirect(scheme="https", status=308)


class _Step(msgspec.Struct, frozen=True):
    """Requests of one path that go the same way: what they carry besides, and where they go."""

    headers: tuple[model.ValueMatch, ...]
    backends: tuple[tuple[int, IngressBackend], ...]


class IngressRoutes:
    """Builds the routes of one Ingress. Everything found on the way is collected here."""

    def __init__(self, reads: Reads, key: Key, parsed: ParsedIngress, view: IngressGateway) -> None:
        self.routes: list[model.Route] = []
        self.notices: list[str] = []
        self.unusable: list[str] = []
        self._reads = reads
        self._key = key
        self._parsed = parsed
        self._settings: Settings = parsed.settings
        self._view = view
        self._rule = Rule(reads, Referrer(key, view.client_certificate, view.variant))
        self._hosts: dict[str, Attachments] = {}

    def build(self) -> TranslatedRule:
        """All routes; the result holds what they refer to."""
        if self._settings.app_root:
            for host in self._parsed.hosts or ("",):
                self._add(host, Path("Exact", "/", "/"), _Step((), ()), _AFTER_ROUTES, self._to_app_root())
        for path in self._parsed.paths:
            self._add_path(path)
        if self._parsed.default_backend is not None:
            step = _Step((), ((1, self._parsed.default_backend),))
            for host in dict.fromkeys((*self._parsed.hosts, "")):
                self._add(host, ROOT, step, _AFTER_RULES, self._settings.redirect)
        return self._rule.finish(Content(name="", matches=()))

    def _add_path(self, path: ParsedPath) -> None:
        if path.path.type == "RegularExpression":
            problem = self._reads.options.regex_problem(path.path.value)
            if problem:
                self.unusable.append(f"the regular expression {path.path.written!r} is not usable: {problem}")
                return
        for host in path.hosts:
            place = Place(self._parsed.gateway, host, *path.path.place)
            first = min(self._reads.members(PATHS, place), default=None)
            if first is not None and first.ingress != self._key:
                text = (
                    f"{_named(host, path.path)} is served by {first.ingress}, which goes before: of several the oldest"
                    " does, and then the first by name"
                )
                self.notices.append(text)
            for step in self._steps(place, path.backend):
                self._add(host, path.path, step, _AFTER_ROUTES, self._settings.redirect)

    def _steps(self, place: Place, backend: IngressBackend) -> Iterator[_Step]:
        claims: Sequence[CanaryClaim] = list(
            self._reads.members(CANARIES, place._replace(namespace=self._key.namespace))
        )
        if not claims:
            yield _Step((), ((1, backend),))
            return
        claim = min(claims, key=lambda one: one[:2])
        canary = claim.canary
        for split in splits(canary):
            if split.header.type == "RegularExpression" and self._reads.options.regex_problem(split.header.value):
                self.notices.append(f"the pattern {split.header.value!r} of {claim.ingress} is not usable")
                continue
            yield _Step((split.header,), ((1, claim.backend if split.to_canary else backend),))
        shares = ((canary.total - canary.weight, backend), (canary.weight, claim.backend))
        yield _Step((), tuple(share for share in shares if share[0] > 0))

    def _to_app_root(self) -> model.RequestRedirect:
        path = model.PathModifier(type="ReplaceFullPath", value=self._settings.app_root)
        return model.RequestRedirect(path=path, status=302)

    def _add(self, host: str, path: Path, step: _Step, rank: int, redirect: model.RequestRedirect | None) -> None:
        if host not in self._hosts:
            self._hosts[host] = attachments(self._reads, self._parsed.gateway, self._view, host)
        where = self._hosts[host]
        match = model.Match(
            path=model.PathMatch(type=path.type, value=path.value),
            headers=(*step.headers, *host_predicates(host)),
        )
        content = Content(name=_named(host, path), matches=(match,))
        served = self._content(content, path, step, redirect)
        if self._settings.force_ssl_redirect or (self._settings.ssl_redirect and where.secure):
            redirected = msgspec.structs.replace(content, filters=(*self._screen(), _TO_HTTPS))
            self._append(where.plain, redirected, rank)
            self._append(where.secure, served, rank)
        else:
            self._append((*where.plain, *where.secure), served, rank)

    def _content(self, content: Content, path: Path, step: _Step, redirect: model.RequestRedirect | None) -> Content:
        part = self._rule.backend()
        for guard in self._settings.guards:
            message = f"{guard}: what it guards is answered with 500"
            part.fail(Problem(ConditionReason.UNSUPPORTED_VALUE, message))
        if path.refused and redirect is None:
            part.fail(Problem(ConditionReason.UNSUPPORTED_VALUE, f"{path.refused}; it is answered with 500"))
        tls = self._settings.tls_to_backend
        backends = (
            tuple(ingress_share(part, backend, weight, tls=tls) for weight, backend in step.backends)
            if redirect is None and not self._settings.guards and not path.refused
            else ()
        )
        filters = tuple(self._filters(path, redirect))
        return part.finish(msgspec.structs.replace(content, filters=filters, backends=backends)).content

    def _screen(self) -> tuple[model.Filter, ...]:
        """Whom the Ingress answers at all."""
        return (self._settings.source_ranges,) if self._settings.source_ranges is not None else ()

    def _filters(self, path: Path, redirect: model.RequestRedirect | None) -> Iterator[model.Filter]:
        yield from self._screen()
        if self._settings.forwarded_prefix:
            header = model.Header(name="x-forwarded-prefix", value=self._settings.forwarded_prefix)
            yield model.RequestHeaderModifier(set=(header,))
        if self._settings.cors is not None:
            yield self._settings.cors
        if redirect is not None:
            yield redirect
        elif path.rewrite is not None or self._settings.upstream_host:
            yield model.URLRewrite(hostname=self._settings.upstream_host, path=path.rewrite)

    def _append(self, where: Sequence[model.Attachment], content: Content, rank: int) -> None:
        number = len(self.routes)
        for start in range(0, len(where), _MOST_ATTACHMENTS):
            self.routes.append(
                model.Route(
                    key=route_key(self._key, number, str(start) if start else ""),
                    kind="HTTPRoute",
                    object=object_name(self._key),
                    rule=number,
                    rank=rank,
                    created=int(self._parsed.created.timestamp()),
                    name=content.name,
                    attachments=tuple(where[start : start + _MOST_ATTACHMENTS]),
                    matches=content.matches,
                    filters=content.filters,
                    backends=content.backends,
                    failure=content.failure,
                )
            )

    def hosts_without_listener(self) -> list[str]:
        """Hosts that no listener takes."""
        return [host or "*" for host, where in self._hosts.items() if not where.plain and not where.secure]


def _named(host: str, path: Path) -> str:
    return f"{host or '*'}{path.written}"
