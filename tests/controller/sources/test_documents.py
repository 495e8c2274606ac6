"""A manifest's documents are read each on its own."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.sources.documents import Document, Fault, read_json, read_yaml, yaml_pieces


def pieces(text: str) -> list[tuple[int, str]]:
    return [(piece.line, piece.text) for piece in yaml_pieces(text)]


def test_documents_are_cut_at_their_markers() -> None:
    assert pieces("a: 1\n---\nb: 2\n--- # more\nc: 3\n") == [
        (1, "a: 1\n"),
        (2, "---\nb: 2\n"),
        (4, "--- # more\nc: 3\n"),
    ]
    assert pieces("--- {a: 1}\r\n---\r\nb: 2\r\n") == [(1, "--- {a: 1}\r\n"), (2, "---\r\nb: 2\r\n")]


def test_a_marker_inside_of_text_is_text() -> None:
    text = "a: |\n  ---\n  b\nc: ---x\n---d: 1\n"
    assert pieces(text) == [(1, text)]


def test_pieces_without_content_are_left_out() -> None:
    assert pieces("") == []
    assert pieces("# nothing\n---\n\n---\n# here\n") == []
    assert pieces("%YAML 1.2\n# note\n---\na: 1\n") == [(3, "---\na: 1\n")]
    assert read_yaml("---\n...\n") == ()


def test_a_faulty_document_costs_itself_alone() -> None:
    found = [read_yaml(piece.text) for piece in yaml_pieces("a: 1\n---\nb: [\n---\nc: 3\n")]
    assert [type(item) for (item,) in found] == [Document, Fault, Document]


def test_documents_ended_by_dots() -> None:
    assert [item.line for item in read_yaml("a: 1\n...\nb: 2\n")] == [1, 3]


def test_lists_are_their_items() -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- kind: Secret\n- kind: List\n  items:\n  - {kind: Service}\n"
    assert read_yaml(text) == (Document(4, {"kind": "Secret"}), Document(5, {"kind": "Service"}))
    typed = "apiVersion: v1\nkind: SecretList\nitems:\n- metadata: {name: a}\n"
    assert read_yaml(typed) == (Document(4, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}),)
    assert read_yaml("kind: Menu\nitems: [a]\n") == (Document(1, {"kind": "Menu", "items": ["a"]}),)


def test_lists_within_lists_are_bounded() -> None:
    content: object = {"kind": "Secret"}
    for _ in range(20):
        content = {"kind": "List", "items": [content]}
    (document,) = read_json(json.dumps(content))
    assert isinstance(document, Document)
    assert isinstance(document.content, dict)
    assert document.content["kind"] == "List"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('{"a": 1,\n"b": }', 2, "not valid JSON"),
        ("", 1, "not valid JSON"),
        ('{"a": 1, "a": 2}', 1, "the key 'a' is given twice"),
        ('{"a": NaN}', 1, "NaN is not a JSON value"),
        ("[" * 200_000, 1, "nested deeper"),
        ('{"a": ' + "9" * 5000 + "}", 1, "a number is too long"),
    ],
)
def test_faults_of_json(text: str, line: int, message: str) -> None:
    (found,) = read_json(text)
    assert isinstance(found, Fault)
    assert found.line == line
    assert message in found.message


@given(st.lists(st.sampled_from(["---\n", "--- x\n", "a: 1\n", "b: |\n  ---\n", "# c\n", "\n", "...\n"]), max_size=12))
def test_pieces_cover_the_text_at_the_lines_they_say(parts: list[str]) -> None:
    text = "".join(parts)
    lines = text.split("\n")
    for piece in yaml_pieces(text):
        first = piece.text.split("\n")[0]
        assert lines[piece.line - 1] == first


@given(st.text(max_size=40))
def test_no_text_makes_reading_fail(text: str) -> None:
    for piece in yaml_pieces(text):
        read_yaml(piece.text)
    read_json(text)
