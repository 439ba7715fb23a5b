"""A table of a page about several runs: its cells, names of rows, and rows for the script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.report.page.chapters import ROWS

FACETS = ("network", "framework", "device", "precision", "track")
"""Columns that the tables of a page can be filtered by, in the order of the page's script."""
_NAMED = ("network", "framework", "measured")
"""Columns that the name of a row always has where they differ."""


@dataclass(frozen=True)
class Grid:
    """A table of texts.

    Attributes:
        headers: One per column.
        right: Which columns hold numbers.
        rows: Cells by row; the page's text has the first `ROWS`, the script the others.
        who: How many columns, the first ones, say who a row is about.
    """

    headers: tuple[str, ...]
    right: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    who: int = 0

    @cached_property
    def names(self) -> list[str]:
        """By row what those columns say, without what is the same in all rows, and of conditions
        only what tells it from its namesakes: a phone has one column for it, so that the values are
        seen with it. Empty where there are no such columns.
        """
        if not self.who:
            return []
        always = [place for place in self._apart if self.headers[place] in _NAMED]
        namesakes: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for row in self.rows:
            namesakes.setdefault(tuple(row[place] for place in always), []).append(row)
        telling = {
            name: [place for place in self._apart if place in always or _differ(rows, place)]
            or range(self.who)
            for name, rows in namesakes.items()
        }
        return [
            self._joined(row, telling[tuple(row[place] for place in always)]) for row in self.rows
        ]

    @cached_property
    def shared(self) -> str:
        """What `names` leave out: ``network cifar-bn; framework pytorch``."""
        places = [place for place in range(self.who) if place not in self._apart]
        first = self.rows[0] if self._apart else ()
        return "; ".join(f"{self.headers[p]} {first[p]}" for p in places if first and first[p])

    @cached_property
    def _apart(self) -> list[int]:
        """Places of the columns of `who` in which rows differ."""
        return [place for place in range(self.who) if _differ(self.rows, place)]

    def _joined(self, row: Sequence[str], places: Iterable[int]) -> str:
        """The words of these cells, each once: a recipe may be called as its track is."""
        words = (self._named(place, row[place]).split(" · ") for place in places if row[place])
        return " · ".join(dict.fromkeys(word for some in words for word in some))

    def _named(self, place: int, cell: str) -> str:
        """A cell; a number with its header: ``batch 128``."""
        return f"{self.headers[place]} {cell}" if cell.isdigit() else cell

    def facets(self, row: Sequence[str]) -> list[str]:
        """What a row can be filtered by, in the order of `FACETS`; empty where it has none."""
        cells = dict(zip(self.headers, row, strict=True))
        return [cells.get(name, "") for name in FACETS]

    @property
    def first_rows(self) -> tuple[tuple[str, ...], ...]:
        """Those in the page's text."""
        return self.rows[:ROWS]

    def more_rows(self, name: str, facets: dict[tuple[str, ...], int]) -> list[list[Any]]:
        """The others as the page's script reads them.

        Args:
            name: The anchor of the table.
            facets: The place of each combination of facets; gets those of these rows.
        """
        return [
            [
                f"{name}-{place}",
                [*self.names[place : place + 1], *self.rows[place]],
                facets.setdefault(tuple(self.facets(self.rows[place])), len(facets)),
                [],
            ]
            for place in range(ROWS, len(self.rows))
        ]


def _differ(rows: Sequence[Sequence[str]], place: int) -> bool:
    """Whether rows differ in a column."""
    return len({row[place] for row in rows}) > 1


def cell_of(text: str, *, right: bool) -> str:
    """A cell; a number with a break before its interval and a long unit, which a phone has as a
    line and a screen as a space."""
    return text.replace(" [", "\n[").replace(" images/s", "\nimages/s") if right else text
