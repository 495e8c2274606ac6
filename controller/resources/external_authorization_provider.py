"""ExternalAuthorizationProvider (``sekisho.dev/v1alpha1``): a service that CUSTOM AuthorizationPolicies ask.

Istio declares providers in its MeshConfig (``extensionProviders``, ``envoyExtAuthzHttp``), which is no object of an
API. The fields are those of Istio, by their names there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import Meta

from controller.resources.metadata import Resource
from controller.resources.schema import (
    PATH_PATTERN,
    Duration,
    NamespaceName,
    ObjectName,
    PortNumber,
    Struct,
)

NamePattern = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        pattern=r"^(?:\*|\*?[A-Za-z0-9!#$%&'+.^_`|~-]+|[A-Za-z0-9!#$%&'+.^_`|~-]+\*)\Z",
        description="a header name, its beginning before '*', its end after '*', or '*'",
    ),
]
NamePatterns = Annotated[tuple[NamePattern, ...], Meta(max_length=64)]


class ProviderService(Struct, frozen=True, kw_only=True):
    """A Service; of another namespace than the provider's only where the provider is in the root namespace."""

    name: ObjectName
    namespace: NamespaceName | None = None
    port: PortNumber


class ExternalAuthorizationProviderSpec(Struct, frozen=True, kw_only=True):
    """Whom to ask, what it is told, and what of its answer counts.

    ``timeout`` is 5s by default, ``statusOnError`` 403. ``headersToDownstreamOnDeny`` without entries means all.
    """

    service: ProviderService
    path_prefix: Annotated[str, Meta(max_length=1024, pattern=PATH_PATTERN, description="a path")] | None = None
    timeout: Duration | None = None
    include_request_headers_in_check: NamePatterns = ()
    include_additional_headers_in_check: Mapping[str, str] = {}
    headers_to_upstream_on_allow: NamePatterns = ()
    headers_to_downstream_on_allow: NamePatterns = ()
    headers_to_downstream_on_deny: NamePatterns = ()
    status_on_error: Annotated[int, Meta(ge=400, le=599)] | None = None
    fail_open: bool = False


class ExternalAuthorizationProvider(Resource, frozen=True, kw_only=True):
    """A service that decides about requests. Policies of its namespace find it by name; of the root namespace, all."""

    group: ClassVar[str] = "sekisho.dev"
    versions: ClassVar[tuple[str, ...]] = ("v1alpha1",)
    kind: ClassVar[str] = "ExternalAuthorizationProvider"

    spec: ExternalAuthorizationProviderSpec
