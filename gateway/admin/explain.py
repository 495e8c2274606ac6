"""Explain over HTTP: a person's question in, the engine's answer with file and line out.

The decision is the engine's, made by the code that routes traffic. Here the question is only
checked and the answer only annotated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from gateway.routing_table.validate import is_ip_address

MAX_QUESTION_BYTES: Final = 64 * 1024
_HTTP: Final = frozenset({"http", "https"})
_CARRIED: Final = frozenset({"tcp", "tls", "udp"})
"""Schemes of what is carried and not read; none has a port of its own."""


_IDENTITY: Final = re.compile(r"spiffe://[a-z0-9._-]+(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)+\Z")


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request that may never have been sent."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    from_: str = msgspec.field(default="", name="from")
    """Identity of the client, a SPIFFE id; empty for none."""
    source: str = ""
    """Address of the client; empty for this machine."""


class QuestionError(ValueError):
    """The question cannot be understood; the text says what is expected."""


_decoder = msgspec.json.Decoder(Question)


def question_from_json(body: bytes) -> Question:
    """From the body of a POST."""
    try:
        return checked(_decoder.decode(body))
    except msgspec.DecodeError as error:
        raise QuestionError(
            f'{error}; expected {{"method": "GET", "url": "http://host/path", "headers": [["name", "value"]]}}'
        ) from error


def question_from_query(query: Iterable[tuple[str, str]]) -> Question:
    """From a query string: ``?method=GET&url=http://host/path&header=name: value``."""
    values: dict[str, str] = {}
    headers: list[tuple[str, str]] = []
    for name, value in query:
        if name == "header":
            headers.append(header_from_text(value))
        elif name in {"method", "url", "from", "source"}:
            values[name] = value
        else:
            raise QuestionError(f"parameter {name!r} is not known; use method, url, header, from and source")
    if "url" not in values:
        raise QuestionError("parameter url is missing; for example ?url=http://shop.example.com/cart")
    return checked(
        Question(
            url=values["url"],
            method=values.get("method", "GET"),
            headers=tuple(headers),
            from_=values.get("from", ""),
            source=values.get("source", ""),
        )
    )


def header_from_text(text: str) -> tuple[str, str]:
    """``name: value``, as curl writes it."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise QuestionError(f"header {text!r} is not of the form 'name: value'")
    return name.strip(), value.strip()


def checked(question: Question) -> Question:
    """The question, if the engine can answer it. What CONNECT asks for is no URL but a host and a port."""
    if question.method != "CONNECT":
        _check_url(question)
    if not question.method or not question.method.isascii() or not question.method.isalpha():
        raise QuestionError(f"method {question.method!r} is not an HTTP method")
    if question.from_ and not _IDENTITY.match(question.from_):
        raise QuestionError(
            f"from {question.from_!r} is not a SPIFFE id such as spiffe://cluster.local/ns/shop/sa/cart"
        )
    if question.source and not is_ip_address(question.source):
        raise QuestionError(f"source {question.source!r} is not an IP address")
    return question


def _check_url(question: Question) -> None:
    try:
        parts = urlsplit(question.url)
        port = parts.port
    except ValueError as error:
        raise QuestionError(f"URL {question.url!r}: {error}") from error
    if parts.scheme in _CARRIED and (port is None or parts.path.strip("/") or parts.query):
        raise QuestionError(f"URL {question.url!r} is not of the form {parts.scheme}://host:port")
    if parts.scheme not in _HTTP | _CARRIED or not parts.hostname or port == 0:
        raise QuestionError(
            f"URL {question.url!r} is not of the form http://host/path, https://host:port/path or tcp://host:port"
            " (also tls and udp)"
        )


def encode_question(question: Question) -> bytes:
    """For the engine."""
    return msgspec.json.encode(question)


def object_of_route(route_key: str) -> str:
    """The object that a route comes from: ``HTTPRoute/ns/name`` of ``HTTPRoute/ns/name/0``."""
    return "/".join(route_key.split("/")[:3])


def with_sources(answer: bytes, sources: Mapping[str, str]) -> dict[str, Any]:
    """The engine's answer, with ``source`` (file and line) beside each route that has one."""
    explanation: dict[str, Any] = msgspec.json.decode(answer)
    if explanation.get("route"):
        explanation["source"] = sources.get(object_of_route(explanation["route"]), "")
    for candidates in (explanation.get("candidates") or (), explanation.get("nearest") or ()):
        for candidate in candidates:
            candidate["source"] = sources.get(object_of_route(candidate["route"]), "")
    for tried in (explanation.get("authorization") or {}).get("policies") or ():
        tried["source"] = sources.get(f"AuthorizationPolicy/{tried['policy']}", "")
    outside = [explanation.get("egress"), *(place["egress"] for place in explanation.get("destinations") or ())]
    for tried in (rule for answer in outside if answer for rule in answer["tried"]):
        tried["source"] = sources.get(f"EgressPolicy/{tried['policy']}", "")
    authentication = explanation.get("authentication") or {}
    if authentication.get("rule"):
        policy = "/".join(authentication["rule"].split("/")[:2])
        authentication["source"] = sources.get(f"RequestAuthentication/{policy}", "")
    return explanation
