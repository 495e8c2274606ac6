"""Errors that end a command of the controller; the rest are conditions and problem lines."""

from __future__ import annotations

from gateway.errors import SekishoError


class SampleBackendError(SekishoError):
    """A sample backend of the demo cannot be started."""


class AuthorityUnusableError(SekishoError):
    """The mesh's authority cannot be used, or not as was asked."""


class DiscoveryAddressError(SekishoError):
    """The address that gateways connect to cannot be bound."""


class UnknownWorkloadError(SekishoError):
    """Something is asked of a workload that has no sidecar here."""
