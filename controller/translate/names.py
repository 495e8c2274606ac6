"""Keys of the routing table's resources, and how to get from one back to an API object.

Owns the naming that ``gateway/routing_table/model.py`` prescribes: one rule is one route, one
Service port is one backend, each listener address is one listener.

A *variant* sets apart what one Gateway of a merged table needs differently from the others: the
copies of routes and backends that present its client certificate. It is the Gateway's name, or
empty.
"""

from __future__ import annotations

from controller.store import Key

_VARIANT = "@"


def object_name(key: Key) -> str:
    """``namespace/name``."""
    return f"{key.namespace}/{key.name}"


def listener_key(gateway: Key, listener: str, address: str = "") -> str:
    """``address`` is given for the second and further addresses of a listener."""
    suffix = _VARIANT + address if address else ""
    return f"{gateway.namespace}/{gateway.name}/{listener}{suffix}"


def route_key(route: Key, rule: int, variant: str) -> str:
    """One rule of a route."""
    suffix = _VARIANT + variant if variant else ""
    return f"{route.kind}/{route.namespace}/{route.name}/{rule}{suffix}"


def backend_key(backend: Key, port: int, variant: str) -> str:
    """One port of a Service or XBackend."""
    suffix = _VARIANT + variant if variant else ""
    return f"{backend.kind}/{backend.namespace}/{backend.name}/{port}{suffix}"


def secret_key(source: Key) -> str:
    """A certificate or trust bundle, by the object that holds it."""
    return f"{source.kind}/{source.namespace}/{source.name}"


def route_of(key: str) -> tuple[Key, int]:
    """The route object and rule that a route of the table stands for."""
    kind, namespace, name, rule = key.split("/")[:4]
    return Key(kind, namespace, name), int(rule.partition(_VARIANT)[0])


def listener_of(key: str) -> tuple[Key, str]:
    """The Gateway and listener that a listener of the table stands for."""
    namespace, gateway, listener = key.split("/")[:3]
    return Key("Gateway", namespace, gateway), listener.partition(_VARIANT)[0]


def gateway_of(key: str) -> Key:
    """The Gateway that a gateway of the table stands for."""
    namespace, _, name = key.partition("/")
    return Key("Gateway", namespace, name)
