"""Inputs that are made ahead are those that would be made in their turn."""

import threading
import time
from itertools import islice

import pytest

from bench.worker.device.ahead import DEPTH, made_ahead


def test_inputs_come_in_order_and_each_is_made_once() -> None:
    made: list[int] = []

    def make(step: int) -> int:
        made.append(step)
        return step * step

    with made_ahead(make, 3, 9) as inputs:
        assert list(inputs) == [step * step for step in range(3, 9)]
    assert made == list(range(3, 9))


def test_a_few_are_made_while_the_first_is_used_and_no_more() -> None:
    made: list[int] = []
    with made_ahead(lambda step: made.append(step) or step, 0, 1 << 40) as inputs:
        assert next(inputs) == 0
        ends = time.monotonic() + 10
        while len(made) < DEPTH and time.monotonic() < ends:
            time.sleep(0.001)
        assert made == list(range(DEPTH))


def test_nothing_is_being_made_once_it_has_settled() -> None:
    made: list[int] = []

    def make(step: int) -> None:
        time.sleep(0.01)
        made.append(step)

    with made_ahead(make, 0, 1 << 40) as inputs:
        next(inputs)
        inputs.settle()
        assert made == list(range(DEPTH))


def test_nothing_is_made_after_the_block() -> None:
    before = threading.active_count()
    made: list[int] = []
    with made_ahead(lambda step: made.append(step) or step, 0, 100) as inputs:
        assert list(islice(inputs, 2)) == [0, 1]
    count = len(made)
    assert threading.active_count() == before
    time.sleep(0.02)
    assert len(made) == count


def test_an_error_comes_to_the_step_whose_input_it_is() -> None:
    def make(step: int) -> int:
        if step == 1:
            raise ValueError("planted")
        return step

    with made_ahead(make, 0, 5) as inputs:
        assert next(inputs) == 0
        with pytest.raises(ValueError, match="planted"):
            next(inputs)
