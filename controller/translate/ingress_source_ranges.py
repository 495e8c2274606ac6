"""Annotations of ingress-nginx about clients' addresses. They guard: what cannot be read lets nobody in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controller.translate.ingress_texts import Texts
from gateway.routing_table import model
from gateway.routing_table.validate.authorization import address_block
from gateway.routing_table.validate.filters import MAX_BLOCKS

_ALLOW = ("allowlist-source-range", "whitelist-source-range")
_DENY = "denylist-source-range"


def read_source_ranges(texts: Texts) -> model.SourceRanges | None:
    """Who is let in; ``None`` where everybody is, and where there is a problem."""
    if source_range_problems(texts):
        return None
    allow = next((found for found in map(texts.items, _ALLOW) if found), ())
    deny = texts.items(_DENY)
    if not allow and not deny:
        return None
    return model.SourceRanges(allow=tuple(dict.fromkeys(allow)), deny=tuple(dict.fromkeys(deny)))


def source_range_problems(texts: Texts) -> Sequence[str]:
    """What is wrong with them."""
    return list(_problems(texts))


def _problems(texts: Texts) -> Iterator[str]:
    for name in (*_ALLOW, _DENY):
        blocks = texts.items(name)
        if texts.take(name) and not blocks:
            yield f"the annotation {texts.full(name)} names no address"
        if len(blocks) > MAX_BLOCKS:
            yield f"the annotation {texts.full(name)} names more than {MAX_BLOCKS} addresses and blocks"
        for problem in (problem for block in blocks for problem in address_block(block)):
            yield f"the annotation {texts.full(name)} cannot be applied: {problem}"
            break
    allowed = {frozenset(texts.items(name)) for name in _ALLOW if texts.take(name)}
    if len(allowed) > 1:
        yield f"the annotations {' and '.join(map(texts.full, _ALLOW))} are two names of one list, and differ"
