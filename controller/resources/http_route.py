"""HTTPRoute (Gateway API: ``httproute_types.go``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from controller.resources.duration import duration_ms
from controller.resources.metadata import Resource
from controller.resources.references import (
    GATEWAY_GROUP,
    BackendObjectReference,
    ParentReference,
    overlapping_parents,
)
from controller.resources.route import SessionPersistence, Weight, rule_list_violations
from controller.resources.route_filters import UNIQUE_ITEMS, UNIQUE_NAMES, HTTPRouteFilter, repeated_filters
from controller.resources.schema import (
    PATH_PATTERN,
    Duration,
    HeaderName,
    HeaderValue,
    Hostname,
    SectionName,
    Struct,
    Violation,
)

_PATH = re.compile(PATH_PATTERN)


class HTTPPathMatch(Struct, frozen=True, kw_only=True):
    """``type`` is Exact, PathPrefix or RegularExpression."""

    type: str = "PathPrefix"
    value: Annotated[str, Meta(max_length=1024)] = "/"

    def violations(self) -> Iterator[Violation]:
        """A literal path is absolute, normal and written in the characters of a URI path."""
        if self.type not in ("Exact", "PathPrefix"):
            return
        if not self.value.startswith("/"):
            yield Violation("value", f"the path {self.value!r} does not start with '/'", "write an absolute path")
            return
        for part in ("//", "/./", "/../", "%2f", "%2F", "#"):
            if part in self.value:
                yield Violation("value", f"the path {self.value!r} contains {part!r}", "write the path in normal form")
                return
        if self.value.endswith(("/.", "/..")):
            yield Violation(
                "value", f"the path {self.value!r} ends with a dot segment", "write the path in normal form"
            )
        elif not _PATH.match(self.value):
            yield Violation(
                "value", f"the path {self.value!r} has characters that a path cannot have", "percent-encode them"
            )


class HTTPHeaderMatch(Struct, frozen=True, kw_only=True):
    """``type`` is Exact or RegularExpression."""

    type: str = "Exact"
    name: HeaderName
    value: HeaderValue


class HTTPQueryParamMatch(Struct, frozen=True, kw_only=True):
    """``type`` is Exact or RegularExpression."""

    type: str = "Exact"
    name: HeaderName
    value: Annotated[str, Meta(min_length=1, max_length=1024)]


class HTTPRouteMatch(Struct, frozen=True, kw_only=True):
    """Predicates that must all hold. ``method`` None: any."""

    path: HTTPPathMatch = HTTPPathMatch()
    headers: Annotated[tuple[HTTPHeaderMatch, ...], Meta(max_length=16, extra=UNIQUE_NAMES)] = ()
    query_params: Annotated[tuple[HTTPQueryParamMatch, ...], Meta(max_length=16, extra=UNIQUE_NAMES)] = ()
    method: str | None = None


class HTTPRouteTimeouts(Struct, frozen=True, kw_only=True):
    """``0s`` disables a timeout; None leaves it to the gateway."""

    request: Duration | None = None
    backend_request: Duration | None = None

    def violations(self) -> Iterator[Violation]:
        """An attempt does not outlast the whole exchange."""
        if self.request is None or self.backend_request is None:
            return
        if duration_ms(self.request) and duration_ms(self.backend_request) > duration_ms(self.request):
            yield Violation(
                "backendRequest",
                f"backendRequest ({self.backend_request}) is longer than request ({self.request})",
                "lower backendRequest, or raise request",
            )


class HTTPRouteRetry(Struct, frozen=True, kw_only=True):
    """GEP-1731. ``attempts`` None: one retry."""

    codes: Annotated[tuple[Annotated[int, Meta(ge=400, le=599)], ...], Meta(extra=UNIQUE_ITEMS)] = ()
    attempts: Annotated[int, Meta(ge=1)] | None = None
    backoff: Duration | None = None


class HTTPBackendRef(BackendObjectReference, frozen=True, kw_only=True):
    """A share of a rule's traffic, with filters of its own."""

    weight: Weight = 1
    filters: Annotated[tuple[HTTPRouteFilter, ...], Meta(max_length=16)] = ()

    def violations(self) -> Iterator[Violation]:
        """The rules of a backend reference and of a list of filters."""
        yield from BackendObjectReference.violations(self)
        yield from repeated_filters(self.filters)


class HTTPRouteRule(Struct, frozen=True, kw_only=True):
    """Matches (any of them), filters in order, and weighted backends."""

    name: SectionName | None = None
    matches: Annotated[tuple[HTTPRouteMatch, ...], Meta(max_length=64)] = (HTTPRouteMatch(),)
    filters: Annotated[tuple[HTTPRouteFilter, ...], Meta(max_length=16)] = ()
    backend_refs: Annotated[tuple[HTTPBackendRef, ...], Meta(max_length=16)] = ()
    timeouts: HTTPRouteTimeouts | None = None
    retry: HTTPRouteRetry | None = None
    session_persistence: SessionPersistence | None = None

    def __post_init__(self) -> None:
        """No match at all means the default one, written or not."""
        if not self.matches:
            msgspec.structs.force_setattr(self, "matches", (HTTPRouteMatch(),))

    def violations(self) -> Iterator[Violation]:
        """Filters that exclude each other, and those that need one prefix match."""
        yield from repeated_filters(self.filters)
        if self.backend_refs and any(filter_.request_redirect is not None for filter_ in self.filters):
            yield Violation(
                "backendRefs",
                "a rule that redirects has no backends",
                "remove backendRefs, or the RequestRedirect filter",
            )
        if len(self.matches) == 1 and self.matches[0].path.type == "PathPrefix":
            return
        places = [("filters", self.filters)]
        places += [(f"backendRefs[{index}].filters", ref.filters) for index, ref in enumerate(self.backend_refs)]
        for place, filters in places:
            if _replaces_prefix(filters):
                yield Violation(
                    place,
                    "replacePrefixMatch needs a rule with exactly one match, of type PathPrefix",
                    "give each prefix a rule of its own",
                )


def _replaces_prefix(filters: Sequence[HTTPRouteFilter]) -> bool:
    modifiers = [filter_.request_redirect or filter_.url_rewrite for filter_ in filters]
    return any(
        modifier is not None and modifier.path is not None and modifier.path.replace_prefix_match is not None
        for modifier in modifiers
    )


class HTTPRouteSpec(Struct, frozen=True, kw_only=True):
    """Where the route attaches, for which hosts, and its rules."""

    parent_refs: Annotated[tuple[ParentReference, ...], Meta(max_length=32)] = ()
    use_default_gateways: str | None = None
    hostnames: Annotated[tuple[Hostname, ...], Meta(max_length=16)] = ()
    rules: Annotated[tuple[HTTPRouteRule, ...], Meta(min_length=1, max_length=16)] = (HTTPRouteRule(),)

    def violations(self) -> Iterator[Violation]:
        """Distinct parents, distinct rule names, a bounded number of matches."""
        for violation in overlapping_parents(self.parent_refs):
            yield Violation(f"parentRefs{violation.field}", violation.message, violation.remedy)
        yield from rule_list_violations([rule.name for rule in self.rules], [len(rule.matches) for rule in self.rules])


class HTTPRoute(Resource, frozen=True, kw_only=True):
    """Routes HTTP requests."""

    group: ClassVar[str] = GATEWAY_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1", "v1beta1")
    kind: ClassVar[str] = "HTTPRoute"

    spec: HTTPRouteSpec
