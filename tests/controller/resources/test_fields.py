"""Every field of the API has a place in the types, and nothing else has one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from msgspec import inspect

from controller.resources import BY_KIND, GatewayParameters
from controller.resources.gateway_parameters import GatewayLimits
from gateway.routing_table.model import Limits

API_FIELDS: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("api_fields.yaml").read_text())


def leaves(type_: inspect.Type, path: str) -> Iterator[str]:
    match type_:
        case inspect.Metadata():
            yield from leaves(type_.type, path)
        case inspect.UnionType():
            yield from leaves(type_.types[0], path)
        case inspect.StructType():
            for field in type_.fields:
                yield from leaves(field.type, f"{path}.{field.encode_name}")
        case inspect.VarTupleType():
            yield from leaves(type_.item_type, f"{path}[]")
        case _:
            yield path


@pytest.mark.parametrize("kind", sorted(API_FIELDS))
def test_the_type_declares_exactly_the_fields_of_the_api(kind: str) -> None:
    info = inspect.type_info(BY_KIND[kind])
    assert isinstance(info, inspect.StructType)
    declared = [path for field in info.fields if field.name == "spec" for path in leaves(field.type, "spec")]
    assert sorted(declared) == API_FIELDS[kind]


def test_gateway_parameters_cover_every_limit_of_the_routing_table() -> None:
    declared = {name.removesuffix("_ms") for name in Limits.__struct_fields__}
    assert set(GatewayLimits.__struct_fields__) == declared
    assert GatewayParameters.group == "sekisho.dev"
