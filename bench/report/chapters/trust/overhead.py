"""Cost of the harness: its own loop compared with a bare one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bench.analysis.experiments import Data, Experiment
from bench.analysis.results import Results
from bench.analysis.rows import IDENTITY, Row, counts, identity
from bench.core.kinds import KINDS, THROUGHPUT
from bench.report.charts.forest import Forest
from bench.report.columns import Column, fraction, how, kind_column, kind_of, number, who, whole
from bench.report.format import LEVEL, NOTHING, percent
from bench.report.leads import extremes
from bench.report.table import Chart, Table
from bench.stats import estimates

TOGETHER = "all of them"
"""In the place of a network: all networks that a framework was measured on."""

_Pairs = tuple[list[float], list[float]]
"""Seconds of bare blocks, and of the harness's paired with them."""

_OF_A_NETWORK = ("variant", "batch_size", "input_size", "head")
"""What may differ between networks that are pooled."""


def overhead_rows(results: Results) -> list[Row]:
    """The harness compared with a bare hand-written loop, in pairs of neighbouring blocks.

    ``share`` is bare time over harness time of each pair: 0.99 means that the harness reaches 99 %
    of the bare loop's throughput. Pairs of one network spread more than the harness costs, so that
    a framework with several has a row of them all: the geometric mean of what each gives.
    """
    rows: list[Row] = []
    together: dict[tuple[Any, ...], list[tuple[Row, _Pairs]]] = {}
    kinds = [kind.name for kind in KINDS.values() if kind.throughput]
    for experiment in results.experiments(*kinds):
        found = _row(experiment, results.data)
        if found:
            rows.append(found[0])
            together.setdefault(_alike(found[0]), []).append(found)
    several = (g for g in together.values() if len({row["variant"] for row, _ in g}) > 1)
    return rows + [_together(group) for group in several]


def _row(experiment: Experiment, data: Data) -> tuple[Row, _Pairs] | None:
    measured = [r.metrics["overhead"] for r in experiment.ok if r.metrics.get("overhead")]
    if not measured:
        return None
    bare = [seconds for pair in measured for seconds in pair["bare"]]
    harness = [seconds for pair in measured for seconds in pair["harness"]]
    images = measured[0]["images_per_sample"]
    row = identity(experiment, data) | {"kind": experiment.kind} | counts(experiment)
    row["harness_images_per_second"] = float(np.median(estimates.rates(harness, images)))
    row["bare_images_per_second"] = float(np.median(estimates.rates(bare, images)))
    row["pairs"] = len(bare)
    return row | _share(estimates.paired_ratio(bare, harness)), (bare, harness)


def _alike(row: Row) -> tuple[Any, ...]:
    """Conditions under which networks may be pooled."""
    shared = [row[name] for name in IDENTITY if name not in _OF_A_NETWORK]
    return row["kind"], row["parity"], *shared


def _together(group: Sequence[tuple[Row, _Pairs]]) -> Row:
    # Every network was a process of its own.
    ratios = [[b / h for b, h in zip(*pairs, strict=True)] for _, pairs in group]
    first = group[0][0]
    unlike = {"variant": TOGETHER, "batch_size": None, "input_size": None, "head": "source"}
    speeds = {"harness_images_per_second": None, "bare_images_per_second": None}
    pooled = {
        "pairs": sum(map(len, ratios)),
        "seeds": sum(row["seeds"] for row, _ in group),
        "failed": sum(row["failed"] for row, _ in group),
        "peak_memory_bytes": None,
        **{
            name: _joined(row[name] for row, _ in group)
            for name in ("run", "caveats", "speed_caveats")
        },
    }
    return first | unlike | speeds | pooled | _share(estimates.median_estimate(ratios))


def _joined(words: Iterable[str | None]) -> str | None:
    return "; ".join(dict.fromkeys(word for word in words if word)) or None


def _share(share: estimates.Estimate) -> Row:
    return {"share": share.value, "low": share.low, "high": share.high}


def columns(rows: Sequence[Row]) -> list[Column]:
    """The suite's loop compared with a bare one."""
    return [
        kind_column(),
        *who(),
        fraction("suite / bare", "share"),
        Column("95 % interval", _interval),
        number("suite images/s", "harness_images_per_second"),
        number("bare loop images/s", "bare_images_per_second"),
        whole("pairs", "pairs"),
        *how(rows),
    ]


def _interval(row: Row) -> str:
    shown = LEVEL.interval(row["low"], row["high"])
    return shown if shown == NOTHING else f"{shown} %"


_CHART = Forest(
    "overhead",
    "Cost of the harness",
    "At the line the suite's loop is as fast as a bare one, left of it slower; lines are 95 % "
    "intervals over pairs of blocks.",
    "overhead",
    overhead_rows,
    lambda _: "images/s of the suite's loop over the bare loop's",
    LEVEL,
    ("share", "low", "high"),
    heading=kind_of,
)

TABLE = Table(
    "overhead",
    "Cost of the harness",
    "The suite's own loop compared with a bare hand-written one, in pairs of neighbouring blocks: "
    "100 % is no cost. Pairs of one network spread more than the suite costs; *all of them* is the "
    "geometric mean over networks.",
    overhead_rows,
    columns,
    charts=(Chart("overhead", _CHART.draw, THROUGHPUT),),
    times=THROUGHPUT,
    lead=extremes(
        "The suite's loop reaches", "share", percent, after=" of the bare loop's images/s"
    ),
)
