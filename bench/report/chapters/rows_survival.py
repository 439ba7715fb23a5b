"""Rows of time to accuracy: how many seeds got there, when, and the mean up to a shared end."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.experiments import Data, Experiment, experiments
from bench.analysis.rows import Row, counts, identity, mean_over_seeds, standing
from bench.analysis.time_to_accuracy import PARTS, TimeToAccuracy, startup_of, times_to_accuracy
from bench.core.records import Record
from bench.report.chapters.rows_differences import diverged
from bench.stats.survival import median_time, restricted_mean

UNITS = ("seconds", "images")


def time_to_accuracy_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """A row per experiment and threshold that some framework of its network reached.

    ``median_seconds`` is None for never; ``mean_seconds`` is restricted to ``horizon_seconds``, by
    which ``within_seconds`` seeds got there; the same in images. Seconds count from the empty
    process where ``seconds_from`` says ``start``, from the first step where it says ``training``.
    The parts of the start-up are means over seeds.
    """
    found = experiments(records, ("accuracy",))
    return [
        _row(experiment, goal, follow, data) | standing(experiment, found)
        for follow in times_to_accuracy(records, data)
        for goal in follow.thresholds()
        for experiment in follow.members
        if follow.seeds(experiment, goal, "images")
    ]


def _row(experiment: Experiment, goal: float, follow: TimeToAccuracy, data: Data) -> Row:
    row = identity(experiment, data) | counts(experiment)
    row |= {"diverged": diverged(experiment), "threshold": goal}
    known = follow.seeds(experiment, goal, "images")
    row |= {"seeds": len(known), "reached": sum(seed.reached for seed in known)}
    for unit in UNITS:
        seeds, horizon = follow.seeds(experiment, goal, unit), follow.horizon(unit)
        row[f"median_{unit}"] = median_time(seeds)
        row[f"mean_{unit}"] = restricted_mean(seeds, horizon)
        row[f"horizon_{unit}"] = horizon
        row[f"within_{unit}"] = sum(seed.reached and seed.time <= horizon for seed in seeds)
    row["seconds_from"] = "start" if follow.with_startup else "training"
    return row | _startup(experiment)


def _startup(experiment: Experiment) -> Row:
    """Means over the seeds that tell; not a number where none does."""
    told = [parts for record in experiment.ok if (parts := startup_of(record))]
    row: Row = {part: mean_over_seeds([parts[part] for parts in told]).value for part in PARTS}
    row["startup_seconds"] = mean_over_seeds([sum(parts.values()) for parts in told]).value
    return row
