"""The terminal as the other modules know it: styled for people, plain lines for everything else.

Owns the decision between the two and the few styles there are. Text from manifests is never taken
for markup, and control characters in it never reach the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Container, Sequence
from typing import IO, Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

_THEME: Final = Theme(
    {
        "seal": "bold white on red",
        "title": "bold",
        "head": "bold cyan",
        "good": "green",
        "bad": "bold red",
        "warn": "yellow",
        "soft": "dim",
        "command": "bold",
        "where": "dim",
    }
)
_INDENT: Final = 2
_PLAIN_WIDTH: Final = 10_000


class Writer:
    """Standard output, or another file."""

    def __init__(self, file: IO[str] | None = None, *, styled: bool | None = None, width: int | None = None) -> None:
        self._file = file if file is not None else sys.stdout
        self.styled = self._file.isatty() if styled is None else styled
        self._console = Console(
            file=self._file,
            theme=_THEME,
            highlight=False,
            markup=False,
            emoji=False,
            force_terminal=self.styled,
            no_color=None if self.styled else True,
            width=width if self.styled else _PLAIN_WIDTH,
        )

    @property
    def width(self) -> int:
        """Columns of the terminal; practically endless for everything else."""
        return self._console.width

    def line(self, *parts: str | tuple[str, str]) -> None:
        """One line of text; a pair is a text and its style."""
        self._console.print(text(*parts), soft_wrap=True)

    def heading(self, title: str) -> None:
        """An empty line and a title."""
        self.line()
        self.line((title, "head"))

    def block(self, content: RenderableType) -> None:
        """Something larger, indented."""
        self._console.print(Padding(content, (0, 0, 0, _INDENT), expand=False))

    def json(self, document: bytes) -> None:
        """A document as it is, with an end of line."""
        self._file.write(document.decode() + "\n")
        self._file.flush()


def text(*parts: str | tuple[str, str]) -> Text:
    """Styled text, safe to print."""
    result = Text()
    for part in parts:
        content, style = (part, "") if isinstance(part, str) else part
        result.append(printable(content), style=style)
    return result


def printable(content: str) -> str:
    """``content`` without control characters: a manifest must not drive the terminal."""
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in content)


def grid(rows: Sequence[Sequence[Text]], *, whole: Container[int] = ()) -> Table:
    """Columns without lines; long cells wrap, but for those of the ``whole`` columns while there is room."""
    table = Table.grid(padding=(0, 3, 0, 0))
    for number in range(len(rows[0]) if rows else 0):
        table.add_column(overflow="ellipsis" if number in whole else "fold", no_wrap=number in whole)
    for row in rows:
        table.add_row(*row)
    return table


def counted(number: int, noun: str) -> str:
    """``1 route``, ``2 routes``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
