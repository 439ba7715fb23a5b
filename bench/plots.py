"""Plots from records: SVG and PNG each, below ``plots/``, one set per dataset and track.

There is no plot without data, and none that mixes tracks, fingerprints, or certified rows with
uncertified ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench import notes, plots_accuracy, plots_parting, plots_speed
from bench.case import TRACKS
from bench.certified import is_certified
from bench.grouping import Data, by_dataset
from bench.plot_style import Drawing, Plot, retitle, save, style
from bench.records import Record
from bench.rows import standing_rows

DRAW: dict[str, Callable[[Sequence[Record], Data, str], Drawing | None]] = {
    "accuracy_curves": plots_accuracy.accuracy_curves,
    "parting": plots_parting.parting,
    "per_class": plots_accuracy.per_class,
    "confusion": plots_accuracy.confusion,
    "throughput": plots_speed.throughput,
    "latency": plots_speed.latency,
    "startup": plots_speed.startup,
    "accuracy_vs_throughput": plots_accuracy.accuracy_vs_throughput,
}
"""Plots by the first part of their file names; each gets the records of one dataset and track."""


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
    refused = notes.not_compared(standing_rows(certified, data))
    why = notes.why_uncertified(standing_rows(apart, data))
    if any(record.ok for record in apart):
        refused.append("Results without a passed parity certificate are drawn apart")
    return [
        *(_with_notes(drawing, refused) for drawing in _drawn(certified, data, track)),
        *(_with_notes(_uncertified(drawing), why) for drawing in _drawn(apart, data, track)),
    ]


def _drawn(records: Sequence[Record], data: Data, track: str) -> list[Drawing]:
    drawings = (draw(records, data, track) for draw in DRAW.values())
    return [drawing for drawing in drawings if drawing is not None]


def _with_notes(drawing: Drawing, lines: Sequence[str]) -> Drawing:
    return replace(drawing, how=" ".join([drawing.how, *(f"{line}." for line in lines)]))


def _uncertified(drawing: Drawing) -> Drawing:
    """The same drawing under a name and a title that say what it is not."""
    title = f"{drawing.title}, uncertified"
    retitle(drawing.figure, title)
    how = f"{drawing.how} {notes.UNCERTIFIED}"
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
