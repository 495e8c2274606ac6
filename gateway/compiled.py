"""Loads the compiled engine, ``gateway._engine``: the only place that does."""

from __future__ import annotations

import os

from gateway.errors import EngineMissingError

# Read by the allocator of the engine when that is loaded: memory is taken as it is used, not in huge pages.
os.environ.setdefault("MIMALLOC_ARENA_EAGER_COMMIT", "0")

try:
    from gateway import _engine as engine
except ImportError as missing:
    raise EngineMissingError(str(missing)) from missing

__all__ = ["engine"]
