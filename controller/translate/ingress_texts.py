"""Annotations of one prefix, taken one after the other, so that what is left can be named.

Owns the wording of what has no effect. Must not know what an annotation means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class Texts:
    """The annotations of an object that begin with a prefix, without it."""

    def __init__(self, annotations: Mapping[str, str], prefix: str) -> None:
        self._prefix = prefix
        self._texts = {
            name.removeprefix(prefix): text.strip() for name, text in annotations.items() if name.startswith(prefix)
        }
        self._known: set[str] = set()
        self._notices: list[str] = []

    def names(self) -> list[str]:
        """All of them."""
        return sorted(self._texts)

    def full(self, name: str) -> str:
        """With its prefix, as it is written."""
        return f"{self._prefix}{name}"

    def take(self, name: str) -> str:
        """Its text, or empty where there is none."""
        self._known.add(name)
        return self._texts.get(name, "")

    def flag(self, name: str) -> bool:
        """True or false; false where it is not given or is neither."""
        text = self.take(name)
        if text and text not in _TRUE | _FALSE:
            self.without_effect(name, f"{text!r} is neither true nor false")
        return text in _TRUE

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 0 on."""
        text = self.take(name)
        if not text:
            return default
        if not text.isdecimal() or not text.isascii() or int(text) > most:
            self.without_effect(name, f"{text!r} is no whole number from 0 to {most}")
            return default
        return int(text)

    def items(self, name: str, default: Iterable[str] = ()) -> tuple[str, ...]:
        """A list separated by commas."""
        found = tuple(item.strip() for item in self.take(name).split(",") if item.strip())
        return found or tuple(default)

    def known(self, *names: str) -> None:
        """Names that something else speaks for."""
        self._known.update(names)

    def ignore(self, names: Iterable[str]) -> None:
        """Names that do not count on this object, which is said."""
        for name in names:
            self.without_effect(name, "a canary takes it from the Ingress that it stands beside")
            self._known.add(name)

    def without_effect(self, name: str, why: str) -> None:
        """Say that an annotation has no effect."""
        self._notices.append(f"the annotation {self.full(name)} has no effect: {why}")

    def name_the_rest(self, hints: Mapping[str, str]) -> None:
        """Say that everything that was not taken has no effect; ``hints`` say what there is instead."""
        for name in self.names():
            if name not in self._known:
                self.without_effect(name, hints.get(name, "it is not supported in this release"))

    def notices(self) -> tuple[str, ...]:
        """What was said."""
        return tuple(self._notices)
