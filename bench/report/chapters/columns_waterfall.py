"""What a reader sees of the waterfall's rows: cells of its table, and a line per network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from bench.analysis.ablation import GAP_DEFAULTS, GAP_SHARED
from bench.analysis.experiments import labels
from bench.analysis.rows import Row
from bench.core.case import Case
from bench.report.columns import Column, case_of
from bench.report.format import NOTHING, count, known, percent, ratio, significant


def columns(rows: Sequence[Row]) -> list[Column]:
    """Network, framework, what was switched, and what that did."""
    return [
        Column("network", lambda row: str(row["variant"]), right=False),
        Column("framework", lambda row: str(row["framework"]), right=False),
        Column("switched", lambda row: str(row["switched"]), right=False),
        Column("seeds", _seeds),
        Column("test accuracy", _accuracy),
        Column(
            "change, points", lambda row: points(row["delta"], row["delta_low"], row["delta_high"])
        ),
        Column("images/s", lambda row: significant(row["images_per_second"])),
        Column("change, x", lambda row: factor(row["ratio"], row["ratio_low"], row["ratio_high"])),
        Column("from → to", from_to, right=False),
        Column("recipe", lambda row: str(row["recipe"]), right=False, usual="ablation"),
        Column("batch", lambda row: count(row["batch_size"])),
    ]


def from_to(row: Row) -> str:
    """``1e-3 → 1e-5``, or the default alone where there was nothing to switch."""
    if row["status"] == "already its default":
        return str(row["default"])
    return f"{row['default']} → {row['shared']}" if row["shared"] else NOTHING


def _seeds(row: Row) -> str:
    """How many gave a result; for a stage without runs of its own, why."""
    if row["status"] == "already its default":
        return str(row["status"])
    asked = row["seeds"] + row["failed"]
    if not asked:
        return "not run"
    trouble = [f"{row[name]} {name}" for name in ("failed", "diverged") if row[name]]
    got = f"{row['seeds']} of {asked}" if row["failed"] else count(asked)
    return f"{got} ({', '.join(trouble)})" if trouble else got


def _accuracy(row: Row) -> str:
    low, high = row["accuracy_low"], row["accuracy_high"]
    if low is None or high is None:
        return percent(row["accuracy"], 2)
    # A t interval knows nothing of 0 and 1.
    ends = f"[{100 * max(low, 0):.2f}, {100 * min(high, 1):.2f}]"
    return f"{percent(row['accuracy'], 2)} {ends}"


def factor(value: float, low: float | None, high: float | None) -> str:
    """``0.80x [0.78, 0.82]``; two seeds give intervals of which only the size is worth saying."""
    if low is None or high is None or not known(value):
        return ratio(value, low, high)
    end = ">100" if high > 100 else f"{high:.2f}"
    return f"{value:.2f}x [{low:.2f}, {end}]"


def points(value: float, low: float | None, high: float | None) -> str:
    """A difference of fractions in percentage points: ``+1.25 [+0.40, +2.10]``."""
    if not known(value):
        return NOTHING
    shown = f"{round(100 * value, 2) + 0.0:+.2f}"  # no -0.00
    if low is None or high is None or math.isnan(low):
        return shown
    return f"{shown} [{100 * low:+.2f}, {100 * high:+.2f}]"


def gap_lines(rows: Sequence[Row]) -> list[str]:
    """A line per network and pair of frameworks: how far apart before, and how far behind it."""
    ends: dict[Case, dict[str, Row]] = {}
    for row in rows:
        if row["status"] == "gap":
            ends.setdefault(case_of(row), {})[row["stage"]] = row
    names = labels(replace(case, framework="") for case in ends)
    return [
        f"{names[replace(case, framework='')]}: gap between the frameworks ({case.framework}): "
        f"at framework defaults {_gap(found[GAP_DEFAULTS])} → "
        f"at shared ones {_gap(found[GAP_SHARED])}."
        for case, found in ends.items()
    ]


def _gap(row: Row) -> str:
    accuracy = points(row["delta"], row["delta_low"], row["delta_high"])
    speed = factor(row["ratio"], row["ratio_low"], row["ratio_high"])
    return f"{accuracy} points and {speed} in images/s"
