"""How every plot looks: colours, marks, sizes, the line that names the data, and saving.

One colour and line style per framework and one mark per normalisation, in every plot.

Figures are made without pyplot, so that nothing global is left changed; a figure drawn twice from
the same records is the same file, byte for byte.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import fill
from typing import Any, TypeVar

import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import ScaledTranslation

from bench.analysis.experiments import Data
from bench.core.case import PRECISIONS
from bench.core.files import write_whole
from bench.networks.normalisations import normalisation_of
from bench.training.frameworks import FRAMEWORKS

PHONE = 4.3
"""Inches of a figure for the width of a phone, where its letters are as large as small print."""
ALONE = 8.2
"""Inches of a figure with one column of panels, where there is room."""

INK, SOFT, GRID = "#1f2328", "#59636e", "#d8dde3"

# For frameworks whose row has none; the rest of Okabe and Ito's palette (see the rows).
_SPARE_COLOURS = ("#e69f00", "#56b4e9", "#000000")
_SPARE_DASHES = ((0, (1, 3)), (0, (6, 2)), (0, (4, 1, 1, 1, 1, 1)))
MARKERS = {"none": "o", "LRN": "s", "BatchNorm": "D"}
"""By the normalisation of a network; of any other it is `_OTHER_MARKER`."""
_OTHER_MARKER = "^"

Dash = Any
"""A line style of matplotlib: a sign, or an offset with lengths of lines and gaps."""
T = TypeVar("T")

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    # Marks without a length are drawn all the same, a third of the objects of an axis.
    "xtick.bottom": False,
    "ytick.left": False,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.major.size": 0,
    "axes.titley": 1.0,  # where it stands anyway: no search for what it might cover
    "legend.frameon": False,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # text stays text: small files that can be searched and read aloud
    "svg.hashsalt": "alexbench",  # ids would be drawn at random otherwise
}


_STYLES: list[str | dict[Any, Any]] = ["default", STYLE]


@dataclass(frozen=True)
class Drawing:
    """A figure with what a reader needs to know about it."""

    name: str
    """Name of its files."""
    title: str
    how: str
    """How to read it, one paragraph."""
    figure: Figure
    below: float = 0.0
    """Share of its height that is taken by the lines below it (`below`)."""
    notes: tuple[str, ...] = ()
    """What a reader must know of it, a sentence each without a full stop: written below it."""


@dataclass(frozen=True)
class Plot:
    """The files of one drawing, and the name of the table that the page shows it with."""

    table: str
    name: str
    title: str
    how: str
    svg: Path
    png: Path | None
    """None in a large report: the page shows the SVG file."""
    narrow: str = ""
    """The drawing as SVG for the width of a phone; empty where the file serves, or names leave
    its panels no room."""


def colour(label: str, labels: Sequence[str]) -> str:
    """The fixed colour of a framework, the same for all of its executions.

    Args:
        label: Of the framework, with its execution where that is unusual.
        labels: All of the figure. Newcomers among frameworks take the spare colours in this order.
    """
    own = {name: row.colour for name, row in FRAMEWORKS.items() if row.colour}
    names = list(dict.fromkeys(map(_framework, labels)))
    return _fixed(_framework(label), names, own, _SPARE_COLOURS)


def dash(label: str, labels: Sequence[str]) -> Dash:
    """The fixed line style of a framework: colour is never the only thing that tells curves apart.

    Its unusual executions take the spare styles; arguments as for `colour`.
    """
    own: dict[str, Dash] = {name: row.dash for name, row in FRAMEWORKS.items() if row.dash}
    return _fixed(label, labels, own, _SPARE_DASHES)


def face(label: str, labels: Sequence[str]) -> str:
    """The colour within a mark, where marks alone are drawn: white for an unusual execution, and
    for the second precision of a framework."""
    own = _framework(label)
    told = [name for name in labels if _framework(name) == own and _has_precision(name)]
    filled = label == own or told[:1] == [label]
    return colour(label, labels) if filled else "white"


def _has_precision(label: str) -> bool:
    return label.rpartition(" ")[2] in PRECISIONS


def _framework(label: str) -> str:
    """The framework of a label: ``pytorch`` of ``pytorch compiled``."""
    return label.partition(" ")[0]


def marker(variant: str) -> str:
    """The mark of a network: that of its normalisation."""
    return MARKERS.get(normalisation_of(variant), _OTHER_MARKER)


def _fixed(
    framework: str, frameworks: Sequence[str], own: Mapping[str, T], spare: Sequence[T]
) -> T:
    if framework in own:
        return own[framework]
    newcomers = [name for name in frameworks if name not in own]
    return spare[newcomers.index(framework) % len(spare)]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2, 1.4.3)."""
    low, high = sorted(map(_luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(tint: str) -> float:
    parts = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in to_rgb(tint)
    ]
    return sum(part * weight for part, weight in zip(parts, (0.2126, 0.7152, 0.0722), strict=True))


_HOVER = "hover: "


def hover(artist: Artist, text: str) -> None:
    """Let a reader of the SVG see `text` when the pointer is on an artist."""
    artist.set_gid(f"{_HOVER}{' '.join(text.split())}".replace('"', "″"))


def _with_titles(svg: str) -> str:
    """The drawing with the texts of `hover` as SVG titles."""
    nothing_drawn = re.sub(f'<g id="{_HOVER}[^"]*"\\s*/>', "", svg)
    return re.sub(f'<g id="{_HOVER}([^"]*)">', r"<g><title>\1</title>", nothing_drawn)


def style() -> AbstractContextManager[None]:
    """The style, while figures are made and saved: nothing of the user's matplotlibrc."""
    return matplotlib.style.context(_STYLES)


def use_style() -> None:
    """Enter the style for the rest of the process."""
    matplotlib.style.use(_STYLES)


def new_figure(width: float, height: float, title: str, data: Data) -> Figure:
    """An empty figure (inches) with its title above and the name of its data below."""
    air = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.04, hspace=0.06)
    figure = Figure(figsize=(width, height), layout=air)
    FigureCanvasAgg(figure)
    name = figure.text(0.01, 1, f"Data: {data.label}", va="top", color=SOFT, label=_DATA)
    name.set_in_layout(False)
    _fit(name, (9.5, 8.5), _room(figure))
    retitle(figure, title)
    return figure


_DATA = "data"
_TITLE_SIZES = (12, 11, 10)
_TITLE_LINE, _DATA_LINE = 0.2, 0.15  # inches


def _room(figure: Figure) -> float:
    """Pixels that a line of text may take across a figure.

    Less than its width: a browser sets the texts of an SVG file in a face of the reader's, which
    may be wider than the one that they are measured in.
    """
    return 0.9 * figure.bbox.width


def _fit(text: Text, sizes: Sequence[float], room: float) -> None:
    """Set a text in the largest size in which it is one line; in several where it fits in none."""
    words = text.get_text()
    for size in sizes:
        text.set_fontsize(size)
        wide = text.get_window_extent().width
        if wide <= room:
            return
    letters = int(len(words) * room / wide)
    while letters > 1 and text.get_window_extent().width > room:
        text.set_text(in_lines(words, letters))
        letters -= 1


def _evenly(text: str) -> str:
    """The same in as many lines, of much the same length."""
    words, letters = " ".join(text.split()), len(text)
    while letters > 1 and in_lines(words, letters - 1).count("\n") <= text.count("\n"):
        letters -= 1
    return in_lines(words, letters)


def retitle(figure: Figure, title: str) -> None:
    """Another title, smaller or in lines where it would be cut; the figure grows for lines."""
    (name,) = [text for text in figure.texts if text.get_label() == _DATA]
    former = figure.get_suptitle()
    above = figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    _fit(above, _TITLE_SIZES, _room(figure))
    lines, below_title = (text.get_text().count("\n") for text in (above, name))
    # Empty lines keep the place of the data's name, which is set in a smaller face.
    above.set_text(_evenly(above.get_text()) + "\n" * (1 + below_title))
    down = 0.3 + _TITLE_LINE * lines
    name.set_transform(figure.transFigure + ScaledTranslation(0, -down, figure.dpi_scale_trans))
    grown = above.get_text().count("\n") - (former.count("\n") or 1)
    figure.set_figheight(figure.get_figheight() + _TITLE_LINE * grown)


def grid_of_axes(
    figure: Figure, rows: int, columns: int, heights: Sequence[float] | None = None
) -> list[list[Axes]]:
    """Axes by row and column; `heights` of the rows are relative, None where they are equal."""
    axes = figure.subplots(rows, columns, squeeze=False, height_ratios=heights)
    return [[axes[r][c] for c in range(columns)] for r in range(rows)]


def name_rows(
    axes: Axes,
    names: Mapping[float, str],
    *,
    bold: Container[float] = (),
    size: float = 10,
    above: float | None = None,
) -> None:
    """Write the names of rows at the left of a panel, which then has no other names there.

    They are texts: a tick has five parts, each of which takes as long to lay out as a text.

    Args:
        axes: The panel.
        names: By the place of a row on the y axis.
        bold: The places of headings.
        size: Of the letters.
        above: How far above its row a name stands within the panel, on the y axis; headings stay.
    """
    axes.set_yticks([])
    axes.grid(visible=False, axis="y")
    figure = axes.get_figure(root=True)
    assert figure is not None
    aside = ScaledTranslation(-_NAME_PAD / 72, 0, figure.dpi_scale_trans)
    place = axes.get_yaxis_transform()
    for at, name in names.items():
        weight = "bold" if at in bold else "normal"
        if above is None:
            text = axes.text(0, at, name, transform=place + aside, ha="right", va="center_baseline")
        else:
            y = at if at in bold else at - above
            va = "center_baseline" if at in bold else "bottom"
            text = axes.text(0, y, name, transform=place, ha="left", va=va)
            text.set_in_layout(False)  # it may reach over the figures right of the panel
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8})
        text.set(fontsize=size, fontweight=weight)


_NAME_PAD = 3.5  # points between a name and its panel


def in_lines(title: str, letters: int) -> str:
    """A title above axes, in lines of at most so many letters; names stay in one piece."""
    tied = title.replace(_SIGNED, _TIED)
    return fill(tied, letters, break_on_hyphens=False, break_long_words=False).replace(
        _TIED, _SIGNED
    )


_SIGNED, _TIED = " ‡", "\u00a0‡"
"""A sign stays on the line of the name before it."""


def framework_legend(
    figure: Figure,
    frameworks: Iterable[str],
    *,
    known: Sequence[str] = (),
    lines: bool = False,
    broad: Container[str] = (),
    networks: Iterable[str] = (),
) -> None:
    """One legend for the whole figure, below the panels: frameworks, then normalisations.

    Args:
        figure: The figure.
        frameworks: Names, each with its colour.
        known: All names that the plot has its looks from; by default these.
        lines: Whether the plot has curves: then each has its line style, too.
        broad: The frameworks whose curve is the broad pale one (`BROAD`).
        networks: The networks whose marks are in the plot.
    """
    names, plain = list(frameworks), {"linewidth": 2}
    known = known or names
    handles = [
        Line2D(
            [],
            [],
            color=colour(name, known),
            marker="" if lines else "s",
            markerfacecolor=face(name, known),
            label=name,
            **(
                BROAD
                if name in broad
                else {"linestyle": dash(name, known) if lines else ""} | plain
            ),
        )
        for name in names
    ]
    marks = {normalisation_of(network): marker(network) for network in networks}
    found = {name: marks[name] for name in {**MARKERS, **marks} if name in marks}
    handles += [
        Line2D([], [], color=SOFT, marker=mark, linestyle="", label=_mark_label(name))
        for name, mark in found.items()
    ]
    legend_below(figure, handles)


def legend_below(figure: Figure, handles: Sequence[Artist], length: float = 2.0) -> None:
    """A legend below the panels, in as many columns (four at most) as there is room for.

    Args:
        figure: The figure.
        handles: What is explained.
        length: Of its lines, in sizes of the letters.
    """
    for columns in range(min(4, len(handles)), 0, -1):
        legend = figure.legend(
            handles=handles, loc="outside lower center", ncols=columns, handlelength=length
        )
        if columns == 1 or legend.get_window_extent().width <= _room(figure):
            break
        legend.remove()


def sign(label: str, mark: str = "", line: Dash = "") -> Line2D:
    """What a sign that has no framework's colour means, for a legend: a hollow mark, or a line."""
    return Line2D(
        [], [], color=SOFT, marker=mark, markerfacecolor="none", linestyle=line, label=label
    )


BROAD: dict[str, Any] = {"linestyle": "-", "linewidth": 4.0, "alpha": 0.45}
"""A curve that others lie on: it is broad and pale, so that none hides another."""


def beside_sign(
    axes: Axes,
    at: tuple[float, float],
    words: str,
    tint: str,
    line: Dash | Mapping[str, Any],
    *,
    points: float = 0,
    size: float = 10,
) -> None:
    """Write words after a piece of their curve: no text has its colour, which is often too pale.

    Args:
        axes: The panel.
        at: Where the piece begins, in shares of the panel.
        words: What is written.
        tint: Colour of the curve.
        line: Its style, or all of its look.
        points: How far right of `at` the piece begins.
        size: Of the letters.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    place = figure.dpi_scale_trans + ScaledTranslation(*at, axes.transAxes)  # type: ignore[arg-type]
    ends = [points / 72, (points + _PIECE) / 72]
    look = line if isinstance(line, Mapping) else {"linestyle": line}
    axes.add_artist(Line2D(ends, [0, 0], color=tint, transform=place, clip_on=False, **look))
    axes.annotate(
        words,
        at,
        (points + _PIECE + 4, 0),
        "axes fraction",
        "offset points",
        va="center",
        fontsize=size,
    )


_PIECE = 18
"""Points of a curve that are drawn before its name."""


def _mark_label(normalisation: str) -> str:
    words = {"none": "no normalisation", "unknown": "another network, or several"}
    return words.get(normalisation, normalisation)


_LETTERS_PER_INCH = 14
_NOTE_SIZE = 8.5
_NOTE_LINE = 0.15  # inches


def below(figure: Figure, lines: Sequence[str]) -> float:
    """Write lines below all else of a figure, which grows for them; the share that they take."""
    width, height = map(float, figure.get_size_inches())
    text = "\n".join(fill(line, int(_LETTERS_PER_INCH * width)) for line in lines)
    inches = 0.1 + _NOTE_LINE * (text.count("\n") + 1)
    figure.set_figheight(height + inches)
    share = inches / (height + inches)
    figure.text(0.01, 0.06 / (height + inches), text, fontsize=_NOTE_SIZE, color=SOFT, va="bottom")
    figure.texts[-1].set_in_layout(False)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, share, 1, 1 - share))
    return share


def _skip_empty_labels(figure: Figure) -> None:
    """Place the labels of axes that have no text: every layout would measure all ticks for them."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if not axis.get_label_text():
                axis.set_label_coords(0, 0)


def save(
    drawing: Drawing,
    folder: Path,
    table: str,
    *,
    raster: bool = True,
    narrow: Drawing | None = None,
) -> Plot:
    """Write ``<name>.svg``, and with `raster` ``.png``, into `folder`.

    Raises OSError where it cannot.

    Args:
        drawing: What is written.
        folder: Where to.
        table: Name of the table that the page shows it with.
        raster: Whether there is a PNG file.
        narrow: The same for the width of a phone, which only the page has.
    """
    svg, png = folder / f"{drawing.name}.svg", folder / f"{drawing.name}.png"
    figure = drawing.figure
    write_whole(svg, _as_svg(drawing))
    plot = Plot(table, drawing.name, drawing.title, drawing.how, svg, None)
    if narrow is not None:
        plot = replace(plot, narrow=_if_it_fits(narrow))
    if not raster:
        return plot
    figure.set_dpi(150)
    canvas = FigureCanvasAgg(figure)
    image = io.BytesIO()
    canvas.print_png(image, metadata={"Software": None})  # type: ignore[no-untyped-call]
    write_whole(png, image.getvalue())
    return replace(plot, png=png)


def _if_it_fits(drawing: Drawing) -> str:
    """The drawing as SVG; empty where names leave its panels no room."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="constrained_layout not applied")
        try:
            return _as_svg(drawing)
        except UserWarning:
            return ""


def _as_svg(drawing: Drawing) -> str:
    """The drawing as SVG; its figure is laid out once and keeps that layout."""
    figure = drawing.figure
    # The layout takes longer than a file: once for both. `savefig` would compute it four times.
    engine = figure.get_layout_engine()
    if engine is not None:
        _skip_empty_labels(figure)
        engine.execute(figure)
        figure.set_layout_engine("none")
    if drawing.below:
        # Only now: the layout leaves no room for a legend that has an anchor.
        for legend in figure.legends:
            anchor = (0, drawing.below, 1, 1 - drawing.below)
            legend.set_bbox_to_anchor(anchor, figure.transFigure)
    # Without these the file would say when and by which version it was made.
    without = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    text = io.StringIO()
    FigureCanvasSVG(figure).print_svg(text, metadata=without)  # type: ignore[no-untyped-call]
    return _with_titles(text.getvalue())
