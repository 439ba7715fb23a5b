"""Plots from records: SVG and PNG each, below ``plots/``, one set per dataset and track.

There is no plot without data, and none that mixes tracks, fingerprints, or certified rows with
uncertified ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.analysis.certified import is_certified
from bench.analysis.experiments import Data, by_dataset
from bench.analysis.rows import Row, standing_rows
from bench.core.kinds import KINDS
from bench.core.records import Record
from bench.report import footnotes
from bench.report.chapters import (
    plots_accuracy,
    plots_normalisation,
    plots_paired,
    plots_parting,
    plots_seeds,
    plots_speed,
    plots_survival,
    plots_waterfall,
)
from bench.report.plot_style import Drawing, Plot, retitle, save, style
from bench.training.tracks import TRACKS

DRAW: dict[str, Callable[[Sequence[Record], Data, str], Drawing | None]] = {
    "accuracy_curves": plots_accuracy.accuracy_curves,
    "seeds": plots_seeds.seeds,
    "time_to_accuracy": plots_survival.time_to_accuracy,
    "parting": plots_parting.parting,
    "per_class": plots_accuracy.per_class,
    "confusion": plots_accuracy.confusion,
    "throughput": plots_speed.throughput,
    "paired": plots_paired.paired,
    "latency": plots_speed.latency,
    "startup": plots_speed.startup,
    "accuracy_vs_throughput": plots_accuracy.accuracy_vs_throughput,
    "normalisation": plots_normalisation.normalisation,
    "defaults": plots_waterfall.defaults,
}
"""Plots by the first part of their file names; each gets the records of one dataset and track."""

_KINDS = {
    **dict.fromkeys(
        ("accuracy_curves", "seeds", "time_to_accuracy", "parting", "per_class", "confusion"),
        ("accuracy",),
    ),
    "throughput": ("train_throughput", "inference"),
    "paired": ("train_throughput", "inference", "latency", "startup"),
    "latency": ("latency",),
    "startup": ("startup",),
    "accuracy_vs_throughput": ("accuracy", "train_throughput"),
    "normalisation": ("accuracy", "train_throughput"),
}
"""The measurements that a plot shows, so that its caption speaks of these alone."""


def write_plots(records: Sequence[Record], folder: Path) -> list[Plot]:
    """Write every plot there is data for into ``plots/`` below `folder`.

    Files are named ``<plot>_<track>``, with ``_uncertified`` behind it for the closed rows that
    stand apart, and ``_<dataset>_<fingerprint>`` where there is more than one dataset. What an
    earlier report left there is removed. Raises OSError where it cannot write.
    """
    target = folder / "plots"
    target.mkdir(parents=True, exist_ok=True)
    _remove_old(target)
    datasets = by_dataset(records)
    plots = []
    with style():
        for data, some in datasets:
            suffix = _suffix(data) if len(datasets) > 1 else ""
            for track in TRACKS:
                part = [record for record in some if record.case.track == track]
                plots += [
                    save(replace(drawing, name=drawing.name + suffix), target)
                    for drawing in _drawings(part, data, track)
                ]
    return plots


def _drawings(records: Sequence[Record], data: Data, track: str) -> list[Drawing]:
    """The plots of one dataset and track: first of what is certified, then of what is not."""
    certified = [record for record in records if is_certified(record)]
    apart = [record for record in records if not is_certified(record)]
    standing, proofless = standing_rows(certified, data), standing_rows(apart, data)
    together, alone = [], []
    for name, draw in DRAW.items():
        kinds = _KINDS.get(name, tuple(KINDS))
        refused = footnotes.not_compared(row for row in standing if row["kind"] in kinds)
        left_out = [row for row in proofless if row["kind"] in kinds]
        together.append(_with_notes(draw(certified, data, track), [*refused, *_absent(left_out)]))
        why = footnotes.why_uncertified(left_out)
        alone.append(_uncertified(_with_notes(draw(apart, data, track), why)))
    return [drawing for drawing in (*together, *alone) if drawing is not None]


def _absent(rows: Sequence[Row]) -> list[str]:
    """What a plot of certified rows says about the others."""
    number = sum(row["seeds"] > 0 for row in rows)
    if not number:
        return []
    what = "1 row is" if number == 1 else f"{number} rows are"
    return [f"{what} not in this plot, for want of a passed parity certificate"]


def _with_notes(drawing: Drawing | None, lines: Sequence[str]) -> Drawing | None:
    if drawing is None:
        return None
    return replace(drawing, how=" ".join([drawing.how, *(f"{line}." for line in lines)]))


def _uncertified(drawing: Drawing | None) -> Drawing | None:
    """The same drawing under a name and a title that say what it is not."""
    if drawing is None:
        return None
    title = f"{drawing.title}, uncertified"
    retitle(drawing.figure, title)
    how = f"{drawing.how} {footnotes.UNCERTIFIED}"
    return replace(drawing, name=f"{drawing.name}_uncertified", title=title, how=how)


def _suffix(data: Data) -> str:
    name = "".join(letter if letter.isalnum() else "-" for letter in data.name)
    return f"_{name}_{data.short}" if data.short else f"_{name}"


def _remove_old(folder: Path) -> None:
    """Take away plots of an earlier report: a plot without records behind it would mislead."""
    for name in DRAW:
        for path in folder.glob(f"{name}_*"):
            if path.suffix in (".svg", ".png"):
                path.unlink()
