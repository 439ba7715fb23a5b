"""Accuracy by class: the table, its plot, the confusion matrices, and the classes confused most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from bench.analysis.experiments import Experiment, labels
from bench.analysis.published import MEAN_OF_CLASSES
from bench.analysis.results import Results
from bench.analysis.rows import (
    FACTS,
    IDENTITY,
    Row,
    counts,
    identity,
    mean_over_seeds,
    published_columns,
)
from bench.core.case import Case
from bench.report.columns import Column, dagger, fraction, how, seeds_of, text, who, whole
from bench.report.format import joined, known, percent, share
from bench.report.leads import who_among
from bench.report.panels import Lines, first_panels, panels_of, signed_title
from bench.report.plot_axes import accuracy_axis, one_scale
from bench.report.plot_style import (
    ALONE,
    Drawing,
    colour,
    contrast,
    face,
    framework_legend,
    grid_of_axes,
    hover,
    in_lines,
    marker,
    name_rows,
    new_figure,
)
from bench.report.report import Part
from bench.report.table import Chart, Table

PAIRS = 5
"""Confused classes of each training in the table."""
_LETTERS = 42  # of a title above axes 4.5 inches wide
_MATRIX_LETTERS = 24  # of one above a matrix
_ACROSS = 4  # matrices side by side, where a network has no more
_SMALL, _FIGURES, _ON_PHONE = 7, 6, 9  # points of names and figures of a matrix
_DRAWN, _IN_A_MATRIX = 40, 20  # classes of a panel of dots, and of a matrix, at most
_NAME, _NAME_OF_A_MATRIX, _NAME_ON_PHONE = 22, 14, 16  # letters of a class in a plot at most
_LIGHT, _DARK = "#fffffe", "#010101"
"""On the cells of a matrix, whose colours are the same on a light page and on a dark one: none of
the colours that follow the page's (`bench.report.page.chapters`)."""


_OTHERS = frozenset(
    (*IDENTITY, *FACTS, MEAN_OF_CLASSES, "published", "published_source", "published_unlike")
)
"""Columns of a row that are no class."""


def per_class_rows(results: Results) -> list[Row]:
    """Test accuracy (fraction) of each class, mean over seeds; a column named after each class.

    ``published`` is a published mean over the classes.
    """
    rows = []
    for experiment in results.experiments("accuracy"):
        means = _per_class(experiment)
        if means:
            row = identity(experiment, results.data) | counts(experiment)
            row |= results.comparability(experiment)
            row[MEAN_OF_CLASSES] = float(np.mean(list(means.values())))
            relevant = results.data.is_cifar
            row |= published_columns(MEAN_OF_CLASSES, experiment, relevant=relevant)
            rows.append(row | {_key(name, row): value for name, value in means.items()})
    return rows


def _key(name: str, row: Row) -> str:
    """The key of a class in a row whose other columns may have the same name."""
    return f"class {name}" if name in row or name in _OTHERS else name


def _per_class(experiment: Experiment) -> dict[str, float]:
    """Mean over seeds of each class's accuracy; empty where none was recorded."""
    found = [r.metrics["per_class"] for r in experiment.ok if r.metrics.get("per_class")]
    names = found[0] if found else {}
    return {name: mean_over_seeds([seed[name] for seed in found]).value for name in names}


def columns(rows: Sequence[Row]) -> list[Column]:
    """A column for each class, in the order of the dataset."""
    classes = _classes(rows)
    return [
        *who(),
        fraction("mean", MEAN_OF_CLASSES),
        dagger("published mean †", share),
        *(fraction(name, name) for name in classes),
        Column("seeds", seeds_of),
        *how(rows),
    ]


def _classes(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row if key not in _OTHERS))


def lead(rows: Sequence[Row]) -> str:
    """The hardest and the easiest class over all rows."""
    found = {name: [row[name] for row in rows if known(row.get(name))] for name in _classes(rows)}
    means = sorted((float(np.mean(values)), name) for name, values in found.items() if values)
    if len(means) < 2:
        return ""
    ends = [f"{name} ({percent(value)})" for value, name in (means[0], means[-1])]
    return f"Hardest and easiest class, mean over all rows: {joined(ends)}."


def per_class(part: Part) -> Drawing | None:
    """A dot per framework for each class, a panel per network."""
    found = [e for e in part.experiments("accuracy") if _per_class(e)]
    if not found:
        return None
    panels, left_out = first_panels(panels_of(found), "per_class", part.panels)
    names, dots = labels(panels), Lines.of(part.frameworks, panels.values())
    columns = part.across(len(panels))
    rows = -(-len(panels) // columns)
    classes, hardest = _hardest(found, _DRAWN)
    title = f"Accuracy by class, {part.track} track"
    wide = part.width(5 * columns if columns > 1 else ALONE)
    figure = new_figure(wide, 1.3 + rows * (0.8 + 0.29 * len(classes)), title, part.data)
    places = [axes for row in grid_of_axes(figure, rows, columns) for axes in row]
    for axes, (case, panel) in zip(places, panels.items(), strict=False):
        axes.set_title(
            in_lines(signed_title(names[case], panel, timed=False), part.letters(_LETTERS))
        )
        _dots(axes, panel, dots, classes)
        letters = _NAME_ON_PHONE if part.narrow else _NAME
        axes.set_yticks(range(len(classes)), [_short(name, letters) for name in classes])
    one_scale(places[: len(panels)])
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    networks = [case.variant for case in panels]
    framework_legend(figure, dots.shown, known=dots.known, networks=networks)
    return Drawing(
        f"per_class_{part.track}",
        title,
        "Further right is better: the share of a class's test images that were classified "
        "correctly, mean over seeds. All panels share a scale, which does not start at zero."
        f"{hardest}{left_out}",
        figure,
    )


def _hardest(found: Sequence[Experiment], most: int) -> tuple[list[str], str]:
    """The classes that a plot has, in the order of the dataset, and what it says of the others:
    where there are more, those with the lowest accuracy over all trainings are drawn."""
    trained = [by_class for e in found if (by_class := _per_class(e))]
    classes = list(trained[0]) if trained else []
    if len(classes) <= most:
        return classes, ""
    mean = {name: np.mean([by_class.get(name, 1.0) for by_class in trained]) for name in classes}
    drawn = set(sorted(classes, key=lambda name: mean[name])[:most])
    words = f" Only the {most} hardest of {len(classes):,} classes are drawn"
    return [name for name in classes if name in drawn], f"{words}; tables/per_class.csv has all."


def _short(name: str, letters: int) -> str:
    """A name of so many letters at most, without its middle: names may differ at their ends."""
    if len(name) <= letters:
        return name
    end = (letters - 1) // 3
    return f"{name[: letters - 1 - end].rstrip()}…{name[-end:].lstrip()}"


def _dots(axes: Axes, panel: Sequence[Experiment], dots: Lines, classes: Sequence[str]) -> None:
    for place, experiment in enumerate(panel):
        name_of = dots.names[experiment.case]
        shift = 0.16 * (place - (len(panel) - 1) / 2)  # next to each other where they agree
        tint = colour(name_of, dots.known)
        values = _per_class(experiment)
        for line, name in enumerate(classes):
            value = values[name]
            shape = marker(experiment.case.variant)
            inside = face(name_of, dots.known)
            (dot,) = axes.plot(value, line + shift, shape, color=tint, markersize=5.5, mfc=inside)
            hover(dot, f"{name_of}, {name}: {percent(value)}")
    axes.set_xlim(*accuracy_axis((axes.dataLim.x0, axes.dataLim.x1), 0.05))
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def confusion(part: Part) -> Drawing | None:
    """A small matrix per network and framework, each row a true class that sums to 100 %."""
    found = [
        e for e in part.experiments("accuracy") if any(r.metrics.get("confusion") for r in e.ok)
    ]
    if not found:
        return None
    # One group per place: here cases that differ in precision stand apart in either track.
    matrices: dict[Case, list[Experiment]] = {}
    for experiment in found:
        matrices.setdefault(replace(experiment.case, framework=""), []).append(experiment)
    panels, left_out = first_panels(matrices, "per_class", part.panels)
    names = labels(panels)
    titled = [(_above(names[case], e), e) for case, panel in panels.items() for e in panel]
    columns = _columns([len(panel) for panel in panels.values()])
    columns = part.across(columns, columns)
    rows = -(-len(titled) // columns)
    drawn, hardest = _hardest(found, _IN_A_MATRIX)
    title = f"Confusion of classes, {part.track} track"
    lines = max(above.count("\n") + 1 for above, _ in titled)
    height = 0.8 + rows * ((3.9 if part.narrow else 2.8) + 0.16 * lines)
    figure = new_figure(part.width(max(5.5, 1.3 + 2.2 * columns)), height, title, part.data)
    places = [axes for row in grid_of_axes(figure, rows, columns) for axes in row]
    for place, (axes, (above, experiment)) in enumerate(zip(places, titled, strict=False)):
        axes.set_title(above, fontsize=9)
        sizes = (_ON_PHONE, _ON_PHONE) if part.narrow else (_SMALL, _FIGURES)
        _matrix(axes, experiment, sizes, drawn, first=place % columns == 0)
    for axes in places[len(titled) :]:
        axes.set_axis_off()
    return Drawing(
        f"confusion_{part.track}",
        title,
        "Rows are true classes, columns predictions; a darker square is a larger share of its row, "
        "on a square-root scale. Errors are off the diagonal; the figures on it are percentages. "
        f"Seeds are added up.{hardest}{left_out}",
        figure,
    )


def _above(network: str, experiment: Experiment) -> str:
    """The title of a matrix: its network, and below it its framework."""
    signed = signed_title(experiment.case.framework_label, [experiment], timed=False)
    return f"{in_lines(network, _MATRIX_LETTERS)}\n{signed}"


def _columns(sizes: Sequence[int]) -> int:
    """Columns for groups of matrices: no group is broken where all are of one size."""
    alike = sizes[0] if len(set(sizes)) == 1 else 1
    return min(sum(sizes), max(1, _ACROSS // alike) * alike)


def _matrix(
    axes: Axes,
    experiment: Experiment,
    sizes: tuple[float, float],
    drawn: Sequence[str],
    *,
    first: bool,
) -> None:
    """Draw a matrix of some classes, with names and figures of these sizes; rows have names where
    it is `first`."""
    names, figures = sizes
    found = [r.metrics for r in experiment.ok if r.metrics.get("confusion")]
    counts = np.sum([np.asarray(m["confusion"], dtype=int) for m in found], axis=0)
    totals = counts.sum(axis=1)
    classes = found[0].get("classes") or [str(i) for i in range(len(counts))]
    kept = [i for i, name in enumerate(classes) if name in drawn] or list(range(len(classes)))
    counts, totals = counts[np.ix_(kept, kept)], totals[kept]
    classes = [classes[i] for i in kept]
    shown = [_short(name, _NAME_OF_A_MATRIX) for name in classes]
    middles = np.arange(len(classes)) + 0.5
    name_rows(axes, dict(zip(middles, shown, strict=True)) if first else {}, size=names)
    for (row, column), number in np.ndenumerate(counts):
        share = number / max(totals[row], 1)
        # By its square root: an error of 5 % must be visible next to a diagonal of 70 %.
        tint = to_hex(colormaps["Blues"](share**0.5))
        cell = Rectangle((column, row), 1, 1, facecolor=tint, edgecolor=_LIGHT, linewidth=0.3)
        cell.set_in_layout(False)
        axes.add_patch(cell)
        taken = f"{classes[row]} taken for {classes[column]}"
        hover(cell, f"{taken}: {number:,} of {totals[row]:,}")
        if row == column:
            middle, figure = (column + 0.5, row + 0.5), f"{100 * share:.0f}"
            axes.text(*middle, figure, ha="center", va="center", fontsize=figures, color=_on(tint))
    axes.set_xlim(0, len(classes))
    axes.set_ylim(len(classes), 0)
    axes.set_aspect("equal", anchor="S")  # room for the names below it is kept so
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xticks(middles, shown, rotation=90, fontsize=names)


def _on(tint: str) -> str:
    """The colour of figures on a cell: the one with the higher contrast (WCAG)."""
    return max((_LIGHT, _DARK), key=lambda colour: contrast(colour, tint))


TABLE = Table(
    "per_class",
    "Accuracy by class",
    "Share of each class's test images that were classified correctly, mean over seeds.",
    per_class_rows,
    columns,
    charts=(Chart("per_class", per_class, ("accuracy",)),),
    lead=lead,
    kinds=("accuracy",),
)


def confusion_rows(results: Results) -> list[Row]:
    """For each training the classes that were mistaken for each other most often.

    ``images`` are those of both directions, seeds added up; ``one_as_other`` and ``other_as_one``
    are shares of the test images of the class that comes first in each.
    """
    return [
        identity(experiment, results.data) | counts(experiment) | pair
        for experiment in results.experiments("accuracy")
        for pair in most_confused(experiment)
    ]


def most_confused(experiment: Experiment, number: int = PAIRS) -> list[Row]:
    """The pairs with the most errors, in both directions together; none where nothing is wrong."""
    found = [r.metrics for r in experiment.ok if r.metrics.get("confusion")]
    if not found:
        return []
    matrix = np.sum([np.asarray(m["confusion"], dtype=np.int64) for m in found], axis=0)
    names = found[0].get("classes") or []
    if len(names) != len(matrix):
        names = [f"class {i}" for i in range(len(matrix))]
    totals = np.maximum(matrix.sum(axis=1), 1)
    both = np.triu(matrix + matrix.T, k=1)
    order = np.argsort(-both, axis=None, kind="stable")[:number]
    pairs = [divmod(int(place), len(matrix)) for place in order]
    return [
        {
            "rank": rank,
            "one": names[a],
            "other": names[b],
            "images": int(both[a, b]),
            "one_as_other": float(matrix[a, b] / totals[a]),
            "other_as_one": float(matrix[b, a] / totals[b]),
        }
        for rank, (a, b) in enumerate(pairs, start=1)
        if both[a, b]
    ]


def confusion_columns(rows: Sequence[Row]) -> list[Column]:
    """The pair, how many images, and the share in each direction."""
    return [
        *who(),
        text("class A", "one"),
        text("class B", "other"),
        fraction("A taken for B", "one_as_other"),
        fraction("B taken for A", "other_as_one"),
        whole("images", "images"),
        whole("rank", "rank"),
        Column("seeds", seeds_of),
        *how(rows),
    ]


def confusion_lead(rows: Sequence[Row]) -> str:
    """The pair that is confused most, over all rows."""
    if not rows:
        return ""
    worst = max(rows, key=lambda row: max(row["one_as_other"], row["other_as_one"]))
    pair = (worst["one"], worst["other"], worst["one_as_other"])
    if worst["other_as_one"] > worst["one_as_other"]:
        pair = (worst["other"], worst["one"], worst["other_as_one"])
    taken, for_which, share_ = pair
    name = who_among(worst, rows, seconds=False)
    return f"{percent(share_)} of {taken} images were taken for {for_which} ({name})."


CONFUSIONS = Table(
    "confusions",
    "Classes that are confused most",
    f"The {PAIRS} pairs of classes with the most errors among the test images, in both directions "
    "together (seeds added up), and the share of each class's test images that was taken for the "
    "other.",
    confusion_rows,
    confusion_columns,
    charts=(Chart("confusion", confusion, ("accuracy",)),),
    lead=confusion_lead,
    kinds=("accuracy",),
)
