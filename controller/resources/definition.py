"""Definitions (CustomResourceDefinition, ``apiextensions.k8s.io/v1``) of the kinds that are Sekisho's own.

Owns saying to an API server what the types here accept, so that the two cannot disagree. It must not read nor
write a file. Rules between fields (:meth:`controller.resources.schema.Struct.violations`) are not in a definition:
translation answers them with a condition.
"""

from __future__ import annotations

import ast
import functools
import inspect as python_inspect
import itertools
import re
import textwrap
from collections.abc import Mapping
from typing import Any, Final

from msgspec import inspect

from controller.resources.credential_injection import CredentialInjection
from controller.resources.diagnose import type_info
from controller.resources.egress_policy import EgressPolicy
from controller.resources.external_authorization_provider import ExternalAuthorizationProvider
from controller.resources.gateway_parameters import GatewayParameters
from controller.resources.metadata import Resource
from controller.resources.schema import Struct

OWN_KINDS: Final[tuple[type[Resource], ...]] = (
    GatewayParameters,
    EgressPolicy,
    ExternalAuthorizationProvider,
    CredentialInjection,
)

_PLURALS: Final[Mapping[str, str]] = {
    "EgressPolicy": "egresspolicies",
    "ExternalAuthorizationProvider": "externalauthorizationproviders",
    "CredentialInjection": "credentialinjections",
}
_SHORT_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "GatewayParameters": ("gwparams",),
    "EgressPolicy": ("egress",),
    "ExternalAuthorizationProvider": ("extauthz",),
    "CredentialInjection": ("credinject",),
}
_WITH_STATUS: Final = frozenset({"EgressPolicy"})
_STATUS: Final[Mapping[str, Any]] = {"subresources": {"status": {}}}
_INT32_MAX: Final = 2**31 - 1

Schema = dict[str, Any]


def definition(type_: type[Resource]) -> dict[str, Any]:
    """The definition of a kind. All its versions have the same fields; the preferred one is stored."""
    kind = type_.kind
    # A kind whose name is a plural already is its own plural.
    names = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": _PLURALS.get(kind, kind.lower()),
        "singular": kind.lower(),
        "shortNames": list(_SHORT_NAMES[kind]),
        "categories": ["sekisho"],
    }
    status = _STATUS if kind in _WITH_STATUS else {}
    versions = [
        {
            "name": version,
            "served": True,
            "storage": version == type_.versions[0],
            "schema": {"openAPIV3Schema": _object_schema(type_)},
            **status,
            "additionalPrinterColumns": [{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}],
        }
        for version in type_.versions
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{type_.group}"},
        "spec": {
            "group": type_.group,
            "names": names,
            "scope": "Namespaced" if type_.namespaced else "Cluster",
            "versions": versions,
        },
    }


def spec_schema(type_: type[Resource]) -> Schema:
    """The schema of a kind's ``spec`` alone."""
    field = next(field for field in type_info(type_).fields if field.name == "spec")
    return _schema(field.type)


def closed(schema: Schema) -> Schema:
    """The same as a JSON schema that refuses unknown fields, as an API server's strict validation does."""
    result = {name: value for name, value in schema.items() if not name.startswith("x-kubernetes-")}
    if "properties" in schema:
        result["properties"] = {name: closed(value) for name, value in schema["properties"].items()}
        result["additionalProperties"] = False
    if "items" in schema:
        result["items"] = closed(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = closed(schema["additionalProperties"])
    if schema.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
    return result


def _object_schema(type_: type[Resource]) -> Schema:
    # The server knows a better schema of metadata itself.
    schema = _struct(type_info(type_), without=("metadata", "refusal"))
    if type_.kind in _WITH_STATUS:
        schema["properties"]["status"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        **schema["properties"],
    }
    return schema


def _schema(type_: inspect.Type) -> Schema:
    match type_:
        case inspect.Metadata():
            described = (type_.extra_json_schema or {}).get("description")
            schema = _schema(type_.type)
            unique = (type_.extra or {}).get("unique")
            if unique is not None:
                schema |= _unique(type_.type, unique)
            return {"description": _sentence(described), **schema} if described else schema
        case inspect.UnionType():
            return _union(type_)
        case inspect.StructType():
            return _struct(type_)
        case inspect.VarTupleType():
            bounds = {"minItems": type_.min_length, "maxItems": type_.max_length}
            return {"type": "array", "items": _schema(type_.item_type), "x-kubernetes-list-type": "atomic"} | _set(
                bounds
            )
        case inspect.DictType():
            bounds = {"minProperties": type_.min_length, "maxProperties": type_.max_length}
            return {"type": "object", **_values(type_.value_type)} | _set(bounds)
        case _:
            return _scalar(type_)


def _scalar(type_: inspect.Type) -> Schema:
    match type_:
        case inspect.StrType():
            pattern = type_.pattern.replace(r"\Z", "$") if type_.pattern is not None else None
            bounds = {"minLength": type_.min_length, "maxLength": type_.max_length, "pattern": pattern}
            return {"type": "string"} | _set(bounds)
        case inspect.IntType():
            small = type_.ge is not None and type_.le is not None and type_.le <= _INT32_MAX
            bounds = {"format": "int32" if small else "int64", "minimum": type_.ge, "maximum": type_.le}
            return {"type": "integer"} | _set(bounds)
        case inspect.FloatType():
            return {"type": "number"} | _set({"minimum": type_.ge, "maximum": type_.le})
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.LiteralType():
            return {"type": "string", "enum": list(type_.values)}
        case _:
            raise TypeError(f"{type_} has no place in a definition")


def _union(type_: inspect.UnionType) -> Schema:
    """Null is the same as absent; what remains is one type, or a number or string as Kubernetes has them."""
    members = [member for member in type_.types if not isinstance(member, inspect.NoneType)]
    if len(members) == 1:
        return _schema(members[0])
    kinds = {type(member.type if isinstance(member, inspect.Metadata) else member) for member in members}
    if {inspect.IntType, inspect.StrType} <= kinds <= {inspect.IntType, inspect.StrType, inspect.FloatType}:
        return {"x-kubernetes-int-or-string": True}
    raise TypeError(f"a definition cannot say {type_}")


def _struct(type_: inspect.StructType, without: tuple[str, ...] = ()) -> Schema:
    documents = _documents(type_.cls)
    properties: dict[str, Schema] = {}
    fields = [field for field in type_.fields if field.name not in without]
    for field in fields:
        schema = _schema(field.type)
        said = documents.get(field.name)
        properties[field.encode_name] = {**schema, "description": _sentence(said)} if said else schema
    required = [field.encode_name for field in fields if field.required]
    described = {"description": _sentence(type_.cls.__doc__)} if type_.cls.__doc__ else {}
    return {**described, "type": "object", "properties": properties} | ({"required": required} if required else {})


def _values(type_: inspect.Type) -> Schema:
    """Of a mapping from any key. Where anything may stand, the server must not drop what it does not know."""
    if isinstance(type_, inspect.AnyType):
        return {"x-kubernetes-preserve-unknown-fields": True}
    return {"additionalProperties": _schema(type_)}


def _unique(type_: inspect.Type, name: str) -> Schema:
    """A list without duplicates: of values, or of objects that differ in the field ``name``."""
    if not name:
        return {"x-kubernetes-list-type": "set"}
    item = type_.item_type if isinstance(type_, inspect.VarTupleType) else None
    if not isinstance(item, inspect.StructType):
        raise TypeError(f"{type_} is not a list of objects")
    key = next(field.encode_name for field in item.fields if field.name == name)
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


@functools.cache
def _documents(cls: type[Struct]) -> dict[str, str]:
    """What the source says right below each field."""
    (declared,) = ast.parse(textwrap.dedent(python_inspect.getsource(cls))).body
    body = declared.body if isinstance(declared, ast.ClassDef) else []
    found: dict[str, str] = {}
    for field, below in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            value = below.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[field.target.id] = value.value
    return found


def _sentence(text: str | None) -> str:
    """A docstring as one line, with the API's names of the fields that it quotes."""
    named = re.sub(r"``([a-z_]+)``", lambda found: _camel(found[1]), text or "")
    return " ".join(named.replace("``", "").split())


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def _set(values: Mapping[str, object]) -> Schema:
    return {name: value for name, value in values.items() if value is not None}
