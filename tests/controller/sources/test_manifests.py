"""Manifest files: what they stand for, across reloads and mistakes."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller import resources
from controller.resources import ConfigMap, Problem
from controller.sources import Change, ManifestSource, files, reading
from controller.store import Key, Store
from tests.controller.sources.folder import Folder, config_map, key


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def texts(change: Change) -> dict[str, str]:
    found = {item.metadata.name: item.data["text"] for item in change.upserts if isinstance(item, ConfigMap)}
    assert len(found) == len(change.upserts)
    return found


def messages(change: Change | None) -> list[str]:
    assert change is not None
    return [str(problem) for problem in change.problems]


def test_files_of_a_folder_and_below_are_read(folder: Folder) -> None:
    folder.write("b.yaml", config_map("b"))
    folder.write("deep/er/a.yml", config_map("a"))
    folder.write(
        "c.json", '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"text": "x"}}'
    )
    folder.write("notes.txt", "not: [a manifest")
    folder.write(".hidden.yaml", "not: [a manifest")
    folder.write("..2026/copy.yaml", config_map("b"))
    change = folder.source().load()
    assert texts(change) == {"a": "x", "b": "x", "c": "x"}
    assert change.problems == ()


def test_a_folder_that_is_to_be_left_out_is_passed_over_with_all_below_it(folder: Folder) -> None:
    folder.write("a.yaml", config_map("a"))
    folder.write("state/table.json", "{} not a manifest")
    folder.write("state/deep/b.yaml", config_map("b"))
    (folder.root / "link").symlink_to(folder.root / "state")
    for state in (folder.root / "state", folder.root / "link"):
        change = ManifestSource([folder.root], without=[state]).load()
        assert texts(change) == {"a": "x"}
        assert change.problems == ()


def test_a_file_named_itself_is_read_whatever_its_name(folder: Folder) -> None:
    path = folder.write("routes.txt", config_map("a"))
    assert texts(ManifestSource([path, str(path), folder.root / "missing" / ".." / "routes.txt"]).load()) == {"a": "x"}


def test_a_file_reached_twice_is_read_once(folder: Folder) -> None:
    path = folder.write("a.yaml", config_map("a"))
    (folder.root / "link.yaml").symlink_to(path)
    change = ManifestSource([path, folder.root]).load()
    assert texts(change) == {"a": "x"}
    assert change.problems == ()


def test_the_standard_input_is_read_once() -> None:
    source = ManifestSource(["-"], stdin=io.BytesIO((config_map("a") + "---\nb: [").encode()))
    change = source.load()
    assert texts(change) == {"a": "x"}
    assert messages(change)[0].startswith("error: stdin:7: not valid YAML")
    assert source.reload() is None
    assert texts(source.load()) == {"a": "x"}


def test_a_missing_path_is_a_problem_until_it_is_there(folder: Folder) -> None:
    source = ManifestSource([folder.root / "later" / "on"])
    (message,) = messages(source.load())
    assert message.startswith(f"error: {folder.root}/later/on: there is no such file or folder (check the path;")
    folder.write("later/on/a.yaml", config_map("a"))
    change = source.reload()
    assert change is not None
    assert texts(change) == {"a": "x"}
    assert change.problems == ()


def test_a_reload_tells_what_changed_and_nothing_else(folder: Folder) -> None:
    folder.write("a.yaml", config_map("a") + "---\n" + config_map("b"))
    source = folder.source()
    source.load()
    assert source.reload() is None
    folder.write("a.yaml", config_map("b", "y") + "---\n" + config_map("c"))
    change = source.reload()
    assert change is not None
    assert texts(change) == {"b": "y", "c": "x"}
    assert change.deletes == (key("a"),)


def test_an_object_that_moves_to_another_file_has_not_changed(folder: Folder) -> None:
    folder.write("a.yaml", config_map("a"))
    source = folder.source()
    source.load()
    folder.write("b/a.yaml", config_map("a"))
    folder.remove("a.yaml")
    assert source.reload() is None


def test_an_unchanged_document_is_not_parsed_again(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [config_map(f"n{index}") for index in range(20)]
    folder.write("a.yaml", "---\n".join(documents))
    source = folder.source()
    source.load()
    parsed: list[object] = []
    parse = resources.parse

    def counting(document: object) -> object:
        parsed.append(document)
        return parse(document)

    monkeypatch.setattr(reading, "parse", counting)
    documents[7] = config_map("n7", "other")
    documents.insert(0, "# a new first line\n")
    folder.write("a.yaml", "---\n".join(documents))
    change = source.reload()
    assert change is not None
    assert texts(change) == {"n7": "other"}
    assert len(parsed) == 2, "the changed one, and the first one, which has a marker before it now"


def test_a_faulty_document_costs_itself_alone(folder: Folder) -> None:
    folder.write("a.yaml", config_map("a") + "---\nkind: [\n---\n" + config_map("b"))
    change = folder.source().load()
    assert texts(change) == {"a": "x", "b": "x"}
    (problem,) = change.problems
    assert problem.place == f"{folder.root}/a.yaml:7"
    assert problem.remedy


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: text.replace("kind: ConfigMap", "kind: [", 1).encode(), id="not YAML any more"),
        pytest.param(lambda text: text.encode("utf-16"), id="not UTF-8"),
        pytest.param(lambda text: text.replace("metadata:", "metadata", 1).encode(), id="cut in two"),
        pytest.param(lambda text: text.replace("text: x", "text: {}", 1).encode(), id="refused by its type"),
        pytest.param(lambda text: text.replace("apiVersion: v1", "apiVersion: v2", 1).encode(), id="of no version"),
        pytest.param(lambda text: text.replace("kind: ConfigMap", "sort: ConfigMap", 1).encode(), id="without kind"),
        pytest.param(lambda _: b" " * (files.MAX_FILE_BYTES + 1), id="too large"),
    ],
)
def test_a_file_that_becomes_faulty_keeps_what_it_last_said(folder: Folder, damage: object) -> None:
    assert callable(damage)
    text = config_map("a") + "---\n" + config_map("b")
    folder.write("a.yaml", text)
    source = folder.source()
    source.load()
    folder.write("a.yaml", damage(text))
    change = source.reload()
    assert change is not None
    assert (change.upserts, change.deletes) == ((), ())
    assert "error" in {problem.severity for problem in change.problems}
    assert texts(source.load()) == {"a": "x", "b": "x"}
    folder.write("a.yaml", config_map("b"))
    change = source.reload()
    assert change is not None
    assert (change.upserts, change.deletes, change.problems) == ((), (key("a"),), ())


def test_beside_a_fault_the_other_documents_still_change(folder: Folder) -> None:
    folder.write("a.yaml", config_map("a") + "---\n" + config_map("b"))
    source = folder.source()
    source.load()
    folder.write("a.yaml", "kind: [\n---\n" + config_map("b", "y") + "---\n" + config_map("c"))
    change = source.reload()
    assert change is not None
    assert texts(change) == {"b": "y", "c": "x"}
    assert change.deletes == ()


def test_a_removed_file_removes_its_objects_even_if_it_was_faulty(folder: Folder) -> None:
    folder.write("a.yaml", config_map("a"))
    source = folder.source()
    source.load()
    folder.write("a.yaml", "kind: [")
    source.reload()
    folder.remove("a.yaml")
    change = source.reload()
    assert change == Change((), (key("a"),), ())


def test_a_file_that_was_just_emptied_keeps_its_objects_for_a_moment(folder: Folder) -> None:
    folder.write("a.yaml", config_map("a"))
    source = folder.source()
    source.load()
    folder.write("a.yaml", "")
    assert source.reload() is None
    folder.now += 3
    assert source.reload() == Change((), (key("a"),), ())


def test_a_change_within_one_tick_of_the_file_clock_is_seen(folder: Folder) -> None:
    path = folder.write("a.yaml", config_map("a", "x"))
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    source = folder.source()
    source.load()
    path.write_text(config_map("a", "y"))
    os.utime(path, ns=times)
    change = source.reload()
    assert change is not None
    assert texts(change) == {"a": "y"}


def test_of_two_objects_of_one_name_the_first_is_used(folder: Folder) -> None:
    folder.write("b.yaml", config_map("a", "second"))
    folder.write("a.yaml", "# the first\n" + config_map("a", "first") + "---\n" + config_map("a", "third"))
    change = folder.source().load()
    assert texts(change) == {"a": "first"}
    places = [problem.place.removeprefix(f"{folder.root}/") for problem in change.problems]
    assert places == ["a.yaml:8", "b.yaml:1"]
    for problem in change.problems:
        assert problem.message == f"it is defined twice; the one at {folder.root}/a.yaml:2 is used"
        assert problem.object == "ConfigMap default/a"


def test_each_object_in_use_has_a_place(folder: Folder) -> None:
    folder.write("a.yaml", "# the first\n" + config_map("a") + "---\n" + config_map("b"))
    folder.write("b.yaml", config_map("a", "second"))
    source = folder.source()
    source.load()
    assert source.places() == {key("a"): f"{folder.root}/a.yaml:2", key("b"): f"{folder.root}/a.yaml:8"}


def test_when_the_first_of_two_goes_the_second_takes_its_place(folder: Folder) -> None:
    folder.write("a.yaml", config_map("a", "first"))
    folder.write("b.yaml", config_map("a", "second"))
    source = folder.source()
    source.load()
    folder.remove("a.yaml")
    change = source.reload()
    assert change is not None
    assert (texts(change), change.deletes, change.problems) == ({"a": "second"}, (), ())


def test_problems_name_file_and_line_of_each_object(folder: Folder) -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Teapot\n- apiVersion: v1\n  kind: Endpoints\n"
    folder.write("a.yaml", "\n" + text)
    problems = folder.source().load().problems
    assert [problem.place.removeprefix(f"{folder.root}/") for problem in problems] == ["a.yaml:5", "a.yaml:7"]
    assert [problem.severity for problem in problems] == ["notice", "warning"]


def test_a_warning_lets_go_of_what_the_file_no_longer_defines(folder: Folder) -> None:
    folder.write("a.yaml", config_map("a"))
    source = folder.source()
    source.load()
    folder.write("a.yaml", config_map("a").replace("ConfigMap", "Teapot"))
    change = source.reload()
    assert change is not None
    assert change.deletes == (key("a"),)


def test_a_pipe_is_refused_without_waiting_for_it(folder: Folder) -> None:
    os.mkfifo(folder.root / "pipe.yaml")
    (message,) = messages(ManifestSource([folder.root / "pipe.yaml"]).load())
    assert "it is not a regular file (to read from a pipe, use -f - (standard input))" in message


def test_too_many_documents_are_left_out(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_DOCUMENTS", 2)
    folder.write("a.yaml", "---\n".join(config_map(name) for name in "abc"))
    change = folder.source().load()
    assert texts(change) == {"a": "x", "b": "x"}
    assert "more than 2 documents" in messages(change)[0]


def test_too_many_files_are_left_out(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILES", 2)
    for name in "abc":
        folder.write(f"{name}.yaml", config_map(name))
    change = folder.source().load()
    assert texts(change) == {"a": "x", "b": "x"}
    assert "more than 2 manifest files" in messages(change)[0]


def test_secret_values_are_in_no_problem(folder: Folder) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {key: hunter2}\n"
    for damaged in (secret + "data: hunter2\n", secret + "data: {key: hunter2}\n", secret + "x: 'hunter2\n"):
        folder.write("a.yaml", damaged)
        change = folder.source().load()
        assert change.problems
        assert all("hunter2" not in str(problem) for problem in change.problems)
        assert "hunter2" not in repr(change)


NAMES = st.sampled_from(["a.yaml", "b.yaml", "c/d.yaml"])
CONTENTS = st.lists(
    st.one_of(
        st.builds(config_map, st.sampled_from(["a", "b", "c"]), st.sampled_from(["x", "y"])),
        st.sampled_from(["", "# nothing\n", "apiVersion: v1\nkind: Teapot\nmetadata: {name: a}\n"]),
    ),
    max_size=4,
).map("---\n".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(edits=st.lists(st.tuples(NAMES, st.none() | CONTENTS), max_size=8))
def test_any_sequence_of_edits_ends_where_a_fresh_load_ends(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, str | None]]
) -> None:
    folder = Folder(tmp_path_factory.mktemp("edits"))
    source, store = folder.source(), Store()
    change: Change | None = source.load()
    problems: tuple[Problem, ...] = ()
    for name, content in edits:
        folder.remove(name) if content is None else folder.write(name, content)
        folder.now += 10
        change = source.reload()
        if change is not None:
            problems = change.problems
            assert store.apply(change.upserts, change.deletes) == {
                *map(Key.of, change.upserts),
                *change.deletes,
            }
    fresh = folder.source().load()
    assert set(store.snapshot().keys()) == set(map(Key.of, fresh.upserts))
    assert {item.metadata.name: item.data for item in store.snapshot().all(ConfigMap)} == {
        item.metadata.name: item.data for item in fresh.upserts if isinstance(item, ConfigMap)
    }
    assert problems == fresh.problems
