"""Golden pairs of the translation."""

from __future__ import annotations
