"""The stopping criterion of an interleaved run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.core.case import Case
from bench.core.kinds import kind
from bench.core.limits import Limits
from bench.core.samples import Timed, ratios
from bench.harness.interleaving.grouping import in_round
from bench.harness.interleaving.interleave import TaskResults, group_limit
from bench.networks.normalisations import NORMALISATIONS
from bench.stats import estimates
from bench.training.tracks import peers_of


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
        not end in time, and there are the fewest that give a verdict. ``processes``: as many as
        the profile asks for, and there is no goal.
        ``failure``: every task has failed.
    """
    alive = [task_results for task_results in all_results if task_results.error is None]
    if not alive:
        return "failure"
    cases = [task_results.task.case for task_results in all_results]
    there = in_round(cases, limits, len(process_seconds))
    if len(process_seconds) >= limits.processes:
        more = [task_results for task_results in alive if task_results.task.case in there]
        judged = [task_results for task_results in more if kind(task_results.task.kind).judged]
        if limits.precision is None or not judged:
            return "processes"
        if all(reached <= limits.precision for reached in _precisions(judged)):
            return "precision"
    if len(process_seconds) < limits.least_processes:
        return None
    # The first one had more to do, once for all.
    another = process_seconds[-1] - (_once(all_results) if len(process_seconds) == 1 else 0)
    # Some may take no part in it, and a round takes as long as it has workers.
    another *= len(there) / len(in_round(cases, limits, len(process_seconds) - 1))
    limit = group_limit(all_results, limits)
    return "time limit" if sum(process_seconds) + another > limit else None


def _once(all_results: Sequence[TaskResults]) -> float:
    """Seconds of what is measured in the first process alone."""
    clocks = (answer["metrics"].get("clock") for t in all_results for answer in t.answers)
    return float(sum(clock["seconds"] for clock in clocks if clock))


def _precisions(all_results: Sequence[TaskResults]) -> list[float]:
    """Half widths of the intervals of all ratios of a group."""
    found = []
    for name in dict.fromkeys(task_results.task.kind for task_results in all_results):
        same = [task_results for task_results in all_results if task_results.task.kind == name]
        found += [estimates.paired(pair).precision for pair in _ratios(same) if any(pair)]
    return found


def _ratios(same: Sequence[TaskResults]) -> Iterator[list[list[float]]]:
    """Ratios of one kind: each network to itself in its first framework, and each framework's
    network to that without the normalisation. What is in none is compared with a speed of one."""
    first: dict[Case, TaskResults] = {}
    cases = {task_results.task.case: task_results for task_results in same}
    for task_results in same:
        first.setdefault(peers_of(task_results.task.case), task_results)
    pairs = [(one, first[peers_of(case)]) for case, one in cases.items()]
    pairs = [(one, other) for one, other in pairs if one is not other]
    for norm in NORMALISATIONS:
        for case, one in cases.items():
            base = cases.get(replace(case, variant=norm.base))
            if case.variant == norm.variant and base:
                pairs.append((one, base))
    compared = {each.task.case for pair in pairs for each in pair}
    yield from (ratios(_timed(one), _timed(other)) for one, other in pairs)
    yield from (_alone(_timed(one)) for case, one in cases.items() if case not in compared)


def _alone(one: Timed) -> list[list[float]]:
    return [[one.images_per_sample / sample for sample in p] for p in one.by_process()]


def _timed(task_results: TaskResults) -> Timed:
    images = task_results.answers[0]["images_per_sample"] if task_results.answers else 1
    return Timed(task_results.samples, task_results.blocks, images or 1)
