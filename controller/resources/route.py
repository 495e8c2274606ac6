"""What HTTPRoute and GRPCRoute share (Gateway API: ``shared_types.go``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from msgspec import Meta

from controller.resources.schema import Duration, Struct, Violation

MAX_MATCHES = 128

Weight = Annotated[int, Meta(ge=0, le=1_000_000)]


class CookieConfig(Struct, frozen=True, kw_only=True):
    """``lifetime_type`` is Session or Permanent."""

    lifetime_type: str = "Session"


class SessionPersistence(Struct, frozen=True, kw_only=True):
    """Keeps a client on one endpoint; ``type`` is Cookie or Header."""

    session_name: Annotated[str, Meta(max_length=128)] | None = None
    absolute_timeout: Duration | None = None
    type: str = "Cookie"
    cookie_config: CookieConfig | None = None

    def violations(self) -> Iterator[Violation]:
        """CookieConfig goes with cookies, and a permanent cookie with a timeout."""
        if self.cookie_config is None:
            return
        if self.type != "Cookie":
            yield Violation("cookieConfig", f"cookieConfig is not allowed with type {self.type}", "set type to Cookie")
        if self.cookie_config.lifetime_type == "Permanent" and self.absolute_timeout is None:
            yield Violation("absoluteTimeout", "a permanent cookie needs absoluteTimeout", "set absoluteTimeout")


def rule_list_violations(names: Sequence[str | None], match_counts: Sequence[int]) -> Iterator[Violation]:
    """Named rules are distinct, and a route has a bounded number of matches."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name is not None and name in seen:
            yield Violation(f"rules[{index}].name", f"two rules are named {name}", "rename one of them")
        if name is not None:
            seen.add(name)
    if sum(match_counts) > MAX_MATCHES:
        yield Violation(
            "rules", f"the rules have {sum(match_counts)} matches, at most {MAX_MATCHES} are allowed", "split the route"
        )
