"""Errors that end a command: each says what went wrong and what to do about it.

Bad user configuration is never an exception: it becomes a condition, a rejection or a problem
line, and costs only itself. What is raised from here is about the process and its surroundings.
"""

from __future__ import annotations


class SekishoError(Exception):
    """A failure shown to a person without a traceback: one line, and one remedy."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message


class SettingsError(SekishoError):
    """A command-line setting that cannot be understood."""


class EngineMissingError(SekishoError):
    """The compiled engine is missing from this installation."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"the engine (gateway._engine) cannot be loaded: {cause}",
            "install the wheel, or build the engine in a source tree with 'make demo' or 'make test'",
        )


class AdminAddressError(SekishoError):
    """The admin address cannot be bound."""


class StateDirectoryError(SekishoError):
    """The state directory cannot be used."""


class AdminUnreachableError(SekishoError):
    """A running gateway's admin endpoint does not answer."""
