"""Rules on authorization policies: a value that could never be compared as it was meant is refused.

What cannot be enforced must not look as if it were, so an unknown condition or a text that is no address is a refusal,
which denies (see :class:`~gateway.routing_table.model.AuthorizationPolicy`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Final

from gateway.routing_table.model import (
    AuthorizationCondition,
    AuthorizationOperation,
    AuthorizationPolicy,
    AuthorizationRule,
    AuthorizationSource,
)
from gateway.routing_table.validate.external import external_authorization
from gateway.routing_table.validate.names import Problems, at, bounded, each, header_name, port, text_bounded

_MAX_RULES: Final = 1024
_MAX_ITEMS: Final = 1024
_MAX_VALUES: Final = 16_384
_MAX_VALUE_BYTES: Final = 1024
_TEXTS: Final = frozenset(
    {
        "source.namespace",
        "source.principal",
        "request.auth.principal",
        "request.auth.audiences",
        "request.auth.presenter",
        "connection.sni",
    }
)
_ADDRESSES: Final = frozenset({"source.ip", "remote.ip", "destination.ip"})
_HEADER: Final = re.compile(r"request\.headers\[([^\[\]]+)\]\Z")
_CLAIM: Final = re.compile(r"request\.auth\.claims(?:\[[^\[\]]+\])+\Z")
_OPERATOR: Final = re.compile(r"\{\*\*?\}")


def authorization_policy(policy: AuthorizationPolicy) -> Problems:
    """The rules of a policy; one that was refused already is not looked at."""
    yield from at("rules", bounded(len(policy.rules), _MAX_RULES, "rules"))
    yield from each("rules", policy.rules, _rule)
    if policy.provider is not None:
        if policy.action != "CUSTOM":
            yield "provider: only a CUSTOM policy asks anybody; leave it out"
        yield from at("provider", external_authorization(policy.provider))


def _rule(rule: AuthorizationRule) -> Problems:
    yield from at("sources", bounded(len(rule.sources), _MAX_ITEMS, "sources"))
    yield from at("operations", bounded(len(rule.operations), _MAX_ITEMS, "operations"))
    yield from at("conditions", bounded(len(rule.conditions), _MAX_ITEMS, "conditions"))
    yield from each("sources", rule.sources, _source)
    yield from each("operations", rule.operations, _operation)
    yield from each("conditions", rule.conditions, _condition)


def _source(source: AuthorizationSource) -> Problems:
    if source == AuthorizationSource():
        yield "it names nothing, so it would match every caller; name one field at least"
    for field in AuthorizationSource.__struct_fields__:
        values: tuple[str, ...] = getattr(source, field)
        yield from at(field, texts(values))
        if field.endswith("ip_blocks"):
            yield from each(field, values, address_block)
        if field.endswith("service_accounts"):
            yield from each(field, values, service_account)


def _operation(operation: AuthorizationOperation) -> Problems:
    if operation == AuthorizationOperation():
        yield "it names nothing, so it would match every request; name one field at least"
    for field in AuthorizationOperation.__struct_fields__:
        if field in ("ports", "not_ports"):
            ports: tuple[int, ...] = getattr(operation, field)
            yield from at(field, bounded(len(ports), _MAX_VALUES, "values"))
            yield from each(field, ports, port)
            continue
        values: tuple[str, ...] = getattr(operation, field)
        yield from at(field, texts(values))
        if field in ("paths", "not_paths"):
            yield from each(field, values, path_pattern)


def _condition(condition: AuthorizationCondition) -> Problems:
    yield from at("key", condition_key(condition.key))
    if not condition.values and not condition.not_values:
        yield "it has neither values nor not_values; name one value at least"
    for field, values in (("values", condition.values), ("not_values", condition.not_values)):
        yield from at(field, texts(values))
        if condition.key in _ADDRESSES:
            yield from each(field, values, address_block)
        elif condition.key == "destination.port":
            yield from each(field, values, port_text)
        elif condition.key == "source.serviceAccount":
            yield from each(field, values, service_account)


def condition_key(name: str) -> Problems:
    """An attribute that can be compared."""
    header = _HEADER.match(name)
    if header:
        yield from header_name(header[1].lower())
    elif name not in _TEXTS | _ADDRESSES | {"destination.port", "source.serviceAccount"} and not _CLAIM.match(name):
        yield f"{name!r} is no condition that can be decided; use one of Istio's, such as 'source.namespace'"


def texts(values: Iterable[str]) -> Problems:
    """Values that are compared as texts."""
    found = tuple(values)
    yield from bounded(len(found), _MAX_VALUES, "values")
    for index, value in enumerate(found):
        if not value:
            yield f"[{index}]: the value is empty; remove it, or write '*' for any value"
        yield from at(f"[{index}]", text_bounded(value, _MAX_VALUE_BYTES))


def address_block(text: str) -> Problems:
    """An address, or a block of addresses."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        yield _no_block(text)
        return
    _, slash, length = text.partition("/")
    # Netmasks, zones and leading zeros have no meaning that both sides share.
    if "%" in text or (slash and (not length.isascii() or not length.isdecimal() or str(int(length)) != length)):
        yield _no_block(text)


def _no_block(text: str) -> str:
    return f"{text!r} is neither an address nor a block; write one such as '10.0.0.0/8'"


def port_text(text: str) -> Problems:
    """A port, as conditions write it."""
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 65_535 or str(int(text)) != text:
        yield f"{text!r} is no port; write a number from 1 to 65535"


def service_account(text: str) -> Problems:
    """``namespace/name``, without wildcards."""
    namespace, slash, name = text.partition("/")
    if not namespace or not slash or not name or "/" in name or "*" in text:
        yield f"{text!r} is no service account; write 'namespace/name', without wildcards"


def path_pattern(text: str) -> Problems:
    """A text pattern, or a template whose operators are whole segments, ``{**}`` the last of them."""
    operators = _OPERATOR.findall(text)
    if not operators:
        return
    segments = text.split("/")
    whole = all(part in ("{*}", "{**}") or not set(part) & set("{}*") for part in segments)
    if not text.startswith("/") or not whole or "{**}" in operators[:-1]:
        yield (
            f"{text!r} is no path template; operators are whole segments, '{{**}}' is the last one, and '*' stands"
            " nowhere else"
        )
