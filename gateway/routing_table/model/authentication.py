"""Authentication of requests by tokens (JWT)."""

from __future__ import annotations

from gateway.routing_table.model.schema import Struct


class TokenHeader(Struct):
    """A header that may carry a token, behind ``prefix`` (with its space, if there is one). ``name`` in lower case."""

    name: str
    prefix: str = ""


class ClaimHeader(Struct):
    """``claim`` of a verified token as ``header``; ``a.b`` is claim ``b`` within ``a``."""

    header: str
    claim: str


class TokenRule(Struct):
    """Tokens (JWT, RFC 7519) of one issuer: where they are, and what proves them.

    Signed with RS, PS, ES (256, 384, 512 as far as they exist) or EdDSA by a key of ``keys``; times are taken with 60
    seconds of leeway. Without any place named, a token is in ``Authorization: Bearer`` or the parameter
    ``access_token``.
    """

    issuer: str
    audiences: tuple[str, ...] = ()
    """One of them must be among the token's; none means every token of the issuer."""
    keys: str = ""
    """A JSON Web Key Set (RFC 7517) as text. Without a usable key in it, tokens of the issuer are refused."""
    from_headers: tuple[TokenHeader, ...] = ()
    from_params: tuple[str, ...] = ()
    from_cookies: tuple[str, ...] = ()
    output_payload_to_header: str = ""
    """The payload in base64url goes to the backend in this header. Like the headers of claims, it is taken off
    every request first, whoever sent it."""
    output_claim_to_headers: tuple[ClaimHeader, ...] = ()
    forward_original_token: bool = False
    """Otherwise the token does not reach the backend."""


class RequestAuthentication(Struct):
    """Whose tokens count. ``key``: ``namespace/name``. A request without a token passes, and has no principal; with
    one that no rule accepts it is refused. All rules of a listener count as one list."""

    key: str
    rules: tuple[TokenRule, ...] = ()
    refusal: str = ""
    """Why it cannot be enforced as it was written. It fails closed: every request is refused."""
