"""Ingresses by themselves: their class, and what they claim of the Gateway that serves them.

Owns ``IngressSpec`` (Kubernetes ``networking/v1``) up to the point where other Ingresses matter: hosts,
paths, certificates and canaries are claimed here, and judged in ``ingress_tls`` and ``ingress_routes``.
"""

from __future__ import annotations

import datetime
from collections.abc import Hashable, Iterator
from typing import NamedTuple

import msgspec

from controller.resources import Ingress, IngressBackend, IngressRule, Secret
from controller.store import Key
from controller.translate.graph import NOTHING, Collection, Published, Reads, Stage
from controller.translate.hostnames import hostname_problem
from controller.translate.implied_gateway import WANTED
from controller.translate.ingress_annotations import Settings, read_settings
from controller.translate.ingress_canary import Canary
from controller.translate.ingress_class import INGRESS_CLASS, class_of
from controller.translate.ingress_paths import Path, PathType, translate_path
from controller.translate.ingress_tls import TLS_CLAIMS, TLS_HOSTS, TLSClaim
from controller.translate.names import object_name
from controller.translate.stages import Rank

PATHS = "ingress-paths"
"""Collection, by :class:`Place`: the Ingresses that have it."""
CANARIES = "ingress-canaries"
"""Collection, by :class:`Place`: the canaries for it."""


class Place(NamedTuple):
    """Where requests of a host (empty: every host) and path arrive. A canary shares it within its namespace."""

    gateway: Key
    host: str
    type: PathType
    path: str
    namespace: str = ""


class PathClaim(NamedTuple):
    """An Ingress that has a place; claims sort by who goes before."""

    created: datetime.datetime
    ingress: Key


class CanaryClaim(NamedTuple):
    """A canary for a place. Claims are ordered by their first two fields."""

    created: datetime.datetime
    ingress: Key
    canary: Canary
    backend: IngressBackend


class ParsedPath(msgspec.Struct, frozen=True):
    """One path of one rule, for the rule's host and its aliases."""

    hosts: tuple[str, ...]
    path: Path
    backend: IngressBackend


class ParsedTLS(msgspec.Struct, frozen=True):
    """A host to serve over TLS; ``secret`` None where none is named."""

    host: str
    secret: Key | None


class ParsedIngress(msgspec.Struct, frozen=True):
    """An Ingress of ours."""

    created: datetime.datetime
    gateway: Key
    settings: Settings
    hosts: tuple[str, ...]
    """Of all rules; empty stands for every host."""
    paths: tuple[ParsedPath, ...]
    default_backend: IngressBackend | None
    tls: tuple[ParsedTLS, ...]
    problems: tuple[str, ...]
    """What is left out."""


class NotServed(msgspec.Struct, frozen=True):
    """An Ingress that is not served: ``reason`` is empty for one that is somebody else's."""

    ours: bool
    reason: str = ""


def _parse(key: Key, reads: Reads) -> ParsedIngress | NotServed:
    ingress = reads.get(Ingress, key.namespace, key.name)
    if ingress is None:
        return NotServed(ours=False)
    name = class_of(reads, ingress)
    if name is None:
        message = "it has no ingressClassName, and no IngressClass is the default one, so nothing serves it"
        return NotServed(ours=False, reason=message)
    view = reads.result(INGRESS_CLASS, name)
    if not view.ours:
        message = "" if view.exists else f"IngressClass {name} does not exist, so nothing serves it"
        return NotServed(ours=False, reason=message)
    if view.gateway is None:
        return NotServed(ours=True, reason=view.problem)
    settings = read_settings(ingress.metadata.annotations)
    paths, problems = _paths(ingress, settings)
    tls = [
        ParsedTLS(host, Key(Secret.kind, key.namespace, entry.secret_name) if entry.secret_name else None)
        for entry in ingress.spec.tls
        for host in entry.hosts or ("",)
    ]
    wrong = [text for text in (hostname_problem(one.host) for one in tls if one.host) if text]
    return ParsedIngress(
        created=ingress.metadata.creation_timestamp,
        gateway=view.gateway,
        settings=settings,
        hosts=tuple(dict.fromkeys(host for rule in ingress.spec.rules for host in _hosts(rule, settings))),
        paths=paths,
        default_backend=ingress.spec.default_backend,
        tls=tuple(dict.fromkeys(one for one in tls if not (one.host and hostname_problem(one.host)))),
        problems=(*problems, *(f"tls: {text}" for text in wrong)),
    )


def _paths(ingress: Ingress, settings: Settings) -> tuple[tuple[ParsedPath, ...], tuple[str, ...]]:
    found, problems = [], []
    for number, rule in enumerate(ingress.spec.rules):
        problem = hostname_problem(rule.host) if rule.host else ""
        if problem:
            problems.append(f"rule {number}: {problem}")
            continue
        for source in rule.http.paths if rule.http else ():
            path = translate_path(source, settings)
            if path.unusable:
                problems.append(f"rule {number}: {path.unusable}")
            else:
                found.append(ParsedPath(_hosts(rule, settings), path, source.backend))
    return tuple(found), tuple(problems)


def _hosts(rule: IngressRule, settings: Settings) -> tuple[str, ...]:
    if rule.host and hostname_problem(rule.host):
        return ()
    return tuple(dict.fromkeys((rule.host, *settings.aliases))) if rule.host else ("",)


def places(gateway: Key, path: ParsedPath) -> Iterator[Place]:
    """The places of a path."""
    for host in path.hosts:
        yield Place(gateway, host, *path.path.place)


def _members(key: Key, parsed: ParsedIngress) -> Iterator[tuple[Collection, Hashable]]:
    yield (WANTED, ""), parsed.gateway
    canary = parsed.settings.canary
    for path in parsed.paths:
        for place in places(parsed.gateway, path):
            if canary is None:
                yield (PATHS, place), PathClaim(parsed.created, key)
            else:
                claim = CanaryClaim(parsed.created, key, canary, path.backend)
                yield (CANARIES, place._replace(namespace=key.namespace)), claim
    for tls in parsed.tls:
        if tls.secret is not None:
            yield (TLS_HOSTS, ""), (parsed.gateway, tls.host)
            yield (TLS_CLAIMS, (parsed.gateway, tls.host)), TLSClaim(parsed.created, object_name(key), tls.secret)


def _publish(key: Key, parsed: ParsedIngress | NotServed) -> Published:
    if isinstance(parsed, NotServed):
        return NOTHING
    return Published(members=tuple(dict.fromkeys(_members(key, parsed))))


PARSED_INGRESS: Stage[Key, ParsedIngress | NotServed] = Stage(Rank.PARSED_INGRESS, _parse, _publish)
"""By Ingress."""
