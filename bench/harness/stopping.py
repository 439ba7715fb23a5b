"""The stopping criterion of an interleaved run."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.kinds import kind
from bench.core.limits import Limits
from bench.core.samples import Timed, ratios
from bench.harness.interleave import TaskResults
from bench.stats import estimates


def stopping_reason(
    all_results: Sequence[TaskResults], limits: Limits, process_seconds: Sequence[float]
) -> str | None:
    """Why no further process is started; None while another is needed.

    Args:
        all_results: Of every task of the group.
        limits: The goal, the number of processes and the time limit.
        process_seconds: Seconds that each round of processes took.

    Returns:
        ``precision``: the goal is reached for every ratio. ``time limit``: another process would
        not end in time. ``processes``: as many as the profile asks for, and there is no goal.
        ``failure``: every task has failed.
    """
    alive = [task_results for task_results in all_results if task_results.error is None]
    if not alive:
        return "failure"
    if len(process_seconds) >= limits.processes:
        judged = [task_results for task_results in alive if kind(task_results.task.kind).judged]
        if limits.precision is None or not judged:
            return "processes"
        if all(reached <= limits.precision for reached in _precisions(judged)):
            return "precision"
    # The first one had more to do, once for all.
    another = process_seconds[-1] - (_once(all_results) if len(process_seconds) == 1 else 0)
    return "time limit" if sum(process_seconds) + another > limits.group_seconds else None


def _once(all_results: Sequence[TaskResults]) -> float:
    """Seconds of what is measured in the first process alone."""
    clocks = (answer["metrics"].get("clock") for t in all_results for answer in t.answers)
    return float(sum(clock["seconds"] for clock in clocks if clock))


def _precisions(all_results: Sequence[TaskResults]) -> list[float]:
    """Half widths of the intervals of all ratios to the first framework; its own when alone."""
    found = []
    for name in dict.fromkeys(task_results.task.kind for task_results in all_results):
        first, *others = (
            _timed(task_results) for task_results in all_results if task_results.task.kind == name
        )
        # A framework alone is compared with a speed of one.
        pairs = [ratios(other, first) for other in others] or [_alone(first)]
        found += [estimates.paired(pair).precision for pair in pairs if any(pair)]
    return found


def _alone(one: Timed) -> list[list[float]]:
    return [[one.images_per_sample / sample for sample in p] for p in one.by_process()]


def _timed(task_results: TaskResults) -> Timed:
    images = task_results.answers[0]["images_per_sample"] if task_results.answers else 1
    return Timed(task_results.samples, task_results.blocks, images or 1)
