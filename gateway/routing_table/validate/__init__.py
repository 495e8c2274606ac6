"""Rules that the types of the routing table cannot say, the same as the engine's.

``problem`` looks at one resource, ``dangling`` at the references between resources. The engine has
the last word; the rules are mirrored so that a controller finds a mistake before it publishes and
that both sides agree on the contract cases. Two things only the engine can judge and are not
looked at here: what a certificate holds, and whether a regular expression compiles
(``gateway._engine.regex_problem``).
"""

from __future__ import annotations

from gateway.routing_table.validate.filters import FRAMING_HEADERS
from gateway.routing_table.validate.names import is_ip_address
from gateway.routing_table.validate.references import dangling, references
from gateway.routing_table.validate.resources import problem

__all__ = ["FRAMING_HEADERS", "dangling", "is_ip_address", "problem", "references"]
