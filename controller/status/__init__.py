"""Statuses after the data plane has answered.

Owns the last step between translation and a written status: ``Programmed``. Must not decide what
translation decides (``Accepted``, ``ResolvedRefs``), nor write anything.
"""

from __future__ import annotations

from controller.status.applied import answered, with_applied

__all__ = ["answered", "with_applied"]
