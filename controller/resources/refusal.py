"""Kinds that guard something never fail open: a spec that is not wholly understood is refused, not half enforced.

Elsewhere a field that is unknown has no effect, and an object with an error is not made at all. Here both would let
through what was to be kept out. So such an object is made of what ``remains`` of its spec, with a ``refusal`` that says
why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from controller.resources.diagnose import Finding, diagnose, type_info
from controller.resources.rules import rule_findings
from controller.resources.schema import Struct

_SELECTIONS: Final = ("selector", "targetRef", "targetRefs")


def _none(_spec: object) -> Iterable[str]:
    return ()


def understood_or_refused(
    document: dict[str, Any],
    type_: type[Struct],
    remains: Callable[[object], object],
    problems: Callable[[object], Iterable[str]] = _none,
) -> dict[str, Any]:
    """The document with its spec as it is where all of it is understood; otherwise with what remains, and the refusal.

    ``problems``: what else is wrong with a spec, beyond what its type and its rules say.
    """
    given = document.get("spec")
    spec = {} if given is None else given
    diagnosis = diagnose(spec, type_, reveal=True)
    texts = [_in_words(finding) for finding in diagnosis.findings]
    if not texts:
        of_rules = rule_findings(msgspec.convert(diagnosis.pruned, type_))
        texts = [f"{_in_words(finding)}; {finding.remedy}" for finding in of_rules]
    texts += problems(spec)
    if not texts:
        return {**document, "spec": diagnosis.pruned, "refusal": ""}
    more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
    return {**document, "spec": remains(spec), "refusal": texts[0] + more}


def readable_selection(spec: object, type_: type[Struct]) -> dict[str, Any]:
    """The field by which a policy says what it applies to, where it can be read; otherwise nothing, which is all."""
    fields = spec if isinstance(spec, dict) else {}
    declared = {field.encode_name for field in type_info(type_).fields}
    selections = [name for name in _SELECTIONS if name in declared and fields.get(name) is not None]
    if len(selections) == 1 and not diagnose({selections[0]: fields[selections[0]]}, type_, reveal=True).findings:
        return {selections[0]: fields[selections[0]]}
    return {}


def _in_words(finding: Finding) -> str:
    # Of an unknown field: here it does have an effect.
    message = finding.message.removesuffix(" and has no effect")
    return f"spec.{finding.path}: {message}" if finding.path else message
