"""Throughput: images/s of training and inference in steady state, and their plot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes

from bench.analysis.clock import MISSING_SYNC
from bench.analysis.experiments import Experiment
from bench.analysis.rows import Row, throughput_rows
from bench.core.kinds import KINDS, kind
from bench.report.charts.kind_grid import kind_grid
from bench.report.columns import (
    Column,
    dagger,
    disturbed_column,
    ends,
    how,
    kind_column,
    number,
    seeds_of,
    text,
    who,
    whole,
)
from bench.report.format import NOTHING, interval, joined, known, percent, ratio, significant
from bench.report.leads import both, compared, extremes
from bench.report.panels import figure_after_bar, first_panels, name_bars, panels_of
from bench.report.plot_axes import plain_numbers
from bench.report.plot_style import INK, Drawing, colour, hover
from bench.report.report import Part
from bench.report.table import Chart, Table

_GIB = 2**30
ABOVE_PEAK = "above peak"
_KINDS = tuple(row.name for row in KINDS.values() if row.throughput)


def columns(rows: Sequence[Row]) -> list[Column]:
    """Images/s of training and inference, and their ratios to the reference."""
    return [
        kind_column(),
        *who(),
        number("images/s", "images_per_second"),
        *versus_columns(rows),
        ends(significant, header="images/s, 95 % interval"),
        dagger("published †", significant),
        Column("seeds", seeds_of),
        whole("processes", "processes", usual="1"),
        whole("blocks", "blocks"),
        number("GFLOP/s", "flops_per_second", usual=NOTHING, factor=1e-9),
        Column("% of peak (measured)", _share_of_peak, usual=NOTHING),
        number("J/image", "joules_per_image", usual=NOTHING),
        number("first step (s)", "first_step_seconds", usual=NOTHING),
        Column("synchronisation", _clock, right=False, usual=NOTHING),
        disturbed_column(),
        number("peak memory (GiB)", "peak_memory_bytes", usual=NOTHING, factor=1 / _GIB),
        number("peak device memory (GiB)", "device_memory_bytes", usual=NOTHING, factor=1 / _GIB),
        number("reserved (GiB)", "device_reserved_bytes", usual=NOTHING, factor=1 / _GIB),
        number("process on device (GiB)", "device_process_bytes", usual=NOTHING, factor=1 / _GIB),
        *how(rows),
    ]


def versus_columns(rows: Sequence[Row]) -> list[Column]:
    """The ratio to the reference, and what it says."""
    references = sorted({row["reference"] for row in rows if row["reference"]})
    title = references[0] if len(references) == 1 else "reference"
    return [
        Column(f"x {title}", _ratio, usual=NOTHING),
        text("verdict", "verdict", usual=NOTHING),
        Column("reference", lambda row: row["reference"] or title, right=False, usual=title),
    ]


def _ratio(row: Row) -> str:
    return ratio(row["ratio"], row["ratio_low"], row["ratio_high"])


def _share_of_peak(row: Row) -> str:
    """Never above 100 %: a row above the peak shows that the peak is too low."""
    return ABOVE_PEAK if row.get("above_peak") else percent(row.get("utilisation"))


def _clock(row: Row) -> str:
    """Only what is wrong with it: the sync audit has a table of its own."""
    return MISSING_SYNC if row["clock"] == MISSING_SYNC else NOTHING


def notes(rows: Sequence[Row]) -> list[str]:
    """What the shares of the peak are taken of, what joules count, and what disturbed a device."""
    return [*_peak(rows), *_energy(rows), *_disturbed(rows)]


def _peak(rows: Iterable[Row]) -> list[str]:
    highest: dict[str, float] = {}
    for row in rows:
        if known(row.get("utilisation")):
            precision, of = _peaked(row), row["ceiling_flops_per_second"]
            highest[precision] = max(of, highest.get(precision, 0.0))
    if not highest:
        return []
    peaks = ", ".join(f"{name} {significant(of / 1e9)}" for name, of in sorted(highest.items()))
    return [
        "% of peak (measured): FLOP/s over those of the fastest matrix product or convolution that "
        f"the frameworks of the run reached on this machine (GFLOP/s: {peaks}).{_above(rows)}"
    ]


def _peaked(row: Row) -> str:
    """The precision of a peak, with the device where that is not the CPU."""
    precision = str(row.get("ceiling_precision") or row["precision"])
    return precision if row["device"] == "cpu" else f"{precision} on {row['device']}"


def _above(rows: Iterable[Row]) -> str:
    if not any(row.get("above_peak") for row in rows):
        return ""
    return f" {ABOVE_PEAK}: faster than all of these, so the peak is too low and gives no share."


def _energy(rows: Sequence[Row]) -> list[str]:
    counted = {row["device"] for row in rows if known(row.get("joules_per_image"))}
    lines = []
    if "cpu" in counted:
        lines.append(
            "J/image: of the processor's packages, with whatever else ran on them; no graphics "
            "card, no other part of the machine."
        )
    if others := sorted(counted - {"cpu"}):
        lines.append(
            f"J/image on {joined(others)}: of the whole card by its own counter (NVML), with "
            "whatever else ran on it; no processor, no other part of the machine."
        )
    return lines


def _disturbed(rows: Sequence[Row]) -> list[str]:
    """A line for each row whose accelerator was throttled or shared in a counted block."""
    lines = []
    for row in rows:
        who = f"{row['variant']} in {row['framework']} on {row['device']}"
        if row.get("device_throttled"):
            lines.append(f"{who}: the device lowered its clocks ({row['device_throttled']}).")
        if row.get("device_foreign_processes"):
            lines.append(f"{who}: another program computed on the device meanwhile.")
    return list(dict.fromkeys(lines))


def throughput(part: Part) -> Drawing | None:
    """Bars of images/s: a row of panels per network, training left and inference right."""
    found = [e for e in part.experiments(*_KINDS) if e.ok]
    if not found:
        return None
    panels, left_out = first_panels(panels_of(found), "throughput", part.panels)
    title = f"Throughput, {part.track} track"
    figure = kind_grid(part, panels, _KINDS, title, _bars, width=(4.6, 0.6), height=(0.75, 0.26))
    return Drawing(
        f"throughput_{part.track}",
        title,
        "Longer is faster; the thin line at the end of a bar is its 95 % interval. All panels of "
        f"one measurement share a scale from zero.{left_out}",
        figure,
    )


def _bars(axes: Axes, panel: Sequence[Experiment], part: Part) -> None:
    for place, experiment in enumerate(panel):
        rate = part.results.rate(experiment)
        tint = colour(experiment.case.framework_label, part.frameworks)
        (bar,) = axes.barh(place, rate.value, 0.72, color=tint)
        span = interval(significant(rate.low), significant(rate.high))
        hover(bar, f"{experiment.case.framework_label}: {significant(rate.value)} images/s {span}")
        end = rate.value
        if rate.low is not None and rate.high is not None:
            axes.plot((rate.low, rate.high), (place, place), color=INK, linewidth=1.6)
            end = max(rate.value, rate.high)
        figure_after_bar(axes, end, place, significant(rate.value))
    name_bars(axes, panel, part.results)
    axes.set_xlim(left=0)
    axes.margins(x=0.16)  # room for the numbers
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(plain_numbers())
    axes.set_xlabel("images/s")


TABLE = Table(
    "throughput",
    "Throughput",
    "Images/s in steady state: the geometric mean over processes of the median of each one's "
    "blocks. The 95 % interval is Student's t over several processes, or a bootstrap of the blocks "
    "of one. A ratio above 1x is faster than the reference; an interval that contains 1 is a tie "
    "where it lies wholly within ± 10 %, else inconclusive. The ratio of interleaved rows is of "
    "pairs of neighbouring blocks: where the quotient of two images/s differs from it, the ratio "
    "holds.",
    throughput_rows,
    columns,
    charts=(Chart("throughput", throughput, _KINDS),),
    notes=notes,
    always=True,
    times=_KINDS,
    all_tracks=True,
    lead=both(
        *(
            extremes(
                f"{kind(name).label.capitalize()}:",
                "images_per_second",
                lambda rate: f"{significant(rate)} images/s",
                of=name,
            )
            for name in _KINDS
        ),
        compared("verdict"),
    ),
)
