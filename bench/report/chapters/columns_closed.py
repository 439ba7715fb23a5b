"""Columns of what only the closed track has: certificates, and how far trainings go together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bench.analysis.divergence import THRESHOLDS, describe_step
from bench.analysis.experiments import start_of
from bench.analysis.rows import Row
from bench.report.columns import Column, case_of, how
from bench.report.format import NOTHING, count, known, share

FIGURES = {
    "float32 logits": "float32 logits",
    "float64 gradients": "float64 gradients",
    "float64 weights, SGD": "float64 SGD weights",
    "float64 weights, Adam": "float64 Adam weights",
}
"""The figures of a certificate that are shown, by their name in it; the CSV file has all."""

_DIGEST = 12


def parting(rows: Sequence[Row]) -> list[Column]:
    """At which step each training leaves the reference's."""
    return [
        Column("network", lambda row: str(row["variant"]), right=False),
        Column("framework", lambda row: str(row["framework"]), right=False),
        Column("against", lambda row: str(row["reference"]), right=False),
        Column("weights", lambda row: start_of(case_of(row)), right=False, usual="scratch"),
        Column("seed", lambda row: count(row["seed"])),
        Column("steps compared", lambda row: count(row["steps"])),
        Column("difference at step 1", _first),
        *(Column(f"above {share(t)}", partial(_parted, t), right=False) for t in THRESHOLDS),
        *how(),
    ]


def _first(row: Row) -> str:
    return _power(row["first_difference"])


def _parted(threshold: float, row: Row) -> str:
    if row["not_compared"]:
        return "not comparable"
    if row["first_difference"] is None:
        return NOTHING
    step = row[f"parted_{threshold:g}"]
    return describe_step(None if step is None or not known(step) else int(step), row["steps"])


def certificates(rows: Sequence[Row]) -> list[Column]:
    """What each certificate found, each figure beside its bound."""
    return [
        Column("network", lambda row: str(row["variant"]), right=False),
        Column("head", lambda row: str(row["head"]), right=False, usual="source"),
        Column("framework", lambda row: str(row["framework"]), right=False),
        Column("certificate", lambda row: str(row["status"]), right=False),
        *(
            Column(header, partial(_figure, name), usual=NOTHING)
            for name, header in FIGURES.items()
        ),
        Column("steps", lambda row: count(row["steps"]), usual=NOTHING),
        Column("weights sha256", partial(_digest, "weights_sha256"), right=False, usual=NOTHING),
        Column("versions", lambda row: row["versions"] or NOTHING, right=False, usual=NOTHING),
    ]


def _figure(name: str, row: Row) -> str:
    """``2.1e-07 ≤ 1e-05``: what was found and what is allowed, with the sign that holds."""
    worst, bound = row.get(f"{name}: worst"), row.get(f"{name}: bound")
    if worst is None:
        return NOTHING
    if bound is None:
        return _power(worst)
    return f"{_power(worst)} {'≤' if worst <= bound else '>'} {bound:.2g}"


def _power(value: float | None) -> str:
    if value is None or not known(value):
        return NOTHING
    return "0" if value == 0 else f"{value:.1e}"


def _digest(key: str, row: Row) -> str:
    return str(row[key])[:_DIGEST] if row[key] else NOTHING
