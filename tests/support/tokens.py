"""Issuers of tokens (JWT), made for a test: keys, key sets, tokens good and bad. Written with cryptography alone."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_CURVES: dict[str, tuple[type[ec.EllipticCurve], str]] = {
    "ES256": (ec.SECP256R1, "P-256"),
    "ES384": (ec.SECP384R1, "P-384"),
}
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int, size: int | None = None) -> str:
    return base64url(value.to_bytes(size or (value.bit_length() + 7) // 8))


@dataclass(frozen=True)
class SigningKey:
    """A key with a name, for one algorithm."""

    algorithm: str
    private: PrivateKey
    kid: str | None = "one"

    @classmethod
    def make(cls, algorithm: str = "ES256", kid: str | None = "one") -> SigningKey:
        if algorithm in _CURVES:
            return cls(algorithm, ec.generate_private_key(_CURVES[algorithm][0]()), kid)
        if algorithm == "EdDSA":
            return cls(algorithm, ed25519.Ed25519PrivateKey.generate(), kid)
        return cls(algorithm, rsa.generate_private_key(65537, 2048), kid)

    def public(self) -> dict[str, str]:
        """The key as a set lists it."""
        named = {"kid": self.kid} if self.kid is not None else {}
        return {**named, "use": "sig", **self._public_numbers()}

    def _public_numbers(self) -> dict[str, str]:
        match self.private:
            case rsa.RSAPrivateKey():
                numbers = self.private.public_key().public_numbers()
                return {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
            case ec.EllipticCurvePrivateKey():
                point = self.private.public_key().public_numbers()
                size = (self.private.key_size + 7) // 8
                curve = _CURVES[self.algorithm][1]
                return {"kty": "EC", "crv": curve, "x": _number(point.x, size), "y": _number(point.y, size)}
            case _:
                raw = self.private.public_key().public_bytes_raw()
                return {"kty": "OKP", "crv": "Ed25519", "x": base64url(raw)}

    def public_pem(self) -> bytes:
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, data: bytes) -> bytes:
        match self.private:
            case ec.EllipticCurvePrivateKey():
                r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(_HASHES[self.algorithm[2:]])))
                size = (self.private.key_size + 7) // 8
                return r.to_bytes(size) + s.to_bytes(size)
            case ed25519.Ed25519PrivateKey():
                return self.private.sign(data)
            case _:
                digest = _HASHES[self.algorithm[2:]]
                salted = padding.PSS(padding.MGF1(digest), digest.digest_size)
                pad = salted if self.algorithm.startswith("PS") else padding.PKCS1v15()
                return self.private.sign(data, pad, digest)


@dataclass
class Issuer:
    """Who makes tokens. The first key signs; all of them are in the set."""

    name: str = "https://issuer.example"
    keys: list[SigningKey] = field(default_factory=lambda: [SigningKey.make()])

    def jwks(self) -> str:
        return json.dumps({"keys": [key.public() for key in self.keys]})

    def claims(self, **claims: Any) -> dict[str, Any]:
        """Those of a good token, and others; None leaves one out."""
        now = int(time.time())
        whole = {"iss": self.name, "sub": "alice", "iat": now, "exp": now + 600, **claims}
        return {name: value for name, value in whole.items() if value is not None}

    def token(self, *, key: SigningKey | None = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        key = key or self.keys[0]
        named = {"kid": key.kid} if key.kid is not None else {}
        signed = unsigned({"alg": key.algorithm, "typ": "JWT", **named, **(header or {})}, self.claims(**claims))
        return f"{signed}.{base64url(key.sign(signed.encode()))}"


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """The first two parts."""
    return ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))


def hmac_token(issuer: Issuer, secret: bytes) -> str:
    """Signed with HMAC, by somebody who takes a public key for a secret."""
    signed = unsigned({"alg": "HS256", "kid": issuer.keys[0].kid}, issuer.claims())
    code = hmac.HMAC(secret, hashes.SHA256())
    code.update(signed.encode())
    return f"{signed}.{base64url(code.finalize())}"
