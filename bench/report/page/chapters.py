"""The chapters of the page by question: sentences, plots, and tables with their rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from markupsafe import Markup

from bench.analysis.experiments import device_of, frameworks_of, variant_place
from bench.analysis.rows import Row
from bench.core.records import Record
from bench.report.chapters import TOPICS, Topic
from bench.report.chapters.trust import failures
from bench.report.columns import case_of
from bench.report.failing import Failures
from bench.report.page.details import Details, keys_of
from bench.report.plot_style import GRID, INK, SOFT, Plot
from bench.report.plots import UNCERTIFIED
from bench.report.report import Report
from bench.report.tables import Section, Table, caption, sections
from bench.training.tracks import TRACKS

ROWS, FEW_ROWS = 250, 50
"""Rows of one section that are in the page's text, in a large report fewer; the script has the
others."""
MORE_ROWS = 20_000
"""Rows of all sections that only the script has, at most; the CSV files have all."""


@dataclass(frozen=True)
class ShownRow:
    """A row of a table.

    Attributes:
        anchor: Its place in the page.
        name: What tells it from the others: a phone has one column for it, so that values are seen
            with it.
        cells: As the table has them.
        facets: Network, framework, device and precision; empty where it has none.
        records: Places in the page's records of those that it opens to.
    """

    anchor: str
    name: str
    cells: tuple[str, ...]
    facets: tuple[str, ...]
    records: tuple[int, ...]

    def to_json(self, facets: int) -> list[Any]:
        """As the page's script reads it, with the place of its facets among all."""
        return [self.anchor, [self.name, *self.cells], facets, list(self.records)]


@dataclass(frozen=True)
class Part:
    """One section of a table: its rows of one dataset and track.

    Attributes:
        name: The anchor of its table.
        section: The section.
        rows: Those in the page's text.
        more: Those that only the script has.
    """

    name: str
    section: Section
    rows: list[ShownRow]
    more: list[ShownRow]

    @property
    def missing(self) -> int:
        """Rows that are not in the page at all."""
        return len(self.section.cells) - len(self.rows) - len(self.more)


@dataclass(frozen=True)
class Figure:
    """A plot of the page.

    Attributes:
        plot: Its title and how to read it.
        svg: The drawing.
        narrow: The same for the width of a phone; empty where `svg` is for it.
        track: The track that it shows.
    """

    plot: Plot
    svg: Markup
    narrow: Markup
    track: str


@dataclass(frozen=True)
class Chapter:
    """A table with its sentences and plots.

    Attributes:
        table: The table.
        parts: Its sections.
        figures: Its plots, the first of which is shown before the table is opened.
    """

    table: Table
    parts: list[Part]
    figures: list[Figure]

    @property
    def leads(self) -> list[tuple[Section, str]]:
        """A sentence for each section that has one."""
        return [(part.section, lead) for part in self.parts if (lead := part.section.lead)]

    @property
    def how(self) -> str:
        """How to read its tables."""
        return caption(self.table, [part.section for part in self.parts])

    @property
    def number(self) -> int:
        """How many rows its tables have."""
        return sum(len(part.section.cells) for part in self.parts)


@dataclass(frozen=True)
class Group:
    """The chapters that answer one question.

    Attributes:
        name: Its anchor in the page, after ``q-``.
        title: As the navigation has it.
        text: The question.
        chapters: Those that have something to show.
        source: The table that its remarks are from; None where there are none.
        remarks: Sections of that table with what their rows say to the question.
    """

    name: str
    title: str
    text: str
    chapters: list[Chapter]
    source: Table | None = None
    remarks: Sequence[tuple[Section, str]] = ()


def groups(
    report: Report, plots: Sequence[Plot], details: Details, failing: Failures
) -> list[Group]:
    """The chapters that have something to show, by their question; a table that fails has none."""
    drawn = _figures(plots)
    room, first = MORE_ROWS, FEW_ROWS if report.large else ROWS
    found = []
    for topic in TOPICS:
        chapters = []
        for table in topic.tables:
            if table is failures.TABLE:
                continue  # they are at the top of the page
            parts: list[Part] = []
            taken: dict[str, int] = {}
            made = partial(sections, table, report)
            for section in failing.attempt(f"The table {table.name}", made, []):
                part = _part(
                    section, f"{table.name}-{len(parts) + 1}", details, (first, room), taken
                )
                room -= len(part.more)
                parts.append(part)
            figures = [figure for figure in drawn if figure.plot.table == table.name]
            # The first one opens the chapter: certified rows before those that stand apart.
            figures.sort(key=lambda figure: UNCERTIFIED in figure.plot.name)
            if parts or figures:
                chapters.append(Chapter(table, parts, figures))
        source, remarks = failing.attempt(
            f"The remark on {topic.title}", partial(_remarks, topic, report), (None, [])
        )
        found.append(Group(topic.name, topic.title, topic.text, chapters, source, remarks))
    return found


def _remarks(topic: Topic, report: Report) -> tuple[Table | None, list[tuple[Section, str]]]:
    if topic.remark is None:
        return None, []
    table, say = topic.remark
    said = [(section, say(section.rows)) for section in sections(table, report)]
    return table, [(section, words) for section, words in said if words]


def _part(
    section: Section,
    name: str,
    details: Details,
    room: tuple[int, int],
    taken: dict[str, int],
) -> Part:
    table = section.table
    rows = section.rows[: sum(room)]
    anchors = keys_of(rows, table.name, taken)
    made = [
        ShownRow(anchor, name, cells, facets_of(row), tuple(details.of(table, row)))
        for anchor, name, cells, row in zip(
            anchors, section.names, section.cells, rows, strict=False
        )
    ]
    return Part(name, section, made[: room[0]], made[room[0] :])


def facets_of(row: Row) -> tuple[str, ...]:
    """Network, framework, device and precision of a row; empty where it has none."""
    device = device_of(case_of(row)) if "devices" in row and "execution" in row else ""
    found = (row.get("variant"), row.get("framework"), device, row.get("precision"))
    return tuple(str(value or "") for value in found)


def facet_values(records: Sequence[Record]) -> dict[str, list[str]]:
    """What there is to filter by, in the order of tables; no facet that has one value alone."""
    cases = [record.case for record in records]
    tracks = {case.track for case in cases}
    found = {
        "network": [case.variant for case in sorted(cases, key=variant_place)],
        "framework": frameworks_of(records),
        "track": [name for name in TRACKS if name in tracks],
        "device": sorted(device_of(case) for case in cases),
        "precision": sorted(case.precision for case in cases),
    }
    distinct = {name: list(dict.fromkeys(values)) for name, values in found.items()}
    return {name: values for name, values in distinct.items() if len(values) > 1}


def _figures(plots: Sequence[Plot]) -> list[Figure]:
    return [
        Figure(
            plot,
            inline_svg(plot, place),
            inline_narrow(plot, place),
            _track_of(plot),
        )
        for place, plot in enumerate(plots)
    ]


def _track_of(plot: Plot) -> str:
    """The track in a plot's name: ``<plot>_<track>…``."""
    return next((name for name in TRACKS if f"_{name}" in plot.name), "")


def inline_svg(plot: Plot, place: int) -> Markup:
    """The drawing as an element of the page: its own ids, and the page's colours for text."""
    return _inline(plot.svg.read_text(encoding="utf-8"), plot.title, f"p{place}")


def inline_narrow(plot: Plot, place: int) -> Markup:
    """The same of its drawing for the width of a phone; empty where it has none."""
    return _inline(plot.narrow, plot.title, f"n{place}") if plot.narrow else Markup("")


def _inline(text: str, title: str, own: str) -> Markup:
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{own}-", text)
    text = _PLACES.sub(lambda found: re.sub(r"(\d\.\d\d)\d+", r"\1", found[0]), text)
    text = re.sub(r"\n\s*", "\n", text)
    for colour, name in _COLOURS:
        text = text.replace(f": {colour}", f": var(--{name})")
    label = Markup.escape(title)
    width = re.search(r'viewBox="0 0 ([\d.]+) ', text)
    size = f' style="--width: {_SIZE * float(width[1]):.0f}px"' if width else ""
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{label}"{size}', 1))


_SIZE = 1.45
"""Pixels of a point of a drawing: texts are as large as those of the page, in all drawings."""
_PLACES = re.compile(r'(?<= d=")[^"]*|(?<= [xy]=")[^"]*')
"""Coordinates, of which two digits after the point are more than a screen shows."""
_COLOURS = ((INK, "ink"), (SOFT, "soft"), (GRID, "line"), ("#ffffff", "paper"))
"""Colours of drawings that follow the page's, light or dark."""


def more_rows(found: Sequence[Group]) -> dict[str, Any]:
    """``rows`` by the anchor of a table: those that only the script has; and their ``facets``."""
    facets: dict[tuple[str, ...], int] = {}
    rows = {
        part.name: [row.to_json(facets.setdefault(row.facets, len(facets))) for row in part.more]
        for part in _parts(found)
        if part.more
    }
    return {"rows": rows, "facets": list(facets)}


def _parts(found: Sequence[Group]) -> Iterator[Part]:
    for group in found:
        for chapter in group.chapters:
            yield from chapter.parts
