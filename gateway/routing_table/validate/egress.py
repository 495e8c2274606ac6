"""Rules on ways out and on egress policies: what could not be compared as it was meant is refused.

A policy that is refused denies (see :class:`~gateway.routing_table.model.EgressPolicy`).
"""

from __future__ import annotations

import re
from typing import Final

from gateway.routing_table.model import (
    Egress,
    EgressCredential,
    EgressDestination,
    EgressPolicy,
    EgressRule,
    EgressSource,
    Listener,
    RoutedEgress,
)
from gateway.routing_table.validate.authorization import address_block, service_account, texts
from gateway.routing_table.validate.names import (
    Problems,
    at,
    bounded,
    duration,
    each,
    hostname,
    is_ip_address,
    path,
    port,
    text_bounded,
    token,
    within,
)

_MAX_REFERENCES: Final = 16_384
_MAX_NAMESERVERS: Final = 3
_OVER_TLS: Final = "tls://"
_MAX_RULES: Final = 1024
_MAX_ITEMS: Final = 1024
_MAX_VALUES: Final = 65_536
_MAX_TEXT_BYTES: Final = 1024
_MAX_BYTES: Final = 2**53
_DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")


def egress_listener(egress: Egress, listener: Listener) -> Problems:
    """A way out fits the protocol that its clients speak."""
    fits = {"Proxy": ("HTTP", "HTTPS"), "HTTP": ("HTTP",), "TLS": ("TLS",)}[egress.way]
    if listener.protocol not in fits or (egress.way == "TLS" and listener.tls_mode != "Passthrough"):
        yield (
            f"way: {egress.way} does not go with protocol {listener.protocol}; Proxy is for HTTP and HTTPS, HTTP for"
            " HTTP, TLS for TLS that passes through"
        )
    if listener.hostname and egress.way != "Proxy":
        yield "way: names of redirected traffic are for the policies to judge; leave the listener's hostname empty"
    if listener.captured is not None:
        yield "way: a listener of captured connections is no way out; leave captured out"
    yield from _deciding(egress)


def routed_egress(egress: RoutedEgress, listener: Listener) -> Problems:
    """Routes are looked at where their requests and connections are, and never of a way out."""
    if listener.protocol == "HBONE" or listener.egress is not None:
        yield "HBONE and ways out have no routes that it could speak of; leave it out"
    yield from _deciding(egress)


def _deciding(egress: Egress | RoutedEgress) -> Problems:
    yield from at("policies", bounded(len(egress.policies), _MAX_REFERENCES, "policies"))
    yield from at("nameservers", bounded(len(egress.nameservers), _MAX_NAMESERVERS, "servers"))
    yield from each("nameservers", egress.nameservers, _nameserver)
    secured = [text.startswith(_OVER_TLS) for text in egress.nameservers]
    if any(secured) and not all(secured):
        text = "a server that is asked in the clear beside one with TLS would be the way around it; write one kind"
        yield from at("nameservers", [text])


def _nameserver(text: str) -> Problems:
    place, hashmark, name = text.removeprefix(_OVER_TLS).partition("#")
    is_named = not hashmark or (text.startswith(_OVER_TLS) and not any(hostname(name)))
    address, _, number = place.rpartition(":")
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    bracketed = bare != address
    is_port = number.isascii() and number.isdecimal() and str(int(number)) == number and 1 <= int(number) <= 65_535
    if not is_ip_address(bare) or bracketed != (":" in bare) or not is_port or not is_named:
        yield f"{text!r} is no server; write one such as '10.0.0.53:53' or 'tls://10.0.0.53:853#dns.example.com'"


def egress_policy(policy: EgressPolicy) -> Problems:
    """The rules of a policy."""
    yield from at("confined_to", text_bounded(policy.confined_to, _MAX_TEXT_BYTES))
    yield from at("contact", text_bounded(policy.contact, _MAX_TEXT_BYTES))
    yield from at("rules", bounded(len(policy.rules), _MAX_RULES, "rules"))
    yield from each("rules", policy.rules, _rule)
    names = [rule.name for rule in policy.rules]
    if len(set(names)) != len(names):
        yield "rules: two rules have the same name; give each its own"


def _rule(rule: EgressRule) -> Problems:
    if not rule.name:
        yield "name: the name is empty; every rule needs one"
    yield from at("name", text_bounded(rule.name, _MAX_TEXT_BYTES))
    yield from at("sources", bounded(len(rule.sources), _MAX_ITEMS, "sources"))
    yield from each("sources", rule.sources, _source)
    if not rule.destinations:
        yield "destinations: the list is empty; name one destination at least"
    yield from at("destinations", bounded(len(rule.destinations), _MAX_ITEMS, "destinations"))
    yield from each("destinations", rule.destinations, _destination)
    yield from at("address_blocks", texts(rule.address_blocks))
    yield from each("address_blocks", rule.address_blocks, address_block)
    yield from at("limits.connections", within(rule.limits.connections, 0, 2**32 - 1))
    yield from at("limits.bytes", within(rule.limits.bytes, 0, _MAX_BYTES))
    yield from at("limits.duration_ms", duration(rule.limits.duration_ms))


def _source(source: EgressSource) -> Problems:
    if source == EgressSource():
        yield "it names nothing, so it would match everybody; name one field at least"
    for field in ("principals", "namespaces", "service_accounts", "subject_alt_names", "ip_blocks"):
        values: tuple[str, ...] = getattr(source, field)
        yield from at(field, texts(values))
        if field == "service_accounts":
            yield from each(field, values, service_account)
        elif field == "ip_blocks":
            yield from each(field, values, address_block)
        else:
            yield from each(field, values, _no_wildcard)
    yield from at("credentials", bounded(len(source.credentials), _MAX_ITEMS, "credentials"))
    yield from each("credentials", source.credentials, _credential)


def _no_wildcard(text: str) -> Problems:
    if "*" in text:
        yield f"{text!r} holds a wildcard, and who asks is compared as it is; write each one out"


def _credential(credential: EgressCredential) -> Problems:
    user = credential.user
    if not user or not user.isascii() or ":" in user or not user.isprintable():
        yield "user: a user is printable ASCII without ':'; choose another"
    yield from at("user", text_bounded(user, _MAX_TEXT_BYTES))
    if not _DIGEST.match(credential.sha256):
        yield "sha256: it is no digest; write 64 hexadecimal digits in lower case"


def _destination(destination: EgressDestination) -> Problems:
    if not destination.names and not destination.ip_blocks:
        yield "it names neither names nor ip_blocks, so nothing would match; name one"
    yield from at("names", bounded(len(destination.names), _MAX_VALUES, "values"))
    yield from each("names", destination.names, name_pattern)
    yield from at("ip_blocks", texts(destination.ip_blocks))
    yield from each("ip_blocks", destination.ip_blocks, address_block)
    yield from at("ports", bounded(len(destination.ports), _MAX_ITEMS, "values"))
    yield from each("ports", destination.ports, port)
    yield from at("methods", bounded(len(destination.methods), _MAX_ITEMS, "values"))
    yield from each("methods", destination.methods, token)
    yield from at("path_prefixes", bounded(len(destination.path_prefixes), _MAX_ITEMS, "values"))
    yield from each("path_prefixes", destination.path_prefixes, path)


def name_pattern(text: str) -> Problems:
    """A name, ``*.name``, ``**.name``, or ``*``."""
    if text == "*":
        return
    name = text.removeprefix("**.") if text.startswith("**.") else text.removeprefix("*.")
    yield from hostname(name)
    last = name.rpartition(".")[2]
    if last.isdecimal() or re.fullmatch(r"0x[0-9a-f]*", last):
        yield f"{text!r} reads as an address; write addresses in ip_blocks"
