"""Discovery: how a gateway of a cluster gets its certificate and its table, and answers for it.

The contract between ``gateway/agent/discovery.py`` and ``controller/publish/discovery.py``. HTTP/2 over TLS;
the server proves itself by a certificate of the controller's authority, on every connection.

``POST /v1/certificate``
    The body is a certificate request, PEM; the answer is the chain, PEM, leaf first. The identity is that of the
    proof, and nothing that the request says about names counts. Proof is ``Authorization: Bearer`` a service-account
    token of audience :data:`AUDIENCE`, or a join token, which is good once; or without it the client certificate of
    the connection, which is renewed so.

``GET /v1/bundle``
    The trust bundle, PEM. Needs no proof.

``POST /v1/stream``
    Needs the certificate, as everything below. The body is a :class:`Hello`. The answer never ends by itself: lines
    of JSON, first a :class:`Welcome`, then as they come updates (``wire``: Snapshot and Delta, one a line), a
    :class:`Trust` whenever the trust bundle has changed, and a :class:`Heartbeat` whenever nothing else was said for a
    while. Which table it is follows from the certificate. A new update is sent only after the last one was answered,
    so nothing queues up: what changed meanwhile is one delta.

``POST /v1/stream/{id}/answer``
    The body is ``Applied``: what this gateway holds *now*, whole: the version, everything that stays refused,
    every listener; ``error`` if the last update was refused as a whole. It answers an update and may be said
    again at any time. An empty body means "as before", and answers a heartbeat: who hears neither for long
    enough gives the connection up, on both sides. Every answer says in :data:`BUNDLE_HEADER` which trust bundle is in
    force there, and in :data:`ROOT_KEY_HEADER` what root its certificate leads to.

``POST /v1/answers``
    From the other replicas of the controller: the :class:`Relayed` answers of their gateways.

A version is the digest of a whole table (:func:`version_of`): equal content has the same version in every
replica and after every restart, so a gateway goes on from what it holds, wherever it connects.

Refusals are JSON ``{"error": …}``: 400 not understood, 401 no or a bad proof of identity, 403 an identity that has
no table here, 404 the stream is gone, 413 too long, 503 later. All of them may be tried again after a pause.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from gateway.routing_table import wire
from gateway.routing_table.model import FORMAT, Applied, Resource, Resources

AUDIENCE: Final = "sekisho-controller"
CERTIFICATE_PATH: Final = "/v1/certificate"
BUNDLE_PATH: Final = "/v1/bundle"
STREAM_PATH: Final = "/v1/stream"
ANSWERS_PATH: Final = "/v1/answers"

BUNDLE_HEADER: Final = "sekisho-bundle"
"""The digest (:func:`trust_digest`) of the bundle that the controller is verified by."""
ROOT_KEY_HEADER: Final = "sekisho-root-key"
"""The key identifier, hexadecimal, of the root that the client certificate leads to."""

HEARTBEAT_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 30.0
"""Without a word for so long, the other side is taken for gone."""

MAX_REQUEST_BYTES: Final = 16 * 1024
"""Of a certificate request and of a :class:`Hello` without its answer."""
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
MAX_RELAYED_BYTES: Final = 64 * 1024 * 1024
MAX_UPDATE_BYTES: Final = 1024 * 1024 * 1024

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----\s([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_MODULUS: Final = 1 << 512


class Hello(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a gateway says of itself when it subscribes; who it is, its certificate says."""

    gateway: str
    """The name of the process: its pod's."""
    workload: str = ""
    """Of a sidecar: the Pod or WorkloadEntry that it stands before, ``namespace/name``. The certificate must be that of
    its service account."""
    format: int = FORMAT
    holds: Applied | None = None
    """What it holds of an earlier stream; None asks for a snapshot."""


class Trust(msgspec.Struct, frozen=True, tag="trust"):
    """What the controller, and everybody whom its authority certifies, is to be verified by from now on."""

    bundle: str
    """Certificates, PEM."""
    root_key: str = ""
    """The key identifier of the root that certificates lead to that are signed now: others are renewed soon."""


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag="welcome"):
    """The first line of a stream."""

    stream: str
    """Part of the address of the answers."""
    controller: str
    """The name of the replica."""
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    silence_seconds: float = SILENCE_SECONDS
    trust: Trust | None = None
    """As it is now."""


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat"):
    """Nothing new, and the connection is alive."""


class GatewayAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One gateway and what it holds."""

    gateway: str
    table: str
    holds: Applied
    refused: str = ""
    """The version that it refused as a whole, where ``holds`` says why."""
    bundle: str = ""
    root_key: str = ""
    """What its answers say of its trust and of its certificate."""
    identity: str = ""
    certificate_ends: float = 0.0
    """Of the certificate that it showed: who it is, and until when, in seconds since the epoch."""


class Relayed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All gateways of one replica of the controller; replaces what it said before."""

    replica: str
    bundle: str = ""
    """The digest of the trust bundle in force there."""
    answers: tuple[GatewayAnswer, ...] = ()


class Digest:
    """The version of a table, kept current at the cost of what changes.

    Each resource is a large number, and a table is their sum: order does not matter, and taking one out
    is a subtraction.
    """

    __slots__ = ("_sum",)

    def __init__(self) -> None:
        self._sum = 0

    def add(self, number: int) -> None:
        """One more resource."""
        self._sum = (self._sum + number) % _MODULUS

    def remove(self, number: int) -> None:
        """One resource fewer."""
        self._sum = (self._sum - number) % _MODULUS

    @property
    def version(self) -> str:
        """Short enough to be read, long enough to never meet another."""
        return hashlib.sha256(self._sum.to_bytes(64, "big")).hexdigest()[:20]


def number_of(kind: str, resource: Resource) -> int:
    """A resource's part in the digest."""
    content = kind.encode() + b"\0" + msgspec.json.encode(resource, order="sorted")
    return int.from_bytes(hashlib.sha512(content).digest(), "big")


def trust_digest(bundle_pem: str) -> str:
    """What a trust bundle is called: the same whatever the order of its certificates, and the text around them."""
    found = {
        hashlib.sha256(base64.b64decode("".join(body.split()))).digest() for body in _CERTIFICATE.findall(bundle_pem)
    }
    return hashlib.sha256(b"".join(sorted(found))).hexdigest()[:20]


def version_of(table: Resources) -> str:
    """The version of a whole table."""
    digest = Digest()
    for kind in wire.KINDS:
        resources: Iterable[Resource] = getattr(table, kind)
        for resource in resources:
            digest.add(number_of(kind, resource))
    return digest.version
