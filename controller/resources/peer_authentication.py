"""PeerAuthentication (Istio: ``security/v1beta1/peer_authentication.proto``): whether a workload takes plaintext.

Owns its shape, and that it never fails open: a spec that is not wholly understood becomes one that is STRICT, with a
``refusal`` that says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

import msgspec

from controller.resources.authorization_policy import SECURITY_GROUP, WorkloadSelector
from controller.resources.metadata import Resource
from controller.resources.refusal import readable_selection, understood_or_refused
from controller.resources.schema import Struct, Violation

MODES: Final = ("UNSET", "DISABLE", "PERMISSIVE", "STRICT")
_HIGHEST_PORT: Final = 65_535


class MutualTLS(Struct, frozen=True, kw_only=True):
    """UNSET: as in the wider scope."""

    mode: str = "UNSET"

    def violations(self) -> Iterator[Violation]:
        """The mode is one that there is."""
        if self.mode not in MODES:
            yield Violation("mode", f"{self.mode!r} is none of {', '.join(MODES)}", "use one of them")


class PeerAuthenticationSpec(Struct, frozen=True, kw_only=True):
    """``port_level_mtls`` is by the workload's port, as a text, and needs a selector."""

    selector: WorkloadSelector | None = None
    mtls: MutualTLS = MutualTLS()
    port_level_mtls: Mapping[str, MutualTLS] = msgspec.field(default={}, name="portLevelMtls")

    def violations(self) -> Iterator[Violation]:
        """Ports are numbers although they are written as texts, and their modes are ones that there are."""
        for port, mutual_tls in self.port_level_mtls.items():
            if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= _HIGHEST_PORT):
                yield Violation(f"portLevelMtls[{port}]", f"{port!r} is no port", "write a number from 1 to 65535")
            for violation in mutual_tls.violations():
                yield Violation(f"portLevelMtls[{port}].{violation.field}", violation.message, violation.remedy)


class PeerAuthentication(Resource, frozen=True, kw_only=True):
    """How the workloads it selects are to be called."""

    group: ClassVar[str] = SECURITY_GROUP
    versions: ClassVar[tuple[str, ...]] = ("v1", "v1beta1")
    kind: ClassVar[str] = "PeerAuthentication"

    spec: PeerAuthenticationSpec = PeerAuthenticationSpec()
    refusal: str = ""
    """Ours, never written by a person: what of the spec was not understood."""

    @classmethod
    def prepare(cls, document: dict[str, Any]) -> dict[str, Any]:
        """The spec as it is where all of it is understood; otherwise STRICT for whom it selects, with a refusal."""
        return understood_or_refused(document, PeerAuthenticationSpec, _strict)


def _strict(spec: object) -> dict[str, Any]:
    """A selection that cannot be read is everything that could have been selected."""
    return {"mtls": {"mode": "STRICT"}, **readable_selection(spec, PeerAuthenticationSpec)}
