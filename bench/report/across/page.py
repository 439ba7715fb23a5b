"""The frame of a page about several runs: one HTML file that needs no other, styled as the report.

Texts are escaped by the template; only drawings are put in as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from bench.analysis.across.series import Break
from bench.core.errors import cannot_write
from bench.core.files import temporary_directory, write_whole
from bench.core.text import many
from bench.report.across.grid import FACETS, Grid, cell_of
from bench.report.page.assets import assets
from bench.report.page.chapters import MORE_ROWS, ROWS, inline_narrow, inline_svg
from bench.report.page.details import as_json
from bench.report.plot_style import Drawing, save, style
from bench.stats.verdicts import ACCURACY, SPEED


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
        facets: What filters hide it by, in the order of `FACETS`; empty where none does.
    """

    svg: Markup
    narrow: Markup
    title: str
    how: str
    breaks: tuple[ListedBreak, ...] = ()
    facets: tuple[str, ...] = ()


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
        left_out: The line that says which rows the page's text does not have.
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
        groups: tuple[Group, ...] = (),
    ) -> Part:
        """A part that is a table; columns without any text are left out.

        Args:
            headers: One per column.
            right: Which columns hold numbers.
            rows: Cells by row.
            folded: The words that open it; empty where it is always open.
            who: How many columns, the first ones, say who a row is about.
            groups: What stands above it.
        """
        used = [place for place in range(len(headers)) if any(row[place] for row in rows)]
        kept = rows[: ROWS + MORE_ROWS]
        shown = [tuple(cell_of(row[place], right=right[place]) for place in used) for row in kept]
        grid = Grid(
            tuple(headers[place] for place in used),
            tuple(right[place] for place in used),
            tuple(shown),
            sum(place < who for place in used),
        )
        cut = ""
        if len(rows) > ROWS:
            cut = (
                f"The page has {len(kept):,} of {len(rows):,} rows, {ROWS} of them without scripts"
            )
            cut += "; --json has all."
        return cls(groups=groups, grid=grid, left_out=cut, folded=folded)


@dataclass(frozen=True)
class Fact:
    """A name and words at the top of a page.

    Attributes:
        name: What it is about.
        words: What is shown.
        more: What else there is, folded.
    """

    name: str
    words: str
    more: tuple[str, ...] = ()


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
    facts: Sequence[Fact] = (),
    trouble: Trouble | None = None,
) -> str:
    """The page as HTML.

    Args:
        title: Its heading.
        chapters: In order; those without a part are left out.
        lead: Sentences below the heading.
        facts: What stands below them.
        trouble: Shown above the facts where there is some.
    """
    source = resources.files("bench.report").joinpath("templates/runs.html.j2")
    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    engine.filters["many"] = many
    return engine.from_string(source.read_text(encoding="utf-8")).render(
        title=title,
        assets=assets(),
        facets=_facet_values(chapters),
        unfiltered=_unfiltered(chapters),
        payload=Markup(as_json(_more_rows(chapters))),
        chapters=[chapter for chapter in chapters if chapter.parts],
        lead=lead,
        facts=facts,
        trouble=trouble,
        worse=(SPEED.below, ACCURACY.below),
    )


def _unfiltered(chapters: Sequence[Chapter]) -> str:
    """The sentence on what filters do not hide."""
    figures = [figure for chapter in chapters for part in chapter.parts for figure in part.figures]
    if not figures:
        return "Sentences show all rows."
    if any(figure.facets for figure in figures):
        return "Plots keep all frameworks of what is chosen; sentences show all rows."
    return "Plots and sentences show all rows."


def _more_rows(chapters: Sequence[Chapter]) -> dict[str, Any]:
    """``rows`` by the anchor of a table: those that only the script has; and their ``facets``."""
    facets: dict[tuple[str, ...], int] = {}
    rows = {}
    for chapter in chapters:
        for place, part in enumerate(chapter.parts, start=1):
            name = f"{chapter.anchor}-{place}"
            if part.grid and (more := part.grid.more_rows(name, facets)):
                rows[name] = more
    return {"rows": rows, "facets": list(facets)}


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
