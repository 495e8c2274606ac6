"""What a definition says of a type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from controller.resources import GatewayParameters
from controller.resources.definition import closed, definition, spec_schema
from controller.resources.metadata import Resource
from controller.resources.schema import Duration, Struct


class Item(Struct, frozen=True, kw_only=True):
    """One ``item_name`` of many."""

    item_name: str
    weight: Annotated[int, Meta(ge=0, le=100)] = 1
    """How often it is taken, beside ``item_name``."""


class ThingSpec(Struct, frozen=True, kw_only=True):
    """A thing."""

    mode: Literal["One", "Two"]
    wait: Duration | None = None
    large: Annotated[int, Meta(ge=0, le=2**40)] | None = None
    share: Annotated[int, Meta(ge=0)] | Annotated[str, Meta(pattern=r"^[0-9]+%\Z")] | None = None
    items: Annotated[tuple[Item, ...], Meta(max_length=3, extra={"unique": "item_name"})] = ()
    names: Annotated[tuple[str, ...], Meta(extra={"unique": ""})] = ()
    anything: Mapping[str, Any] | None = None
    labels: Mapping[str, str] = {}


class Thing(Resource, frozen=True, kw_only=True):
    """A kind."""

    group = "example.com"
    versions = ("v2", "v1")
    kind = "Thing"

    spec: ThingSpec


FIELDS = spec_schema(Thing)["properties"]


def schemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for child in schema.get("properties", {}).values():
        yield from schemas(child)
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from schemas(schema[name])


def test_a_field_has_the_name_and_the_bounds_of_the_api() -> None:
    assert FIELDS["mode"] == {"type": "string", "enum": ["One", "Two"]}
    assert FIELDS["large"] == {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**40}
    assert FIELDS["items"]["items"]["properties"]["weight"]["format"] == "int32"
    assert FIELDS["items"]["maxItems"] == 3
    assert spec_schema(Thing)["required"] == ["mode"]


def test_patterns_are_those_of_the_api_server() -> None:
    assert FIELDS["wait"]["pattern"] == "^(?:[0-9]{1,5}(?:h|ms|m|s)){1,4}$"
    for schema in schemas(spec_schema(GatewayParameters)):
        assert "\\Z" not in schema.get("pattern", "")
        re.compile(schema.get("pattern", ""))


def test_a_number_or_a_string_is_said_in_the_way_of_kubernetes() -> None:
    assert FIELDS["share"] == {"x-kubernetes-int-or-string": True}


def test_lists_without_duplicates_are_sets_and_maps() -> None:
    assert FIELDS["names"]["x-kubernetes-list-type"] == "set"
    assert FIELDS["items"]["x-kubernetes-list-type"] == "map"
    assert FIELDS["items"]["x-kubernetes-list-map-keys"] == ["itemName"]


def test_nothing_is_dropped_where_anything_may_stand() -> None:
    assert FIELDS["anything"] == {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    assert FIELDS["labels"] == {"type": "object", "additionalProperties": {"type": "string"}}


def test_docstrings_are_descriptions_with_the_names_of_the_api() -> None:
    item = FIELDS["items"]["items"]
    assert item["description"] == "One itemName of many."
    assert item["properties"]["weight"]["description"] == "How often it is taken, beside itemName."


def test_the_preferred_version_is_stored_and_all_are_served() -> None:
    versions = definition(GatewayParameters)["spec"]["versions"]
    assert [version["name"] for version in versions] == list(GatewayParameters.versions)
    assert [version["storage"] for version in versions] == [True]


def test_metadata_is_the_servers() -> None:
    schema = definition(GatewayParameters)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert schema["properties"]["metadata"] == {"type": "object"}
    assert "required" not in schema


def test_a_closed_schema_refuses_what_the_type_refuses() -> None:
    for schema in schemas(closed(spec_schema(GatewayParameters))):
        assert not [name for name in schema if name.startswith("x-kubernetes-")]
        if "properties" in schema:
            assert schema["additionalProperties"] is False
    assert closed(FIELDS["share"])["type"] == ["integer", "string"]


def test_every_field_of_the_settings_can_be_written() -> None:
    described = spec_schema(GatewayParameters)["properties"]
    declared = {field.encode_name for field in msgspec.structs.fields(type(GatewayParameters.__struct_defaults__[-1]))}
    assert set(described) == declared


def test_a_type_that_no_definition_can_hold_is_named() -> None:
    class Impossible(Resource, frozen=True, kw_only=True):
        """A kind."""

        spec: bytes

    with pytest.raises(TypeError, match="has no place in a definition"):
        spec_schema(Impossible)
