"""YAML means what kubectl makes of it, and stays within its bounds."""

from __future__ import annotations

import re
import time

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from controller.sources.yaml_values import UnreadableError, yaml_values


def value(text: str) -> object:
    (document,) = yaml_values(text)
    return document.content


def fault(text: str) -> UnreadableError:
    with pytest.raises(UnreadableError) as caught:
        list(yaml_values(text))
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("text", "text"),
        ("yes", True),
        ("Off", False),
        ("y", "y"),
        ("~", None),
        ("12", 12),
        ("-12", -12),
        ("0", 0),
        ("0777", 511),
        ("0o777", 511),
        ("0x1F", 31),
        ("0b101", 5),
        ("1_000", 1000),
        ("08", "08"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("0E0", 0.0),
        ("1.5e-3", 0.0015),
        ("22:22", "22:22"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("10.0.0.1", "10.0.0.1"),
        ("1h", "1h"),
        ("-", [None]),
        ("'12'", "12"),
        ('"yes"', "yes"),
        (r'"\x85"', "\x85"),
        (r'"\N"', "\x85"),
        (r'"\L\P"', "\u2028\u2029"),
        (r'{"\N": "\x85"}', {"\x85": "\x85"}),
        ("'a\x85b'", "a b"),
        ("!!str 12", "12"),
        ("! 12", "12"),
        ("!!int 12", 12),
        ("!!float 1", 1),
        ("!!null ''", None),
        ("|\n a\n b\n", "a\nb\n"),
        ("{8080: a, on: b, null: c, '<<': d}", {"8080": "a", "on": "b", "null": "c", "<<": "d"}),
    ],
)
def test_scalars(text: str, expected: object) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


def test_anchors_aliases_and_merge_keys() -> None:
    text = """
base: &base {port: 80, protocol: HTTP}
listeners:
- <<: *base
  name: a
- <<: [{port: 81}, *base]
  protocol: HTTPS
- *base
&key name: *key
"""
    assert value(text) == {
        "base": {"port": 80, "protocol": "HTTP"},
        "listeners": [
            {"port": 80, "protocol": "HTTP", "name": "a"},
            {"port": 81, "protocol": "HTTPS"},
            {"port": 80, "protocol": "HTTP"},
        ],
        "name": "name",
    }


def test_lines_of_documents_and_of_mappings_near_the_root() -> None:
    (document,) = yaml_values("# first\n\nitems:\n- a: 1\n- b: 2\n")
    assert document.line == 3
    assert isinstance(document.content, dict)
    assert [document.lines[id(item)] for item in document.content["items"]] == [4, 5]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: [", 2, "not valid YAML"),
        ("a: 1\n  b: 2", 2, "not valid YAML"),
        ("a: 'b", 1, "not valid YAML"),
        ("a: 1\nb: 2\na: 3", 3, "the key 'a' is given twice"),
        ("a: *b", 1, "the alias *b has no anchor before it"),
        ("a: &a [*a]", 1, "the alias *a contains itself"),
        ("a: !!python/object:os.system ls", 1, "is not allowed"),
        ("!!set {a, b}", 1, "is not allowed"),
        ("!!int text", 1, "is not allowed here"),
        ("!!timestamp 2026-01-31", 1, "is not allowed here"),
        ("? [a]\n: b", 1, "a key of a mapping is not plain text"),
        ("name: {{ .Values.name }}", 1, "a key of a mapping is not plain text"),
        ("<<: 3", 1, "the merge key '<<' takes a mapping"),
        ("a: " + "9" * 5000, 1, "a number is malformed or too long"),
        ("a: 0x" + "f" * 5000, 1, "a number is malformed or too long"),
        ("a: 0x_", 1, "a number is malformed or too long"),
        ("a\x00b: 1", 1, "a character that YAML does not allow"),
        ("[" * 100_000, 1, "nested deeper than 64 levels"),
        ("a: " + "{a: " * 70 + "1" + "}" * 70, 1, "nested deeper than 64 levels"),
    ],
)
def test_what_cannot_be_read_names_its_line(text: str, line: int, message: str) -> None:
    error = fault(text)
    assert error.line == line
    assert message in error.message
    assert error.remedy


def test_remedies_for_tabs_and_templates() -> None:
    assert fault("a:\n\tb: 1").remedy == "indent with spaces, not tabs"
    assert fault("{{ if x }}\na: 1").remedy == "render the template first, or put the key in quotes"
    assert fault("a: 1\n{{- end }}").remedy == "render the template first"


def test_aliases_cannot_expand_without_end() -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))
    started = time.perf_counter()
    assert "aliases stand for more than" in fault(f"a0: &a0 x\n{levels}").message
    merges = "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 30))
    assert "aliases stand for more than" in fault(f"a0: &a0 {{x: y}}\n{merges}").message
    assert time.perf_counter() - started < 5


def test_the_values_of_a_document_are_in_no_error() -> None:
    for text in ("password: 'hunter2\nb: 1", "a: hunter2\na: hunter2", "hunter2: &a [*a]\n", "a: hunter2: b"):
        assert "hunter2" not in fault(text).message.replace("'hunter2'", "")


class _Writer(yaml.SafeDumper):
    """Puts every text in quotes that kubectl would take for a number; PyYAML knows fewer forms, as 1e3 and 0o7."""


_Writer.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:0o[0-7_]+|(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?)\Z"),
    list("-+.0123456789"),
)


def contents(text: st.SearchStrategy[str]) -> st.SearchStrategy[object]:
    """Whatever a document can hold, with its keys and texts drawn from ``text``."""
    return st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.floats(allow_nan=False, allow_infinity=False)
        | text,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text.filter(bool), inner, max_size=4),
        max_leaves=15,
    )


# YAML 1.1 counts U+0085 as a line break. The writer puts it between single quotes as it is, where every
# reader must fold it to a space. Written with an escape it is kept, which the next test covers.
@given(contents(st.text(st.characters(exclude_characters="\x85", exclude_categories=["Cs"]))))
def test_what_is_written_is_read(content: object) -> None:
    assert value(yaml.dump(content, Dumper=_Writer, allow_unicode=True)) == content


@given(contents(st.text()))
@example(["0E0", "1.5e3", "+.5", "-0o7", "08", 0, -7, 1e300, 1e-7])
@example({"\x85": None})
@example({"a\u2028b": ["\x85 \u2029"]})
def test_what_is_written_with_escapes_is_read(content: object) -> None:
    assert value(yaml.dump(content, Dumper=_Writer, allow_unicode=False)) == content


@given(st.text(alphabet="ab:-[]{}&*!|>'\"%#@?,\n\t \\<0.~=y", max_size=60))
def test_no_text_makes_reading_fail(text: str) -> None:
    try:
        for document in yaml_values(text):
            assert document.line >= 1
    except UnreadableError as error:
        assert error.line >= 1  # noqa: PT017  # either outcome is right
