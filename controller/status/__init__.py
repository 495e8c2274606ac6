"""Statuses after the data plane has answered.

Owns the last step between translation and a written status: ``Programmed``. Must not decide what
translation decides (``Accepted``, ``ResolvedRefs``), nor write anything.
"""

from __future__ import annotations

from controller.status.answers import Answers, Programmed
from controller.status.applied import answered, with_applied

__all__ = ["Answers", "Programmed", "answered", "with_applied"]
