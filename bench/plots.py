"""Plots from records: SVG and PNG each, below ``plots/``, one set per dataset and track.

There is no plot without data, and none that mixes tracks or fingerprints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench import plots_accuracy, plots_speed, plots_waterfall
from bench.case import ALL_TRACKS
from bench.grouping import Data, by_dataset
from bench.plot_style import Drawing, Plot, save, style
from bench.records import Record

DRAW: dict[str, Callable[[Sequence[Record], Data, str], Drawing | None]] = {
    "accuracy_curves": plots_accuracy.accuracy_curves,
    "per_class": plots_accuracy.per_class,
    "confusion": plots_accuracy.confusion,
    "throughput": plots_speed.throughput,
    "latency": plots_speed.latency,
    "startup": plots_speed.startup,
    "accuracy_vs_throughput": plots_accuracy.accuracy_vs_throughput,
    "defaults": plots_waterfall.defaults,
}
"""Plots by the first part of their file names; each gets the records of one dataset and track."""


def write_plots(records: Sequence[Record], folder: Path) -> list[Plot]:
    """Write every plot there is data for into ``plots/`` below `folder`.

    Files are named ``<plot>_<track>``, with ``_<dataset>_<fingerprint>`` behind it where there is
    more than one dataset. What an earlier report left there is removed. Raises OSError where it
    cannot write.
    """
    target = folder / "plots"
    target.mkdir(parents=True, exist_ok=True)
    _remove_old(target)
    datasets = by_dataset(records)
    plots = []
    with style():
        for data, some in datasets:
            suffix = _suffix(data) if len(datasets) > 1 else ""
            for track in ALL_TRACKS:
                part = [record for record in some if record.case.track == track]
                drawings = [draw(part, data, track) for draw in DRAW.values()]
                plots += [
                    save(replace(drawing, name=drawing.name + suffix), target)
                    for drawing in drawings
                    if drawing is not None
                ]
    return plots


def _suffix(data: Data) -> str:
    name = "".join(letter if letter.isalnum() else "-" for letter in data.name)
    return f"_{name}_{data.short}" if data.short else f"_{name}"


def _remove_old(folder: Path) -> None:
    """Take away plots of an earlier report: a plot without records behind it would mislead."""
    for name in DRAW:
        for path in folder.glob(f"{name}_*"):
            if path.suffix in (".svg", ".png"):
                path.unlink()
