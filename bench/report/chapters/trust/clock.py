"""The sync audit: does a synchronised block take as long as the work in it?"""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.clock import MISSING_SYNC
from bench.analysis.results import Results
from bench.analysis.rows import Row, identity
from bench.core.kinds import TRAIN_THROUGHPUT
from bench.report.captions import With
from bench.report.charts.forest import Forest
from bench.report.columns import Column, ends, how, number, text, who
from bench.report.format import NOTHING, Quantity
from bench.report.leads import counted
from bench.report.table import Chart, Table

_AUDIT = Quantity(3, even=1.0)
"""A ratio of two slopes, without a unit."""


def clock_rows(results: Results) -> list[Row]:
    """Seconds per training step: in ``block``s, in ``unsynced`` calls, as ``synced`` slope of time
    over steps, and as ``slope`` up to the trained weights on the host; medians.

    ``ratio`` is synced over slope with its 95 % interval, and ``clock`` what it says
    (:attr:`bench.analysis.clock.SyncAudit.verdict`). ``device_seconds`` is the same step by the
    accelerator's own clock.
    """
    rows = []
    for experiment in results.experiments(TRAIN_THROUGHPUT):
        clock = results.clock(experiment)
        if clock:
            row = identity(experiment, results.data) | {"seeds": len(experiment.ok)}
            row |= {"parity": experiment.parity, "parity_problem": experiment.problem}
            row |= {name: getattr(clock, name) for name in ("block", "unsynced", "synced", "slope")}
            row |= {"device_seconds": clock.device}
            row |= {"ratio": clock.ratio.value, "ratio_low": clock.ratio.low}
            rows.append(row | {"ratio_high": clock.ratio.high, "clock": clock.verdict})
    return rows


def columns(rows: Sequence[Row]) -> list[Column]:
    """Milliseconds of a step, four ways."""
    return [
        *who(),
        Column("synced / read", lambda row: _AUDIT.value(row["ratio"])),
        text("synchronisation", "clock"),
        ends(_AUDIT, "ratio_low", "ratio_high"),
        number("synced (ms)", "synced", factor=1000),
        number("weights read (ms)", "slope", factor=1000),
        number("its blocks (ms)", "block", factor=1000),
        number("unsynced (ms)", "unsynced", factor=1000),
        number("on the device (ms)", "device_seconds", factor=1000, usual=NOTHING),
        *how(rows),
    ]


_CHART = Forest(
    "clock",
    "Sync audit",
    "At the line a synchronised step takes as long as one up to the weights on the host. An "
    "interval wholly within the shaded band is synchronised, one wholly left of it (a filled mark) "
    "lacks the synchronisation, any other is inconclusive.",
    "clock",
    clock_rows,
    lambda _: "synced slope over slope with weights read",
    _AUDIT,
    even=(0.9, 1.1),
    decided=lambda row: row["clock"] == MISSING_SYNC,
)

TABLE = Table(
    "clock",
    "Sync audit",
    (
        "Milliseconds of one training step, measured in several ways in one process: the audit is "
        "made in the first process of each row (of each seed), and all columns are of that one. "
        "*Its blocks*: timed as every speed here, the median of its undisturbed blocks; the table "
        "of block times has those of all processes. *Unsynced*: in calls that are not waited for.",
        With(
            ("on the device (ms)",),
            "*On the device*: by the accelerator's own clock, where the framework has one.",
        ),
        "*Synced* and *weights read*: the slope of time over the number of steps, up to the "
        "synchronisation and up to the trained weights on the host, which cannot arrive early. "
        "*Synced / read* compares these two. An interval wholly within 0.9 to 1.1 is synchronised. "
        "One wholly below 0.9 is a missing synchronisation: the step returns early, and its speed "
        "is not valid. Any other is inconclusive: two calls that differ so much from each other "
        "show neither. Slopes are of short calls, and a framework may be slower in these than in "
        "blocks.",
    ),
    clock_rows,
    columns,
    charts=(Chart("clock", _CHART.draw, (TRAIN_THROUGHPUT,)),),
    times=(TRAIN_THROUGHPUT,),
    lead=counted("clock", "audit"),
    kinds=(TRAIN_THROUGHPUT,),
)
