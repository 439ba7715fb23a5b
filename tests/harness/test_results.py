"""What a worker reports is refused where no record could hold it."""

from typing import Any

import pytest

from bench.harness.results import checked, checked_block
from bench.worker.client import WorkerError

RESULT: dict[str, Any] = {
    "samples": [0.5],
    "unit": "s",
    "images_per_sample": 16,
    "metrics": {"steps_per_sample": 1},
    "settings": {"device": "cpu"},
    "peak_memory_bytes": None,
}


def test_a_good_result_is_passed_on() -> None:
    assert checked(RESULT) is RESULT
    assert checked_block({"samples": [1, 0.5], "machine": None}) == ([1, 0.5], None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": "x"}, "flat list of numbers"),
        ({"samples": [float("nan")]}, "flat list of numbers"),
        ({"unit": None}, "unit must be a text"),
        ({"images_per_sample": "16"}, "images_per_sample must be a whole number"),
        ({"metrics": []}, "metrics must be an object"),
        ({"metrics": {"curve": 1}}, "curve must be a list"),
        ({"metrics": {"anything": float("inf")}}, "JSON"),
        ({"settings": {"x": float("nan")}}, "JSON"),
        ({"settings": 1}, "settings must be an object"),
        ({"peak_memory_bytes": -1}, "peak_memory_bytes must be"),
    ],
)
def test_what_no_record_could_hold_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkerError, match=message) as caught:
        checked({**RESULT, **changes})
    assert caught.value.status == "failed"


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("latency", {"samples": [-1e-9]}, "seconds from 0"),
        ("startup", {"samples": [1e308, 1e308]}, "seconds from 0"),
        ("accuracy", {"samples": [1.5]}, "a fraction from 0 to 1"),
        ("train_throughput", {"images_per_sample": None}, "without images_per_sample"),
        ("inference", {"images_per_sample": 0}, "without images_per_sample"),
    ],
)
def test_samples_that_no_summary_can_be_made_of_are_refused(
    kind: str, changes: dict[str, Any], message: str
) -> None:
    assert checked(RESULT, kind)
    with pytest.raises(WorkerError, match=message):
        checked({**RESULT, **changes}, kind)


@pytest.mark.parametrize("result", [1, [], None, {}, {"samples": [1.0]}])
def test_what_is_no_result_is_refused(result: Any) -> None:
    with pytest.raises(WorkerError, match="the worker's result is refused"):
        checked(result)


@pytest.mark.parametrize("samples", [None, 1.0, ["1"], [[1.0]], [True], [-1.0], [1e300]])
def test_a_block_of_anything_but_numbers_is_refused(samples: Any) -> None:
    with pytest.raises(WorkerError, match="the worker's block is refused"):
        checked_block({"samples": samples, "machine": None})
