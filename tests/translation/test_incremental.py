"""Whatever changes come in whatever order, the result is that of a translation from scratch.

The objects come from the golden inputs: the same few names in many variants, valid and not.
"""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.resources import Resource
from controller.store import Key, Snapshot
from controller.translate import Change, Options, Translation, Translator, diff, translate
from controller.translate.tables import KINDS
from gateway.routing_table.model import Resources
from tests.translation import golden


def _variants() -> dict[Key, list[Resource]]:
    found: dict[Key, list[Resource]] = {}
    for name in golden.names():
        for resource in golden.read(name).resources:
            variants = found.setdefault(Key.of(resource), [])
            if resource not in variants:
                variants.append(resource)
    return found


VARIANTS = _variants()
KEYS = sorted(VARIANTS, key=lambda key: (-len(VARIANTS[key]), key))
"""Those with most variants first, so that small examples are about them."""

Edit = tuple[Key, int]
edits = st.sampled_from(KEYS).flatmap(lambda key: st.tuples(st.just(key), st.integers(-1, len(VARIANTS[key]) - 1)))
steps = st.lists(st.lists(edits, min_size=1, max_size=6), min_size=1, max_size=12)
options = st.builds(
    Options,
    regex_problem=st.just(golden.regex_problem),
    merge=st.booleans(),
    implicit_class=st.booleans(),
    implicit_namespaces=st.booleans(),
)


def _edited(snapshot: Snapshot, step: list[Edit]) -> tuple[Snapshot, list[Key]]:
    """The snapshot after a step; a negative variant removes."""
    wanted = {key: VARIANTS[key][variant] if variant >= 0 else None for key, variant in step}
    changes = {key: value for key, value in wanted.items() if value is not None or key in snapshot}
    return snapshot.changed(changes), list(changes)


@given(options, steps)
@settings(max_examples=300)
def test_changes_come_to_the_same_as_a_fresh_translation(settings_: Options, changes: list[list[Edit]]) -> None:
    translator = Translator(settings_)
    snapshot = Snapshot()
    before = translator.update(snapshot, ()).translation
    for step in changes:
        snapshot, changed = _edited(snapshot, step)
        update = translator.update(snapshot, changed)
        after = update.translation
        assert after == translate(snapshot, settings_)
        _check_changes(before, after, update.changes)
        assert update.changed_statuses == _different(before, after)
        before = after


@given(options, st.lists(edits, max_size=30))
@settings(max_examples=100)
def test_an_unchanged_object_named_as_changed_changes_nothing(settings_: Options, step: list[Edit]) -> None:
    snapshot, changed = _edited(Snapshot(), step)
    translator = Translator(settings_)
    before = translator.update(snapshot, changed).translation
    update = translator.update(snapshot, changed)
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


def _different(before: Translation, after: Translation) -> set[Key]:
    keys = before.statuses.keys() | after.statuses.keys()
    return {key for key in keys if before.statuses.get(key) != after.statuses.get(key)}
