"""When no further process is taken."""

from dataclasses import replace

import pytest

from bench.core.limits import Limits
from bench.harness.interleaving.interleave import TaskResults, group_limit
from bench.harness.interleaving.stopping import stopping_reason
from bench.harness.matrix import Task
from bench.harness.results import TimedBlock
from bench.worker.client import WorkerError
from tests.support import fakes

LIMITS = Limits(processes=3, precision=0.06, group_seconds=100.0)


def task_results(
    framework: str, speeds: list[float], kind: str = "train_throughput"
) -> TaskResults:
    """Two blocks in each process, 1 % apart."""
    made = TaskResults(Task(fakes.case(framework), kind))
    for process, speed in enumerate(speeds):
        for turn, factor in enumerate((1.0, 1.01)):
            made.add(process, turn, TimedBlock([10 * factor / speed]))
    made.answers.append({"images_per_sample": 10, "metrics": {}})
    return made


def match(*speeds: float) -> list[TaskResults]:
    """The second framework is ``speeds`` times as fast as the first, process by process."""
    return [task_results("fake", [1.0] * len(speeds)), task_results("fake-two", list(speeds))]


def two_networks(*cost: float) -> list[TaskResults]:
    """Two frameworks of equal speed on two networks; one of these costs so much in each process."""
    found = []
    for variant, speeds in (("cifar-plain", (1.0,) * len(cost)), ("cifar-lrn", cost)):
        for framework in ("fake", "fake-two"):
            made = task_results(framework, list(speeds))
            made.task = replace(made.task, case=replace(made.task.case, variant=variant))
            found.append(made)
    return found


def test_in_a_group_of_several_networks_the_cost_of_a_normalisation_is_judged_too() -> None:
    seconds = process_seconds(3, 10.0)
    assert stopping_reason(two_networks(0.8, 0.81, 0.8), LIMITS, seconds) == "precision"
    # frameworks agree in every process, and what the normalisation costs does not
    assert stopping_reason(two_networks(0.8, 0.6, 1.0), LIMITS, seconds) is None


def test_networks_that_nothing_relates_are_not_compared() -> None:
    found = two_networks(0.8, 0.6, 1.0)
    for each in found[2:]:
        each.task = replace(each.task, case=replace(each.task.case, variant="torchvision"))
    assert stopping_reason(found, LIMITS, process_seconds(3, 10.0)) == "precision"


def test_a_network_in_one_framework_leaves_after_its_processes() -> None:
    """Its ratio is not waited for, and the rounds after that are expected to be shorter."""
    limits = replace(LIMITS, normalisation_processes=3)
    found = match(2.0, 2.01, 2.0)
    alone = two_networks(0.8, 0.6, 1.0)[2]
    found.append(alone)
    assert stopping_reason(found, LIMITS, process_seconds(3, 10.0)) is None
    assert stopping_reason(found, limits, process_seconds(3, 10.0)) == "precision"
    uneven = [*match(2.0, 2.4, 1.8), alone]
    seconds = process_seconds(3, 160.0)  # of 200 for two networks
    assert stopping_reason(uneven, LIMITS, seconds) == "time limit"
    assert stopping_reason(uneven, limits, seconds) is None
    # where nothing is compared between frameworks all of them stay
    assert (
        stopping_reason(two_networks(0.8, 0.6, 1.0)[::2], limits, process_seconds(3, 10.0)) is None
    )


def test_a_group_has_the_time_of_all_its_networks() -> None:
    found = two_networks(0.8, 0.6, 1.0)
    assert group_limit(found, LIMITS) == 200.0
    assert stopping_reason(found, LIMITS, process_seconds(3, 149.0)) is None
    assert stopping_reason(found, LIMITS, process_seconds(3, 151.0)) == "time limit"


def process_seconds(number: int, seconds: float) -> list[float]:
    """So many, of so many seconds together."""
    return [seconds / number] * number


def test_the_fewest_processes_are_taken_whatever_the_time() -> None:
    """One process gives no verdict, however large the selection is."""
    limits = replace(LIMITS, least_processes=3)
    assert stopping_reason(match(2.0), LIMITS, process_seconds(1, 500.0)) == "time limit"
    assert stopping_reason(match(2.0, 2.4), limits, process_seconds(2, 500.0)) is None
    assert stopping_reason(match(2.0, 2.4, 1.8), limits, process_seconds(3, 500.0)) == "time limit"


def test_as_many_processes_as_asked_for_are_taken_whatever_the_precision() -> None:
    assert stopping_reason(match(2.0, 2.0), LIMITS, process_seconds(2, 10.0)) is None


def test_a_precise_ratio_is_enough() -> None:
    assert stopping_reason(match(2.0, 2.01, 2.0), LIMITS, process_seconds(3, 10.0)) == "precision"


def test_a_ratio_that_spreads_wants_more() -> None:
    assert stopping_reason(match(2.0, 2.4, 1.8), LIMITS, process_seconds(3, 10.0)) is None


def test_one_imprecise_ratio_of_several_wants_more() -> None:
    all_results = [*match(2.0, 2.01, 2.0), task_results("fake-three", [1.0, 2.0, 3.0])]
    assert stopping_reason(all_results, LIMITS, process_seconds(3, 10.0)) is None


@pytest.mark.parametrize(("seconds", "expected"), [(74.0, None), (76.0, "time limit")])
def test_no_process_is_begun_that_would_not_be_done_in_time(
    seconds: float, expected: str | None
) -> None:
    assert stopping_reason(match(2.0, 2.4, 1.8), LIMITS, process_seconds(3, seconds)) == expected


def test_without_a_goal_the_number_of_processes_decides() -> None:
    limits = Limits(processes=2, group_seconds=1000.0)
    assert stopping_reason(match(2.0), limits, process_seconds(1, 10.0)) is None
    assert stopping_reason(match(2.0, 3.0), limits, process_seconds(2, 10.0)) == "processes"


def test_latency_alone_takes_the_number_that_is_asked_for() -> None:
    all_results = [task_results("fake", [1.0, 2.0, 3.0], "latency")]
    assert stopping_reason(all_results, LIMITS, process_seconds(3, 10.0)) == "processes"


def test_one_framework_alone_is_judged_by_its_own_speed() -> None:
    assert (
        stopping_reason([task_results("fake", [1.0, 1.0, 1.01])], LIMITS, process_seconds(3, 10.0))
        == "precision"
    )
    assert (
        stopping_reason([task_results("fake", [1.0, 1.3, 0.9])], LIMITS, process_seconds(3, 10.0))
        is None
    )


def test_what_failed_is_not_waited_for() -> None:
    all_results = match(2.0, 2.01, 2.0)
    lost = task_results("fake-three", [1.0, 9.0])
    lost.error = WorkerError("failed", "planted")
    assert stopping_reason([*all_results, lost], LIMITS, process_seconds(3, 10.0)) == "precision"
    for one in all_results:
        one.error = WorkerError("failed", "planted")
    assert stopping_reason(all_results, LIMITS, process_seconds(1, 10.0)) == "failure"


def test_what_is_measured_once_is_not_expected_again() -> None:
    all_results = match(2.0)
    assert stopping_reason(all_results, LIMITS, [60.0]) == "time limit"
    all_results[0].answers[0]["metrics"] = {"clock": {"seconds": 25.0}}
    assert stopping_reason(all_results, LIMITS, [60.0]) is None
    assert stopping_reason(all_results, LIMITS, [30.0, 60.0]) == "time limit"
