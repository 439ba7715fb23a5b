"""Whose turn it is, and where a sample comes from."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.limits import Limits
from bench.core.records import Record
from bench.core.samples import (
    Block,
    Timed,
    by_process,
    fastest_ratio,
    interleaved_together,
    pairs,
    ratios,
    timed,
)
from bench.core.system.machine import BlockState
from bench.worker.schedule import FixedSchedule, RemoteSchedule
from tests.support import fakes


def record(samples: list[float], turns: dict[str, Any] | None = None, images: int = 10) -> Record:
    metrics = {"interleaving": turns} if turns else {}
    case = fakes.case()
    return Record(
        case,
        "inference",
        "ok",
        samples=tuple(samples),
        images_per_sample=images,
        metrics=metrics,
    )


def test_counted_turns_come_at_once_and_end() -> None:
    turns = FixedSchedule(2)
    assert [turns.next() for _ in range(4)] == [True, True, False, False]
    assert turns.extras
    assert turns.steps is None


def test_a_called_turn_hands_over_what_the_one_before_took() -> None:
    handed: list[tuple[list[float], BlockState | None]] = []
    calm, busy = BlockState(1.0, 2.0, 2, others=0.0), BlockState(1.0, 2.0, 2, others=0.5)
    commands = iter([{"do": "block"}, {"do": "block"}, {"do": "end"}])
    turns = RemoteSchedule(
        lambda *block: handed.append(block), lambda: next(commands), 7, extras=False, finish=list
    )
    assert turns.next()
    turns.record_block([1.0, 2.0], calm)
    assert turns.next()
    turns.record_block([3.0], busy)
    assert not turns.next()
    assert handed == [([], None), ([1.0, 2.0], calm), ([3.0], busy)]
    assert (turns.steps, turns.extras) == (7, False)


def test_samples_go_back_to_their_processes() -> None:
    reported = {"blocks": [[0, 0, 2], [0, 1, 1], [1, 0, 2]]}
    assert by_process(record([1, 2, 3, 4, 5], reported)) == [[1, 2, 3], [4, 5]]


def test_a_record_from_before_turns_is_one_process() -> None:
    assert by_process(record([1, 2, 3])) == [[1, 2, 3]]
    assert not interleaved_together(record([1]), record([1]))


def test_only_records_of_one_match_were_side_by_side() -> None:
    one, same, other = (
        record([1], {"group": name, "blocks": [[0, 0, 1]]}) for name in ("x", "x", "y")
    )
    assert interleaved_together(one, same)
    assert not interleaved_together(one, other)


def test_ratio_is_of_speed_turn_by_turn() -> None:
    blocks = [Block(0, 0, 1), Block(0, 1, 1), Block(1, 0, 1)]
    fast = Timed([1.0, 2.0, 4.0], blocks, 10)
    slow = Timed([4.0, 4.0, 6.0], blocks, 20)
    assert ratios(fast, slow) == [[2.0, 1.0], [0.75]]


def test_a_turn_that_one_side_lost_is_no_pair() -> None:
    whole = Timed([0.5, 1.0, 1.0], [Block(0, 0, 1), Block(0, 1, 1), Block(1, 0, 1)], 1)
    half = Timed([2.0], [Block(0, 1, 1)], 1)
    assert ratios(whole, half) == [[2.0]]
    assert [fastest_ratio(process) for process in pairs(whole, half)] == [2.0]


def test_the_fastest_turns_of_a_process_are_compared() -> None:
    blocks = [Block(0, 0, 1), Block(0, 1, 1), Block(1, 0, 1)]
    one = Timed([1.0, 3.0, 4.0], blocks, 10)
    other = Timed([4.0, 2.0, 6.0], blocks, 20)
    assert [fastest_ratio(process) for process in pairs(one, other)] == [1.0, 0.75]


def test_a_turn_of_several_calls_counts_by_its_median() -> None:
    calls = Timed([1.0, 100.0, 2.0], [Block(0, 0, 3)], 1)
    assert calls.speeds() == {(0, 0): 0.5}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), min_size=1, max_size=8))
def test_no_sample_is_lost_or_counted_twice(parts: list[tuple[int, int]]) -> None:
    blocks = [Block(process, turn, n) for turn, (process, n) in enumerate(parts)]
    samples = [float(i + 1) for i in range(sum(n for _, n in parts))]
    reported = record(samples, {"blocks": blocks})
    assert sorted(s for process in timed(reported).by_process() for s in process) == samples


@pytest.mark.parametrize(
    ("kind", "extras", "turns"),
    [
        ("train_throughput", True, 9),
        ("train_throughput", False, 4),
        ("inference", True, 9),
        ("inference", False, 4),
        ("latency", True, 4),
    ],
)
def test_other_loops_run_beside_the_first_process_alone(
    kind: str, extras: bool, turns: int
) -> None:
    limits = Limits(blocks=4, overhead_blocks=9)
    assert limits.turns(kind, extras=extras) == turns
