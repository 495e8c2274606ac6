"""The compiled engine: the only place that loads ``gateway._engine``."""

from __future__ import annotations

import os

import msgspec

from gateway.agent.engine import Engine, EngineOptions
from gateway.errors import EngineMissingError

# Read by the allocator of the engine when that is loaded: memory is taken as it is used, not in huge pages.
os.environ.setdefault("MIMALLOC_ARENA_EAGER_COMMIT", "0")

try:
    from gateway import _engine
except ImportError as missing:
    raise EngineMissingError(str(missing)) from missing


def start_engine(options: EngineOptions) -> Engine:
    """The engine with its workers running and no listener yet."""
    return _engine.Engine(msgspec.json.encode(options))


def explain_offline(snapshot: bytes, request: bytes) -> bytes:
    """What a gateway with this snapshot would do with a request."""
    return _engine.explain(snapshot, request)


def validate_offline(snapshot: bytes) -> bytes:
    """What a gateway would answer to this snapshot, without binding anything."""
    return _engine.validate(snapshot)


def regex_problem(pattern: str) -> str | None:
    """Why the engine cannot use a regular expression, or None."""
    return _engine.regex_problem(pattern)
