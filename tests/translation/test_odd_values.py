"""Objects with odd values in odd places: translation answers with conditions, never with an exception.

Every input of the golden pairs has one or two of its values replaced. What comes out must be a
table whose resources the engine takes, one by one, or refuses one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.resources import Resource
from controller.store import Snapshot
from controller.translate import translate
from gateway import _engine
from gateway.routing_table import wire
from gateway.routing_table.model import Snapshot as TableSnapshot
from tests.translation import golden

ODD = [
    "", "*", "/", "a b", "ä", "A", ".", "*.", "x" * 300, "/" * 9, "(", "10.0.0.1", "::1", "fe80::1%eth0", "None", "0s",
    "99999h99999h", "HTTPS", "Same", "Service", "\u0000", "\n", "a/b/c", "@", 0, -1, 1, 65536, 2**40, True, [], {},
]  # fmt: skip


def _documents(name: str) -> list[dict[str, Any]]:
    text = (golden.DIRECTORY / f"{name}.in.yaml").read_text()
    return [document for document in yaml.safe_load_all(text) if document and "kind" in document]


DOCUMENTS = {name: _documents(name) for name in golden.names()}


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    nested = [path_ for key, item in items for path_ in _leaves(item, (*path, key))]
    yield from nested or [path]


def _with(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    copied = value.copy()
    copied[path[0]] = _with(value[path[0]], path[1:], odd)
    return copied


@st.composite
def odd_objects(draw: st.DrawFn) -> list[Resource]:
    documents = list(DOCUMENTS[draw(st.sampled_from(sorted(DOCUMENTS)))])
    for _ in range(draw(st.integers(1, 2))):
        index = draw(st.integers(0, len(documents) - 1))
        paths = [path for path in _leaves(documents[index]) if path[0] == "spec"] or [("metadata", "name")]
        documents[index] = _with(documents[index], draw(st.sampled_from(paths)), draw(st.sampled_from(ODD)))
    return [resource for document in documents if (resource := _read(document)) is not None]


def _read(document: dict[str, Any]) -> Resource | None:
    try:
        return golden.resource_of(document)
    except (msgspec.ValidationError, TypeError, KeyError):
        return None


@given(odd_objects(), st.booleans())
@settings(max_examples=1000)
def test_translation_never_raises_and_the_table_can_be_read(resources: list[Resource], merge: bool) -> None:
    options = msgspec.structs.replace(golden.read("class-implicit").options, merge=merge)
    for table in translate(Snapshot(resources), options).tables.values():
        answer = wire.decode_applied(_engine.validate(wire.encode(TableSnapshot(version="1", resources=table))))
        assert answer.error == ""
