"""AuthorizationPolicy (Istio: ``security/v1beta1/authorization_policy.proto``): who may do what.

Owns its shape, and that it never fails open: a spec that is not wholly understood becomes a policy with a ``refusal``
in place of its rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from controller.resources.metadata import Resource
from controller.resources.refusal import readable_selection, understood_or_refused
from controller.resources.schema import NamespaceName, ObjectName, Struct, Violation

SECURITY_GROUP = "security.istio.io"
ACTIONS = ("ALLOW", "DENY", "AUDIT", "CUSTOM")


class WorkloadSelector(Struct, frozen=True, kw_only=True):
    """Labels that a workload's pods all have."""

    match_labels: Mapping[str, str] = {}


class PolicyTargetReference(Struct, frozen=True, kw_only=True):
    """What a policy applies to, in its own namespace."""

    group: str = ""
    kind: str
    name: ObjectName
    namespace: NamespaceName | None = None


class AuthorizationSource(Struct, frozen=True, kw_only=True):
    """Who calls."""

    principals: tuple[str, ...] = ()
    not_principals: tuple[str, ...] = ()
    request_principals: tuple[str, ...] = ()
    not_request_principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()
    not_service_accounts: tuple[str, ...] = ()
    ip_blocks: tuple[str, ...] = ()
    not_ip_blocks: tuple[str, ...] = ()
    remote_ip_blocks: tuple[str, ...] = ()
    not_remote_ip_blocks: tuple[str, ...] = ()


class AuthorizationFrom(Struct, frozen=True, kw_only=True):
    """One source."""

    source: AuthorizationSource


class AuthorizationOperation(Struct, frozen=True, kw_only=True):
    """What is asked for."""

    hosts: tuple[str, ...] = ()
    not_hosts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    not_ports: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()

    def violations(self) -> Iterator[Violation]:
        """Ports are numbers although they are written as texts."""
        for field, ports in (("ports", self.ports), ("notPorts", self.not_ports)):
            for index, port in enumerate(ports):
                if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65_535):
                    yield Violation(f"{field}[{index}]", f"{port!r} is no port", "write a number from 1 to 65535")


class AuthorizationTo(Struct, frozen=True, kw_only=True):
    """One operation."""

    operation: AuthorizationOperation


class AuthorizationCondition(Struct, frozen=True, kw_only=True):
    """One attribute, for example ``request.headers[x-user]``."""

    key: str
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()


class AuthorizationRule(Struct, frozen=True, kw_only=True):
    """Matches by one source, one operation and all conditions."""

    from_: tuple[AuthorizationFrom, ...] = msgspec.field(default=(), name="from")
    to: tuple[AuthorizationTo, ...] = ()
    when: tuple[AuthorizationCondition, ...] = ()


class ExtensionProvider(Struct, frozen=True, kw_only=True):
    """Who decides for a CUSTOM policy."""

    name: str = ""


class AuthorizationPolicySpec(Struct, frozen=True, kw_only=True):
    """``action`` is ALLOW, DENY, AUDIT or CUSTOM. ``rules`` None and no rules are the same."""

    selector: WorkloadSelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: tuple[PolicyTargetReference, ...] = ()
    action: str = "ALLOW"
    provider: ExtensionProvider | None = None
    rules: tuple[AuthorizationRule, ...] = ()

    def violations(self) -> Iterator[Violation]:
        """A policy selects in one way, and its action is known."""
        if self.action not in ACTIONS:
            yield Violation("action", f"{self.action!r} is none of {', '.join(ACTIONS)}", "use one of them")
        if self.selector is not None and self.targets:
            yield Violation("selector", "selector and targetRefs are both given", "remove one of them")

    @property
    def targets(self) -> tuple[PolicyTargetReference, ...]:
        """``targetRefs``, or its older form for one."""
        return self.target_refs or ((self.target_ref,) if self.target_ref else ())


class AuthorizationPolicy(Resource, frozen=True, kw_only=True):
    """Who may do what with the workloads it selects."""

    group: ClassVar[str] = SECURITY_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1", "v1beta1")
    kind: ClassVar[str] = "AuthorizationPolicy"

    spec: AuthorizationPolicySpec = AuthorizationPolicySpec()
    refusal: str = ""
    """Ours, never written by a person: what of the spec was not understood."""

    @classmethod
    def prepare(cls, document: dict[str, Any]) -> dict[str, Any]:
        """The spec as it is where all of it is understood; otherwise what is left of it, with a refusal."""
        return understood_or_refused(document, AuthorizationPolicySpec, _remains, _empty_lists)


def _empty_lists(spec: object) -> Iterator[str]:
    """Lists within rules that are given and hold nothing: to leave them out would ask for nothing at all."""
    rules = spec.get("rules") if isinstance(spec, dict) else None
    listed = rules if isinstance(rules, list) else ()
    pending: list[tuple[str, object]] = [(f"spec.rules[{index}]", rule) for index, rule in enumerate(listed)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, list) and not value:
            yield f"{path}: the list is empty: remove it, or name one value at least"
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        pending += [(f"{path}[{name}]" if isinstance(name, int) else f"{path}.{name}", item) for name, item in items]


def _remains(spec: object) -> dict[str, Any]:
    """The parts that say what a policy applies to and what it is for, each as far as it can be read.

    A selection that cannot be read is everything that could have been selected, and an action that cannot be read is
    DENY.
    """
    fields = spec if isinstance(spec, dict) else {}
    remains: dict[str, Any] = {"action": "DENY"}
    action = fields.get("action")
    if action is None or action in ACTIONS:
        remains["action"] = action or "ALLOW"
    return {**remains, **readable_selection(spec, AuthorizationPolicySpec)}
