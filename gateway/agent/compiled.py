"""The compiled engine as the rest of the gateway has it: running, or asked without one."""

from __future__ import annotations

import msgspec

from gateway.agent.engine import Engine, EngineOptions
from gateway.compiled import engine


def start_engine(options: EngineOptions) -> Engine:
    """The engine with its workers running and no listener yet."""
    return engine.Engine(msgspec.json.encode(options))


def explain_offline(snapshot: bytes, request: bytes) -> bytes:
    """What a gateway with this snapshot would do with a request."""
    return engine.explain(snapshot, request)


def validate_offline(snapshot: bytes) -> bytes:
    """What a gateway would answer to this snapshot, without binding anything."""
    return engine.validate(snapshot)


def regex_problem(pattern: str) -> str | None:
    """Why the engine cannot use a regular expression, or None."""
    return engine.regex_problem(pattern)
