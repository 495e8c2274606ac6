"""Keys of the routing table's resources, and how to get from one back to an API object.

Owns the naming that ``gateway/routing_table/model/`` prescribes: one rule is one route, one
Service port is one backend, each listener address is one listener.

A *variant* sets apart what one Gateway of a merged table needs differently from the others: the
copies of routes and backends that present its client certificate. It is the Gateway's name, or
empty.
"""

from __future__ import annotations

from controller.store import Key

_VARIANT = "@"
_INGRESS = "Ingress"
_WAYPOINT = "Waypoint"
_GATEWAY_NAMES = 2
_MADE_NAMES = 3


def object_name(key: Key) -> str:
    """``namespace/name``."""
    return f"{key.namespace}/{key.name}"


def listener_key(gateway: Key, owner: Key, listener: str, address: str = "") -> str:
    """``owner`` is the Gateway or a ListenerSet of it; ``address`` is for a listener's second and further addresses."""
    suffix = _VARIANT + address if address else ""
    owned = "" if owner == gateway else f"{object_name(owner)}/"
    return f"{object_name(gateway)}/{owned}{listener}{suffix}"


def ingress_listener_key(gateway: Key, host: str, address: str = "") -> str:
    """What Ingresses have a Gateway listen for; ``host`` empty: every host, ``address`` as for other listeners."""
    suffix = _VARIANT + address if address else ""
    return f"{object_name(gateway)}/{_INGRESS}/{host or '*'}{suffix}"


def waypoint_listener_key(gateway: Key, service: Key, port: int) -> str:
    """What a waypoint has behind its tunnels for a port of a Service."""
    return f"{object_name(gateway)}/{_WAYPOINT}/{service.namespace}.{service.name}:{port}"


def route_key(route: Key, rule: int, variant: str) -> str:
    """One rule of a route."""
    suffix = _VARIANT + variant if variant else ""
    return f"{route.kind}/{route.namespace}/{route.name}/{rule}{suffix}"


def backend_key(backend: Key, port: int, variant: str, transport: str = "") -> str:
    """One port of a Service or XBackend; ``transport`` is for what carries connections rather than requests."""
    suffix = "".join(_VARIANT + part for part in (transport.lower(), variant) if part)
    return f"{backend.kind}/{backend.namespace}/{backend.name}/{port}{suffix}"


def secret_key(source: Key) -> str:
    """A certificate or trust bundle, by the object that holds it."""
    return f"{source.kind}/{source.namespace}/{source.name}"


def route_of(key: str) -> tuple[Key, int]:
    """The route object and rule that a route of the table stands for."""
    kind, namespace, name, rule = key.split("/")[:4]
    return Key(kind, namespace, name), int(rule.partition(_VARIANT)[0])


def listener_of(key: str) -> tuple[Key, str]:
    """The Gateway or ListenerSet, and its listener, that a listener of the table stands for."""
    *names, listener = key.partition(_VARIANT)[0].split("/")
    if len(names) == _MADE_NAMES:
        return Key("Gateway", names[0], names[1]), f"{names[2]}/{listener}"
    kind = "Gateway" if len(names) == _GATEWAY_NAMES else "ListenerSet"
    return Key(kind, names[-2], names[-1]), listener


def gateway_of(key: str) -> Key:
    """The Gateway that a gateway of the table stands for."""
    namespace, _, name = key.partition("/")
    return Key("Gateway", namespace, name)
