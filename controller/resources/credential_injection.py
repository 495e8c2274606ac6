"""CredentialInjection (``sekisho.dev/v1alpha1``): headers whose values are in Secrets, for a filter.

A route names one by a filter of type ExtensionRef, to send a credential to its backend that its clients do not have.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from controller.resources.metadata import Resource
from controller.resources.schema import NamespaceName, ObjectName, Struct


class SecretKeyReference(Struct, frozen=True, kw_only=True):
    """One value of a Secret; of another namespace only where a ReferenceGrant there permits it."""

    name: ObjectName
    namespace: NamespaceName | None = None
    key: Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+\Z", description="a key")]


class CredentialHeader(Struct, frozen=True, kw_only=True):
    """A header that is set: ``prefix`` (with its space, if it has one) and the value. A line end behind the value is
    no part of it."""

    name: Annotated[
        str,
        Meta(max_length=256, pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z", description="a header name"),
    ]
    prefix: Annotated[str, Meta(max_length=64, pattern=r"^[ -~]*\Z", description="visible characters")] = ""
    secret_key_ref: SecretKeyReference


class CredentialInjectionSpec(Struct, frozen=True, kw_only=True):
    """What is set."""

    headers: Annotated[tuple[CredentialHeader, ...], Meta(min_length=1, max_length=16)]


class CredentialInjection(Resource, frozen=True, kw_only=True):
    """Credentials that requests get on their way to a backend, and nobody else sees."""

    group: ClassVar[str] = "sekisho.dev"
    versions: ClassVar[tuple[str, ...]] = ("v1alpha1",)
    kind: ClassVar[str] = "CredentialInjection"

    spec: CredentialInjectionSpec
