"""How every plot looks: colours, sizes, the line that names the data, and saving.

Figures are made without pyplot, so that nothing global is left changed; a figure drawn twice from
the same records is the same file, byte for byte.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import ScaledTranslation

from bench.analysis.experiments import Data
from bench.core.files import write_whole
from bench.training.frameworks import FRAMEWORKS

_TITLE_SIZE = 12

INK, SOFT, GRID = "#1f2328", "#59636e", "#d8dde3"

# For frameworks whose row has none; the rest of Okabe and Ito's palette (see the rows).
_SPARE_COLOURS = ("#e69f00", "#56b4e9", "#000000")
_SPARE_MARKERS = ("v", "P", "X")

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
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
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # text stays text: small files that can be searched and read aloud
    "svg.hashsalt": "alexbench",  # ids would be drawn at random otherwise
}


@dataclass(frozen=True)
class Drawing:
    """A figure with what a reader needs to know about it."""

    name: str
    """Name of its files."""
    title: str
    how: str
    """How to read it, one paragraph."""
    figure: Figure


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


def colour(framework: str, frameworks: Sequence[str]) -> str:
    """The framework's fixed colour; newcomers take the spare ones in the order of `frameworks`."""
    own = {name: row.colour for name, row in FRAMEWORKS.items() if row.colour}
    return _fixed(framework, frameworks, own, _SPARE_COLOURS)


def marker(framework: str, frameworks: Sequence[str]) -> str:
    """The framework's fixed marker: colour is never the only thing that tells them apart."""
    own = {name: row.marker for name, row in FRAMEWORKS.items() if row.marker}
    return _fixed(framework, frameworks, own, _SPARE_MARKERS)


def _fixed(
    framework: str, frameworks: Sequence[str], own: Mapping[str, str], spare: Sequence[str]
) -> str:
    if framework in own:
        return own[framework]
    newcomers = [name for name in frameworks if name not in own]
    return spare[newcomers.index(framework) % len(spare)]


def style() -> AbstractContextManager[None]:
    """The style, while figures are made and saved: nothing of the user's matplotlibrc."""
    return matplotlib.style.context(["default", STYLE])


def new_figure(width: float, height: float, title: str, data: Data) -> Figure:
    """An empty figure (inches) with its title above and the name of its data below."""
    air = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.04, hspace=0.06)
    figure = Figure(figsize=(width, height), layout=air)
    FigureCanvasAgg(figure)
    _title(figure, title)
    below_title = figure.transFigure + ScaledTranslation(0, -0.3, figure.dpi_scale_trans)
    name = figure.text(0.01, 1, f"Data: {data.label}", va="top", fontsize=8.5, color=SOFT)
    name.set_transform(below_title)
    name.set_in_layout(False)
    return figure


def retitle(figure: Figure, title: str) -> None:
    """Another title, as large as before where it fits and smaller where it would be cut."""
    room = 0.98 * figure.bbox.width
    for size in (_TITLE_SIZE, 11, 10, 9, 8):
        if _title(figure, title, size).get_window_extent().width <= room:
            return


def _title(figure: Figure, title: str, size: float = _TITLE_SIZE) -> Text:
    # The empty second line keeps the place of the data's name, which is set in a smaller face.
    return figure.suptitle(f"{title}\n", x=0.01, ha="left", fontsize=size, fontweight="bold")


def grid_of_axes(figure: Figure, rows: int, columns: int) -> list[list[Axes]]:
    """Axes by row and column."""
    axes = figure.subplots(rows, columns, squeeze=False)
    return [[axes[r][c] for c in range(columns)] for r in range(rows)]


def in_lines(title: str, letters: int) -> str:
    """A title above axes, in lines of at most so many letters; names stay in one piece."""
    return fill(title, letters, break_on_hyphens=False, break_long_words=False)


def plain_numbers() -> FuncFormatter:
    """Tick labels with thousands apart, as in the tables: ``12,000``."""
    return FuncFormatter(lambda value, _: f"{value:,.10g}")


def framework_legend(figure: Figure, frameworks: Iterable[str], *, lines: bool = False) -> None:
    """One legend for the whole figure, below the panels."""
    names = list(frameworks)
    handles = [
        Line2D(
            [],
            [],
            color=colour(name, names),
            marker=marker(name, names),
            linestyle="-" if lines else "",
            label=name,
        )
        for name in names
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=max(len(names), 1))


def save(drawing: Drawing, folder: Path, table: str, *, raster: bool = True) -> Plot:
    """Write ``<name>.svg``, and with `raster` ``.png``, into `folder`.

    Raises OSError where it cannot.
    """
    svg, png = folder / f"{drawing.name}.svg", folder / f"{drawing.name}.png"
    figure = drawing.figure
    # The layout takes longer than a file: once for both. `savefig` would compute it four times.
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    # Without these the file would say when and by which version it was made.
    without = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    text = io.StringIO()
    FigureCanvasSVG(figure).print_svg(text, metadata=without)  # type: ignore[no-untyped-call]
    write_whole(svg, text.getvalue())
    if not raster:
        return Plot(table, drawing.name, drawing.title, drawing.how, svg, None)
    figure.set_dpi(150)
    canvas = FigureCanvasAgg(figure)
    image = io.BytesIO()
    canvas.print_png(image, metadata={"Software": None})  # type: ignore[no-untyped-call]
    write_whole(png, image.getvalue())
    return Plot(table, drawing.name, drawing.title, drawing.how, svg, png)
