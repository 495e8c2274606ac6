"""Paths of Ingresses: what they match, and what a rewrite makes of them.

Owns ``pathType`` (Kubernetes ``networking/v1``) and the meaning of ingress-nginx's ``use-regex`` and
``rewrite-target``. A rewrite with captures can be honoured where it takes a prefix away or puts
another in its place, which is what nearly all of them are for; what cannot be honoured is not served.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from controller.resources import HTTPIngressPath
from controller.translate.ingress_annotations import Settings
from controller.translate.matches import path_problem
from gateway.routing_table import model

PathType = Literal["Exact", "PathPrefix", "RegularExpression"]

_LITERAL = r"(?P<prefix>(?:/[A-Za-z0-9._~%!,;=:@&'-]+)*)"
_PREFIXES = (
    (re.compile(rf"{_LITERAL}\(/\|\$\)\(\.\*\)\$?\Z"), "$2"),
    (re.compile(rf"{_LITERAL}/\??\(\.\*\)\$?\Z"), "$1"),
)
"""Patterns that match a prefix and capture what follows it, and the capture's name."""
_PATTERN = re.compile(r"[\\^$*+?()\[\]{}|]")
_REPLACEMENT = re.compile(r"/[!\"%->@-~]*\Z")


class Path(msgspec.Struct, frozen=True):
    """What a path matches. With ``unusable`` it is left out, with ``refused`` its requests are answered with 500.

    ``written`` is the path as it stands in the Ingress.
    """

    type: PathType
    value: str
    written: str
    rewrite: model.PathModifier | None = None
    unusable: str = ""
    refused: str = ""

    @property
    def place(self) -> tuple[PathType, str]:
        """What paths of several Ingresses have in common that match the same requests."""
        return self.type, (self.value.rstrip("/") or "/") if self.type == "PathPrefix" else self.value


ROOT = Path("PathPrefix", "/", "/")


def translate_path(source: HTTPIngressPath, settings: Settings) -> Path:
    """One path."""
    value = source.path or "/"
    match source.path_type:
        case "Exact":
            return _literal("Exact", value, settings)
        case "Prefix" | "ImplementationSpecific":
            # ingress-nginx makes patterns of all paths then; those that hold none mean the same as a prefix.
            is_pattern = bool((settings.use_regex or settings.rewrite_target) and _PATTERN.search(value))
            return _pattern(value, settings) if is_pattern else _literal("PathPrefix", value, settings)
        case _:
            unknown = f"the pathType {source.path_type!r} is none of Exact, Prefix and ImplementationSpecific"
            return Path("PathPrefix", value, value, unusable=unknown)


def _literal(type_: Literal["Exact", "PathPrefix"], value: str, settings: Settings) -> Path:
    problem = path_problem(value)
    if problem:
        return Path(type_, value, value, unusable=f"the path {value!r} {problem}")
    return _rewritten(Path(type_, value, value), settings)


def _pattern(value: str, settings: Settings) -> Path:
    """A pattern: a prefix where it says nothing more, so that longer prefixes of other Ingresses go before it."""
    for form, capture in _PREFIXES:
        found = form.match(value)
        if found and not path_problem(found["prefix"] or "/"):
            path = Path("PathPrefix", found["prefix"] or "/", value)
            front = settings.rewrite_target.removesuffix(capture)
            if settings.rewrite_target.endswith("/" + capture) and _REPLACEMENT.match(front):
                rewrite = model.PathModifier(type="ReplacePrefixMatch", value=front)
                return msgspec.structs.replace(path, rewrite=rewrite)
            return _rewritten(path, settings)
    # As ingress-nginx has it: from the beginning, whatever follows, and in any case of letters.
    return _rewritten(Path("RegularExpression", f"(?i:{value}).*", value), settings)


def _rewritten(path: Path, settings: Settings) -> Path:
    target = settings.rewrite_target
    if not target:
        return path
    if "$" in target:
        text = (
            f"rewrite-target {target!r} with the path {path.written!r} cannot be honoured: of captures only the rest"
            " after a prefix is supported, as in the path /app(/|$)(.*) with the target /$2"
        )
        return msgspec.structs.replace(path, refused=text)
    if not _REPLACEMENT.match(target):
        text = f"rewrite-target {target!r} is no absolute path without query"
        return msgspec.structs.replace(path, refused=text)
    return msgspec.structs.replace(path, rewrite=model.PathModifier(type="ReplaceFullPath", value=target))
