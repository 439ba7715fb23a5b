"""Rows of what was measured in turns: the ratio pair by pair, and how much it could have shown."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.experiments import Data, Experiment, experiments
from bench.analysis.rows import Row, identity, ratio_columns, reference_of, standing
from bench.analysis.speeds import interleaved_versus
from bench.core.records import Record
from bench.stats.verdicts import speed_verdict

TIMED = ("train_throughput", "inference", "latency", "startup")


def paired_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """Speed of every framework over that of the reference beside which it took turns.

    ``ratio`` with its 95 % interval, ``pairs`` and ``processes`` that it rests on, ``smallest``
    (relative difference that so many would have shown four times out of five), ``stopped`` and
    ``precision_goal``: why no more were taken. A start-up is one pair of processes.
    """
    found = experiments(records, TIMED)
    rows = []
    for experiment in found:
        reference = reference_of(experiment, found)
        if reference is None or reference is experiment:
            continue
        row = _row(experiment, reference, found, data)
        if row:
            rows.append(row)
    return sorted(rows, key=lambda row: TIMED.index(row["kind"]))


def _row(
    experiment: Experiment, reference: Experiment, found: Sequence[Experiment], data: Data
) -> Row | None:
    held = interleaved_versus(experiment, reference)
    if held is None:
        return None
    row = identity(experiment, data) | {"kind": experiment.kind} | standing(experiment, found)
    row |= {"parity": experiment.parity, "parity_problem": experiment.problem}
    told = experiment.ok[0].metrics.get("interleaving", {})
    row |= {"pairs": held.pairs, "processes": held.processes, "smallest": held.detectable}
    row |= {name: told.get(name) for name in ("stopped", "precision_goal", "group_seconds", "lost")}
    if row["not_compared"]:
        return row | ratio_columns(None, "not comparable")
    return row | ratio_columns(held.ratio, speed_verdict(held).word)
