"""Whatever changes come in whatever order, the result is that of a translation from scratch.

The objects come from the golden inputs: the same few names in many variants, valid and not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.resources import Resource
from controller.store import Key, Snapshot
from controller.translate import Change, Options, Translation, Translator, diff, translate
from controller.translate.tables import KINDS
from gateway.routing_table.model import Resources
from tests.translation import golden

CASES = {name: golden.read(name).resources for name in golden.names()}
VARIANTS: dict[Key, list[Resource]] = {}
for _resources in CASES.values():
    for _resource in _resources:
        _known = VARIANTS.setdefault(Key.of(_resource), [])
        if _resource not in _known:
            _known.append(_resource)

Edit = tuple[Key, int]
"""A key, and which of its variants to put; a negative number removes."""


class Story(NamedTuple):
    """A coherent start, and changes to its objects and to those of another case."""

    start: tuple[Resource, ...]
    steps: list[list[Edit]]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    names = draw(st.lists(st.sampled_from(sorted(CASES)), min_size=1, max_size=2))
    keys = sorted({Key.of(resource) for name in names for resource in CASES[name]})
    edits = st.sampled_from(keys).flatmap(
        lambda key: st.tuples(st.just(key), st.integers(-1, min(len(VARIANTS[key]), 40) - 1))
    )
    steps = st.lists(st.lists(edits, min_size=1, max_size=3), min_size=1, max_size=8)
    return Story(CASES[names[0]], draw(steps))


options = st.builds(
    Options,
    regex_problem=st.just(golden.regex_problem),
    merge=st.booleans(),
    provision=st.booleans(),
    implicit_class=st.booleans(),
    implicit_namespaces=st.booleans(),
    mesh=st.sampled_from([True, True, False]),
)


def _edited(snapshot: Snapshot, step: list[Edit]) -> tuple[Snapshot, list[Key]]:
    """The snapshot after a step."""
    wanted = {key: VARIANTS[key][variant] if variant >= 0 else None for key, variant in step}
    changes = {key: value for key, value in wanted.items() if value is not None or key in snapshot}
    return snapshot.changed(changes), list(changes)


@given(options, stories())
@settings(max_examples=400)
def test_changes_come_to_the_same_as_a_fresh_translation(settings_: Options, story: Story) -> None:
    translator = Translator(settings_)
    snapshot = Snapshot(story.start)
    before = translator.update(snapshot, snapshot.keys()).translation
    for step in story.steps:
        snapshot, changed = _edited(snapshot, step)
        update = translator.update(snapshot, changed)
        after = update.translation
        assert after == translate(snapshot, settings_)
        _check_changes(before, after, update.changes)
        assert update.changed_statuses == _different(before.statuses, after.statuses)
        assert update.changed_infrastructure == _different(before.infrastructure, after.infrastructure)
        before = after


@given(options, stories())
@settings(max_examples=100)
def test_an_unchanged_object_named_as_changed_changes_nothing(settings_: Options, story: Story) -> None:
    snapshot = Snapshot(story.start)
    translator = Translator(settings_)
    before = translator.update(snapshot, snapshot.keys()).translation
    update = translator.update(snapshot, snapshot.keys())
    assert update.translation == before
    assert not update.changes
    assert not update.changed_statuses


def _check_changes(before: Translation, after: Translation, changes: Mapping[str, Change]) -> None:
    for name in before.tables.keys() | after.tables.keys():
        old, new = before.tables.get(name, Resources()), after.tables.get(name, Resources())
        assert diff(old, new) == changes.get(name, Change())
        assert _patched(old, changes.get(name, Change())) == new


def _patched(table: Resources, change: Change) -> Resources:
    patched = {}
    for kind in KINDS:
        resources = {resource.key: resource for resource in getattr(table, kind)}
        for key in getattr(change.remove, kind):
            del resources[key]
        resources |= {resource.key: resource for resource in getattr(change.upsert, kind)}
        patched[kind] = tuple(resources[key] for key in sorted(resources))
    return Resources(**patched)


def _different(before: Mapping[Key, object], after: Mapping[Key, object]) -> set[Key]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
