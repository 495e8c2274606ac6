"""From a document to a typed object, or to what is wrong with it.

Owns the way in: no other module makes objects out of documents. It must not read files nor look at
other objects. An object with an error is not made at all: it costs itself, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from controller.resources.diagnose import Finding, diagnose
from controller.resources.kinds import unread_kind
from controller.resources.metadata import ObjectMeta, Resource
from controller.resources.problem import Problem
from controller.resources.registry import BY_KIND, REGISTRY
from controller.resources.rules import rule_findings
from controller.resources.schema import DNS_LABEL_PATTERN
from controller.resources.secret import Secret

DEFAULT_NAMESPACE = "default"

_NAMESPACE = re.compile(DNS_LABEL_PATTERN)
_NAME_REMEDY = "use lower-case letters, digits and '-', starting and ending with a letter or digit"


class ParseResult(msgspec.Struct, frozen=True, kw_only=True):
    """``resource`` is None if any problem is an error, or if the kind is not read."""

    resource: Resource | None
    problems: tuple[Problem, ...] = ()


def parse(document: object, *, place: str = "") -> ParseResult:
    """Make the typed object of a decoded YAML or JSON document. ``place`` says where it was read."""
    if not isinstance(document, dict):
        problem = Problem(
            severity="error",
            message=f"expected an object with apiVersion, kind and metadata, got a {_json_type(document)}",
            remedy="write one object in each document",
            place=place,
        )
        return ParseResult(resource=None, problems=(problem,))
    api_version, kind = document.get("apiVersion"), document.get("kind")
    name = describe(document)
    if not isinstance(api_version, str) or not isinstance(kind, str):
        missing = "kind" if isinstance(api_version, str) else "apiVersion"
        problem = Problem(
            severity="error",
            message=f"{missing} is missing or not a string",
            remedy="set apiVersion and kind, for example gateway.networking.k8s.io/v1 and HTTPRoute",
            object=name,
            field=missing,
            place=place,
        )
        return ParseResult(resource=None, problems=(problem,))
    type_ = REGISTRY.get((api_version, kind))
    if type_ is None:
        return ParseResult(resource=None, problems=(unread_kind(api_version, kind, object_=name, place=place),))
    resource, findings = _decode(document, type_)
    problems = tuple(
        Problem(
            severity=finding.severity,
            message=finding.message,
            remedy=finding.remedy,
            object=name,
            field=finding.path,
            place=place,
        )
        for finding in findings
    )
    return ParseResult(resource=resource, problems=problems)


def describe(document: dict[str, Any]) -> str:
    """``Kind namespace/name`` of a document, as far as it says; with the namespace that it gets where it names none."""
    metadata = document.get("metadata")
    fields = metadata if isinstance(metadata, dict) else {}
    kind, namespace, name = (
        value if isinstance(value, str) else ""
        for value in (document.get("kind"), fields.get("namespace"), fields.get("name"))
    )
    known = BY_KIND.get(kind)
    if known is not None and name:
        namespace = (namespace or DEFAULT_NAMESPACE) if known.namespaced else ""
    names = "/".join(part for part in (namespace, name) if part)
    return " ".join(part for part in (kind, names) if part)[:400]


def _decode(document: dict[str, Any], type_: type[Resource]) -> tuple[Resource | None, Iterable[Finding]]:
    candidate = _without_ignored(type_.prepare(document), type_.ignored)
    if isinstance(candidate.get("metadata"), dict):
        candidate["metadata"] = _without_ignored(candidate["metadata"], ObjectMeta.ignored)
    findings: list[Finding] = []
    try:
        resource = msgspec.convert(candidate, type_)
    except (msgspec.ValidationError, TypeError):
        diagnosis = diagnose(candidate, type_, reveal=type_ is not Secret)
        findings.extend(diagnosis.findings)
        if any(finding.severity == "error" for finding in findings):
            return None, findings
        resource = msgspec.convert(diagnosis.pruned, type_)
    resource, name_findings = _named(resource, type_)
    errors = [*rule_findings(resource), *(finding for finding in name_findings if finding.severity == "error")]
    findings.extend(finding for finding in name_findings if finding.severity == "warning")
    findings.extend(errors)
    return (None if errors else resource), findings


def _without_ignored(fields: dict[str, Any], ignored: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in ignored}


def _named(resource: Resource, type_: type[Resource]) -> tuple[Resource, list[Finding]]:
    """Check the names, and put the object into its namespace."""
    metadata, findings = resource.metadata, []
    if not re.search(type_.name_pattern, metadata.name) or len(metadata.name) > type_.name_length:
        message = f"{metadata.name[:80]!r} is not a valid name for a {type_.kind}"
        findings.append(Finding("error", "metadata.name", message, f"{_NAME_REMEDY}, at most {type_.name_length}"))
    if not type_.namespaced:
        if metadata.namespace:
            message = f"a {type_.kind} belongs to no namespace"
            findings.append(Finding("warning", "metadata.namespace", message, "remove namespace"))
        namespace = ""
    else:
        namespace = metadata.namespace or DEFAULT_NAMESPACE
        if not _NAMESPACE.match(namespace) or len(namespace) > 63:
            message = f"{namespace[:80]!r} is not a valid namespace"
            findings.append(Finding("error", "metadata.namespace", message, f"{_NAME_REMEDY}, at most 63"))
    if namespace != metadata.namespace:
        metadata = msgspec.structs.replace(metadata, namespace=namespace)
        resource = msgspec.structs.replace(resource, metadata=metadata)
    return resource, findings


def _json_type(value: object) -> str:
    names = {"list": "list", "str": "string", "int": "number", "float": "number", "bool": "truth value"}
    return names.get(type(value).__name__, "value of no type")
