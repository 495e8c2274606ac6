"""RequestAuthentication (Istio: ``security/v1beta1/request_authentication.proto``): whose tokens count.

Owns its shape, and that it never fails open: a spec that is not wholly understood becomes one with a ``refusal`` in
place of its rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import urlsplit

from controller.resources.authorization_policy import (
    SECURITY_GROUP,
    PolicyTargetReference,
    WorkloadSelector,
)
from controller.resources.metadata import Resource
from controller.resources.refusal import readable_selection, understood_or_refused
from controller.resources.schema import Duration, Struct, Violation


class JWTHeader(Struct, frozen=True, kw_only=True):
    """A header with a token behind ``prefix``."""

    name: str
    prefix: str = ""


class ClaimToHeader(Struct, frozen=True, kw_only=True):
    """A claim that goes to the backend."""

    header: str
    claim: str


class JWTRule(Struct, frozen=True, kw_only=True):
    """Tokens of one issuer. Without ``jwks`` and ``jwks_uri`` the issuer says where its keys are (OpenID Connect)."""

    issuer: str
    audiences: tuple[str, ...] = ()
    jwks_uri: str = ""
    jwks: str = ""
    from_headers: tuple[JWTHeader, ...] = ()
    from_params: tuple[str, ...] = ()
    from_cookies: tuple[str, ...] = ()
    output_payload_to_header: str = ""
    output_claim_to_headers: tuple[ClaimToHeader, ...] = ()
    forward_original_token: bool = False
    timeout: Duration = "5s"
    """How long fetching the keys may take."""

    def violations(self) -> Iterator[Violation]:
        """Keys come from one place, and one that can be reached."""
        if not self.issuer:
            yield Violation("issuer", "it is empty", "name the issuer, as it stands in the claim iss")
        if self.jwks and self.jwks_uri:
            yield Violation("jwks", "jwks and jwksUri are both given", "remove one of them")
        if self.jwks_uri and not is_web_address(self.jwks_uri):
            yield Violation("jwksUri", f"{self.jwks_uri!r} is no http or https URL", "write one")
        if self.issuer and not self.jwks and not self.jwks_uri and not is_web_address(self.issuer):
            yield Violation("jwks", "there are no keys, and the issuer is no URL to ask", "give jwks or jwksUri")


def is_web_address(text: str) -> bool:
    """Whether keys can be fetched from there."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and "@" not in parts.netloc


class RequestAuthenticationSpec(Struct, frozen=True, kw_only=True):
    """No rules: tokens are not looked at."""

    selector: WorkloadSelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: tuple[PolicyTargetReference, ...] = ()
    jwt_rules: tuple[JWTRule, ...] = ()

    def violations(self) -> Iterator[Violation]:
        """It selects in one way."""
        if self.selector is not None and self.targets:
            yield Violation("selector", "selector and targetRefs are both given", "remove one of them")

    @property
    def targets(self) -> tuple[PolicyTargetReference, ...]:
        """``targetRefs``, or its older form for one."""
        return self.target_refs or ((self.target_ref,) if self.target_ref else ())


class RequestAuthentication(Resource, frozen=True, kw_only=True):
    """Whose tokens count with the workloads it selects."""

    group: ClassVar[str] = SECURITY_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1", "v1beta1")
    kind: ClassVar[str] = "RequestAuthentication"

    spec: RequestAuthenticationSpec = RequestAuthenticationSpec()
    refusal: str = ""
    """Ours, never written by a person: what of the spec was not understood."""

    @classmethod
    def prepare(cls, document: dict[str, Any]) -> dict[str, Any]:
        """The spec as it is where all of it is understood; otherwise what it applies to, with a refusal."""
        return understood_or_refused(document, RequestAuthenticationSpec, _selection)


def _selection(spec: object) -> dict[str, Any]:
    return readable_selection(spec, RequestAuthenticationSpec)
