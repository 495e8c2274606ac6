"""Certificates and trust bundles: Secrets and ConfigMaps checked before a data plane sees them.

Owns the two stages that turn an object into PEM the gateway can load, or into the sentence that
says why not. Must not decide whether a reference is allowed. A certificate's validity in time is
not judged: translation has no clock.
"""

from __future__ import annotations

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from controller.resources import ConfigMap, KeptSecret, Secret
from controller.store import Key
from controller.translate.graph import Reads, Stage
from controller.translate.names import secret_key
from controller.translate.stages import Rank
from gateway.routing_table import model

_KEPT = "keeps being served until nothing refers to it or the controller starts anew"


class Material(msgspec.Struct, frozen=True):
    """What an object holds, or why nothing. Both: what it held before is kept, and ``problem`` says why."""

    certificate: model.Certificate | None = None
    trust_bundle: model.TrustBundle | None = None
    problem: str = ""


def _certificate(key: Key, reads: Reads) -> Material:
    secret = reads.get(Secret, key.namespace, key.name)
    if secret is None:
        return Material(problem=f"{key} does not exist")
    problem = certificate_problem(secret)
    if problem:
        return Material(problem=f"{key} {problem}")
    chain, private_key = secret.data["tls.crt"].decode("ascii"), secret.data["tls.key"].decode("ascii")
    kept = f"{key} {secret.problem}; the certificate it held before {_KEPT}" if isinstance(secret, KeptSecret) else ""
    certificate = model.Certificate(key=secret_key(key), chain=chain, private_key=private_key)
    return Material(certificate=certificate, problem=kept)


def certificate_problem(secret: Secret) -> str:
    """Why a Secret holds no certificate and key, as the rest of a sentence about it; empty if it does."""
    missing = [name for name in ("tls.crt", "tls.key") if not secret.data.get(name)]
    if missing:
        return f"has no {' and no '.join(missing)}"
    return _pair_problem(secret.data["tls.crt"], secret.data["tls.key"])


def _pair_problem(chain: bytes, private_key: bytes) -> str:
    if not (chain.isascii() and private_key.isascii()):
        return "is not PEM: it holds bytes that are not text"
    try:
        certificates = x509.load_pem_x509_certificates(chain)
        public_key = _public_bytes(certificates[0].public_key())
    except (ValueError, UnsupportedAlgorithm):
        return "has a tls.crt that is not a PEM certificate"
    try:
        key = serialization.load_pem_private_key(private_key, password=None)
        matches = _public_bytes(key.public_key()) == public_key
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "has a tls.key that is not an unencrypted PEM private key"
    return "" if matches else "has a tls.key that does not belong to the certificate in tls.crt"


def _public_bytes(key: object) -> bytes:
    encode = getattr(key, "public_bytes", None)
    if encode is None:
        raise ValueError("this kind of key is not supported")
    encoded: bytes = encode(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded


def _trust_bundle(key: Key, reads: Reads) -> Material:
    text: str | bytes | None
    if key.kind == "Secret":
        secret = reads.get(Secret, key.namespace, key.name)
        if isinstance(secret, KeptSecret):
            secret = secret.instead
        if secret is None:
            return Material(problem=f"{key} does not exist")
        text = secret.data.get("ca.crt")
    else:
        config_map = reads.get(ConfigMap, key.namespace, key.name)
        if config_map is None:
            return Material(problem=f"{key} does not exist")
        text = config_map.data.get("ca.crt") or config_map.binary_data.get("ca.crt")
    if not text:
        return Material(problem=f"{key} has no ca.crt")
    encoded = text.encode() if isinstance(text, str) else text
    try:
        x509.load_pem_x509_certificates(encoded)
    except ValueError:
        return Material(problem=f"{key} has a ca.crt that is not a PEM certificate")
    return Material(
        trust_bundle=model.TrustBundle(key=secret_key(key), certificates=encoded.decode("utf-8", "replace"))
    )


CERTIFICATE: Stage[Key, Material] = Stage(Rank.CERTIFICATE, _certificate)
"""By Secret."""
TRUST_BUNDLE: Stage[Key, Material] = Stage(Rank.TRUST_BUNDLE, _trust_bundle)
"""By Secret or ConfigMap."""
