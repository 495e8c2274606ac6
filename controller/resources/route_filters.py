"""Filters of HTTPRoute and GRPCRoute (Gateway API: ``httproute_types.go``, filters).

A filter is a union: ``type`` names the one field that is set. An unknown ``type`` reaches
translation, which fails the rule rather than skipping the filter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from msgspec import Meta

from controller.resources.references import BackendObjectReference, LocalObjectReference
from controller.resources.schema import (
    PATH_PATTERN,
    HeaderName,
    HeaderValue,
    PortNumber,
    PreciseHostname,
    Struct,
    Violation,
)

UNIQUE_NAMES = {"unique": "name"}
UNIQUE_ITEMS = {"unique": ""}


class HTTPHeader(Struct, frozen=True, kw_only=True):
    """A header to set or add."""

    name: HeaderName
    value: HeaderValue


class HTTPHeaderFilter(Struct, frozen=True, kw_only=True):
    """Header changes, applied in the order set, add, remove."""

    set: Annotated[tuple[HTTPHeader, ...], Meta(max_length=16, extra=UNIQUE_NAMES)] = ()
    add: Annotated[tuple[HTTPHeader, ...], Meta(max_length=16, extra=UNIQUE_NAMES)] = ()
    remove: Annotated[tuple[str, ...], Meta(max_length=16, extra=UNIQUE_ITEMS)] = ()


class HTTPPathModifier(Struct, frozen=True, kw_only=True):
    """``type`` is ReplaceFullPath or ReplacePrefixMatch and names the field in use."""

    type: str
    replace_full_path: Annotated[str, Meta(max_length=1024)] | None = None
    replace_prefix_match: Annotated[str, Meta(max_length=1024)] | None = None

    def violations(self) -> Iterator[Violation]:
        """Exactly the field that ``type`` names is set."""
        yield from union_violations(
            self.type,
            {
                "ReplaceFullPath": ("replaceFullPath", self.replace_full_path),
                "ReplacePrefixMatch": ("replacePrefixMatch", self.replace_prefix_match),
            },
        )


class HTTPRequestRedirectFilter(Struct, frozen=True, kw_only=True):
    """Answers with a redirect. ``scheme`` is http or https."""

    scheme: str | None = None
    hostname: PreciseHostname | None = None
    path: HTTPPathModifier | None = None
    port: PortNumber | None = None
    status_code: int = 302


class HTTPURLRewriteFilter(Struct, frozen=True, kw_only=True):
    """Rewrites host and path before the request goes upstream."""

    hostname: PreciseHostname | None = None
    path: HTTPPathModifier | None = None


class Fraction(Struct, frozen=True, kw_only=True):
    """``numerator`` of ``denominator``."""

    numerator: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    denominator: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 100

    def violations(self) -> Iterator[Violation]:
        """No more than the whole."""
        if self.numerator > self.denominator:
            yield Violation(
                "numerator",
                f"the numerator {self.numerator} is larger than the denominator {self.denominator}",
                "make the fraction at most 1",
            )


class HTTPRequestMirrorFilter(Struct, frozen=True, kw_only=True):
    """Sends a copy of (a share of) the requests to a backend."""

    backend_ref: BackendObjectReference
    percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    fraction: Fraction | None = None

    def violations(self) -> Iterator[Violation]:
        """Percent and fraction exclude each other."""
        if self.percent is not None and self.fraction is not None:
            yield Violation("", "percent and fraction exclude each other", "remove one of the two")


CORSOrigin = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=r"^(?:\*|https?://(?:\*|(?:\*\.)?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)(?::[0-9]{1,5})?)\Z",
        description='an origin such as https://example.com, https://*.example.com, or "*"',
    ),
]


class HTTPCORSFilter(Struct, frozen=True, kw_only=True):
    """Cross-origin resource sharing."""

    allow_origins: Annotated[tuple[CORSOrigin, ...], Meta(max_length=64, extra=UNIQUE_ITEMS)] = ()
    allow_credentials: bool | None = None
    allow_methods: Annotated[tuple[str, ...], Meta(max_length=9, extra=UNIQUE_ITEMS)] = ()
    allow_headers: Annotated[tuple[HeaderName, ...], Meta(max_length=64, extra=UNIQUE_ITEMS)] = ()
    expose_headers: Annotated[tuple[HeaderName, ...], Meta(max_length=64, extra=UNIQUE_ITEMS)] = ()
    max_age: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 5

    def violations(self) -> Iterator[Violation]:
        """A wildcard stands alone."""
        for field, values in (
            ("allowOrigins", self.allow_origins),
            ("allowMethods", self.allow_methods),
            ("allowHeaders", self.allow_headers),
        ):
            if "*" in values and len(values) > 1:
                yield Violation(field, "'*' stands beside other values", "keep '*' alone, or remove it")


class GRPCAuthConfig(Struct, frozen=True, kw_only=True):
    """External authorization over gRPC."""

    allowed_headers: Annotated[tuple[str, ...], Meta(max_length=64, extra=UNIQUE_ITEMS)] = ()


class HTTPAuthConfig(Struct, frozen=True, kw_only=True):
    """External authorization over HTTP."""

    path: Annotated[str, Meta(max_length=1024, pattern=PATH_PATTERN, description="a path")] | None = None
    allowed_headers: Annotated[tuple[str, ...], Meta(max_length=64, extra=UNIQUE_ITEMS)] = ()
    allowed_response_headers: Annotated[tuple[str, ...], Meta(max_length=64, extra=UNIQUE_ITEMS)] = ()


class ForwardBodyConfig(Struct, frozen=True, kw_only=True):
    """How much of the body the authorization service is given; 0: none."""

    max_size: Annotated[int, Meta(ge=0)] | None = None


class HTTPExternalAuthFilter(Struct, frozen=True, kw_only=True):
    """Asks an authorization service. ``protocol`` is HTTP or GRPC and names the field in use."""

    protocol: str
    backend_ref: BackendObjectReference
    grpc: GRPCAuthConfig | None = None
    http: HTTPAuthConfig | None = None
    forward_body: ForwardBodyConfig | None = None

    def violations(self) -> Iterator[Violation]:
        """Exactly the field that ``protocol`` names is set."""
        yield from union_violations(
            self.protocol, {"GRPC": ("grpc", self.grpc), "HTTP": ("http", self.http)}, discriminator="protocol"
        )


class HTTPRouteFilter(Struct, frozen=True, kw_only=True):
    """One filter of an HTTPRoute; ``type`` names the field in use."""

    type: str
    request_header_modifier: HTTPHeaderFilter | None = None
    response_header_modifier: HTTPHeaderFilter | None = None
    request_mirror: HTTPRequestMirrorFilter | None = None
    request_redirect: HTTPRequestRedirectFilter | None = None
    url_rewrite: HTTPURLRewriteFilter | None = None
    cors: HTTPCORSFilter | None = None
    external_auth: HTTPExternalAuthFilter | None = None
    extension_ref: LocalObjectReference | None = None

    def violations(self) -> Iterator[Violation]:
        """Exactly the field that ``type`` names is set."""
        yield from union_violations(
            self.type,
            {
                "RequestHeaderModifier": ("requestHeaderModifier", self.request_header_modifier),
                "ResponseHeaderModifier": ("responseHeaderModifier", self.response_header_modifier),
                "RequestMirror": ("requestMirror", self.request_mirror),
                "RequestRedirect": ("requestRedirect", self.request_redirect),
                "URLRewrite": ("urlRewrite", self.url_rewrite),
                "CORS": ("cors", self.cors),
                "ExternalAuth": ("externalAuth", self.external_auth),
                "ExtensionRef": ("extensionRef", self.extension_ref),
            },
        )


class GRPCRouteFilter(Struct, frozen=True, kw_only=True):
    """One filter of a GRPCRoute; ``type`` names the field in use."""

    type: str
    request_header_modifier: HTTPHeaderFilter | None = None
    response_header_modifier: HTTPHeaderFilter | None = None
    request_mirror: HTTPRequestMirrorFilter | None = None
    extension_ref: LocalObjectReference | None = None

    def violations(self) -> Iterator[Violation]:
        """Exactly the field that ``type`` names is set."""
        yield from union_violations(
            self.type,
            {
                "RequestHeaderModifier": ("requestHeaderModifier", self.request_header_modifier),
                "ResponseHeaderModifier": ("responseHeaderModifier", self.response_header_modifier),
                "RequestMirror": ("requestMirror", self.request_mirror),
                "ExtensionRef": ("extensionRef", self.extension_ref),
            },
        )


def union_violations(
    chosen: str, members: Mapping[str, tuple[str, object]], *, discriminator: str = "type"
) -> Iterator[Violation]:
    """The member that ``chosen`` names is set, and no other."""
    for member, (field, value) in members.items():
        if member == chosen and value is None:
            yield Violation(field, f"{field} is required with {discriminator} {chosen}", f"set {field}")
        if member != chosen and value is not None:
            yield Violation(
                field,
                f"{field} is not allowed with {discriminator} {chosen}",
                f"set {discriminator} to {member}, or remove {field}",
            )


def repeated_filters(filters: Sequence[HTTPRouteFilter | GRPCRouteFilter]) -> Iterator[Violation]:
    """Filters that may stand once in a list, and the pair that may not stand together."""
    types = [filter_.type for filter_ in filters]
    for type_ in ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "CORS"):
        if types.count(type_) > 1:
            yield Violation("filters", f"the filter {type_} stands more than once", "merge them into one")
    if "RequestRedirect" in types and "URLRewrite" in types:
        yield Violation("filters", "RequestRedirect and URLRewrite exclude each other", "remove one of the two")
