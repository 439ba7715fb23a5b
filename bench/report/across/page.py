"""The frame of a page about several runs: one HTML file that needs no other, styled as the report.

Texts are escaped by the template; only drawings are put in as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from bench.analysis.across.series import Break
from bench.core.errors import cannot_write
from bench.core.files import temporary_directory, write_whole
from bench.core.text import many
from bench.report.page.assets import assets
from bench.report.page.chapters import inline_narrow, inline_svg
from bench.report.plot_style import (
    Drawing,
    save,
    style,
)
from bench.stats.verdicts import ACCURACY, SPEED

FACETS = ("network", "framework", "device", "precision", "track")
"""Columns that the tables of a page can be filtered by, in the order of the page's script."""
ROWS = 250
"""Rows of one table at most, so that a browser opens the page."""


@dataclass(frozen=True)
class Grid:
    """A table of texts.

    Attributes:
        headers: One per column.
        right: Which columns hold numbers.
        rows: Cells by row.
        who: How many columns, the first ones, say who a row is about.
    """

    headers: tuple[str, ...]
    right: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    who: int = 0

    @cached_property
    def names(self) -> list[str]:
        """By row what those columns say, without what is the same in all rows: a phone has one
        column for it, so that the values are seen with it. Empty where there are no such columns.
        """
        told = [row[: self.who] for row in self.rows]
        apart = [place for place in range(self.who) if len({cells[place] for cells in told}) > 1]
        kept = apart or range(self.who)
        return [
            " · ".join(self._named(place, cells[place]) for place in kept if cells[place])
            for cells in told
            if self.who
        ]

    def _named(self, place: int, cell: str) -> str:
        """A cell; a number with its header: ``batch 128``."""
        return f"{self.headers[place]} {cell}" if cell.isdigit() else cell

    def facets(self, row: Sequence[str]) -> list[str]:
        """What a row can be filtered by, in the order of `FACETS`; empty where it has none."""
        cells = dict(zip(self.headers, row, strict=True))
        return [cells.get(name, "") for name in FACETS]


@dataclass(frozen=True)
class ListedBreak:
    """A break of curves in the list below their figure.

    Attributes:
        number: Of its line in the figure.
        at: What its later run is called on the axis.
        curves: Labels of the frameworks, each with its colour.
        facts: What differs.
    """

    number: int
    at: str
    curves: tuple[tuple[str, str], ...]
    facts: tuple[Break, ...]


@dataclass(frozen=True)
class Figure:
    """A drawing in the page.

    Attributes:
        svg: The drawing.
        narrow: The same for the width of a phone; empty where names leave its panel no room.
        title: Its name for a reader who does not see it.
        how: How to read it; empty where its chapter says so.
        breaks: The breaks of its curves.
    """

    svg: Markup
    narrow: Markup
    title: str
    how: str
    breaks: tuple[ListedBreak, ...] = ()


@dataclass(frozen=True)
class Group:
    """What holds for several rows.

    Attributes:
        words: What it is.
        members: The rows, folded where they are many.
    """

    words: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """A part of a chapter: its figures, lines, groups and table, each where there is one.

    Attributes:
        folded: The words that open the table; empty where it is always open.
        left_out: The line that says which rows the page does not show.
    """

    figures: tuple[Figure, ...] = ()
    lines: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    grid: Grid | None = None
    folded: str = ""
    left_out: str = ""

    @classmethod
    def table(
        cls,
        headers: Sequence[str],
        right: Sequence[bool],
        rows: Sequence[Sequence[str]],
        folded: str = "",
        who: int = 0,
    ) -> Part:
        """A part that is a table, cut to what a page shows; columns without any text are left out.

        Args:
            headers: One per column.
            right: Which columns hold numbers.
            rows: Cells by row.
            folded: The words that open it; empty where it is always open.
            who: How many columns, the first ones, say who a row is about.
        """
        used = [place for place in range(len(headers)) if any(row[place] for row in rows)]
        shown = [tuple(row[place] for place in used) for row in rows[:ROWS]]
        grid = Grid(
            tuple(headers[place] for place in used),
            tuple(right[place] for place in used),
            tuple(shown),
            sum(place < who for place in used),
        )
        cut = f"The first {ROWS} of {len(rows):,} rows; --json has all." if len(rows) > ROWS else ""
        return cls(grid=grid, left_out=cut, folded=folded)


@dataclass(frozen=True)
class Chapter:
    """A chapter with its anchor, and how to read it."""

    anchor: str
    title: str
    how: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Trouble:
    """What a reader must see first."""

    title: str
    lines: tuple[str, ...]


def page(
    title: str,
    chapters: Sequence[Chapter],
    *,
    lead: Sequence[str] = (),
    facts: Sequence[tuple[str, str]] = (),
    trouble: Trouble | None = None,
) -> str:
    """The page as HTML.

    Args:
        title: Its heading.
        chapters: In order; those without a part are left out.
        lead: Sentences below the heading.
        facts: Names and words below them.
        trouble: Shown above the facts where there is some.
    """
    source = resources.files("bench.report").joinpath("templates/runs.html.j2")
    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    engine.filters["many"] = many
    return engine.from_string(source.read_text(encoding="utf-8")).render(
        title=title,
        assets=assets(),
        facets=_facet_values(chapters),
        plotted=any(part.figures for chapter in chapters for part in chapter.parts),
        chapters=[chapter for chapter in chapters if chapter.parts],
        lead=lead,
        facts=facts,
        trouble=trouble,
        worse=(SPEED.below, ACCURACY.below),
    )


def _facet_values(chapters: Sequence[Chapter]) -> dict[str, list[str]]:
    """What there is to filter by; no facet that has one value alone."""
    grids = [part.grid for chapter in chapters for part in chapter.parts if part.grid]
    rows = [grid.facets(row) for grid in grids for row in grid.rows]
    found = {
        name: list(dict.fromkeys(row[place] for row in rows if row[place]))
        for place, name in enumerate(FACETS)
    }
    return {name: values for name, values in found.items() if len(values) > 1}


def write_page(path: Path, content: str) -> Path:
    """Write a page; its path.

    Raises:
        UserError: It cannot be written there.
    """
    try:
        write_whole(path, content)
    except OSError as error:
        raise cannot_write(path, error, "give another file with -o") from error
    return path


def drawn(drawings: Sequence[Drawing], narrow: Sequence[Drawing]) -> list[Figure]:
    """All drawings of a page as its figures.

    Args:
        drawings: Made within `bench.report.plot_style.style`.
        narrow: The same for the width of a phone.
    """
    figures = []
    with style(), temporary_directory() as folder:
        for place, (drawing, phone) in enumerate(zip(drawings, narrow, strict=True)):
            plot = save(drawing, Path(folder), "", raster=False, narrow=phone)
            svgs = inline_svg(plot, place), inline_narrow(plot, place)
            figures.append(Figure(*svgs, plot.title, plot.how))
    return figures
