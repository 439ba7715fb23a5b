"""Ceilings: operation counts, the clock, the cache, the best, and what records say of them."""

import json
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.cli.commands import doctor
from bench.core.cache import keep
from bench.core.case import Case
from bench.harness import ceilings
from bench.harness.ceilings import CLOSE, Found, RunCeilings, best, obtain
from bench.harness.observer import Observer
from bench.training import frameworks
from bench.training.frameworks import FRAMEWORKS
from bench.training.interfaces import Conv, MatMul, Operation
from bench.worker import ceilings as operations
from bench.worker.ceilings import OPERATIONS, PRECISIONS, OperationResult
from bench.worker.client import Worker, WorkerError
from tests.support import fakes

SMALL = (MatMul(8, 16, 32), Conv(2, 5, 3, 4, 3))


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    fakes.install(monkeypatch, tmp_path / "cache")
    quiet(monkeypatch, 0.01)
    for name in ("fake-two", "fake-missing"):
        row = replace(FRAMEWORKS[name], ceiling="tests.support.fakes:quick_maker")
        monkeypatch.setitem(frameworks.FRAMEWORKS, name, row)
    return tmp_path / "cache" / "ceilings"


def quiet(monkeypatch: pytest.MonkeyPatch, others: float) -> None:
    """Others use a share of the CPUs while ceilings are measured, whatever runs next to a test."""
    monkeypatch.setattr(Observer, "state", lambda self: {"others": others})


def answers(operation_list: tuple[Operation, ...], pace: float | None) -> list[OperationResult]:
    """A whole answer; each operation and precision has a pace of its own, the last the highest."""
    found: list[OperationResult] = []
    for precision in PRECISIONS:
        for operation in operation_list:
            reported = None if pace is None else pace + len(found)
            found.append(
                {
                    "operation": operation.operation,
                    "shape": operation.text,
                    "precision": precision,
                    "flops_per_second": reported,
                    **({"reason": "planted"} if reported is None else {}),
                }
            )
    return found


class Asked:
    """Stands in for the workers, and counts how often one is asked."""

    def __init__(self) -> None:
        self.times = 0
        self.answer: Any = answers(SMALL, 100.0)

    def __call__(self, *_: object) -> Any:
        return nullcontext(self)

    def ceiling(self, *_: object) -> Any:
        self.times += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(ceilings, "Worker", asked)
    return asked


# Counted by hand: two for each multiply-add.
@pytest.mark.parametrize(
    ("operation", "flops"),
    [
        (MatMul(1024, 1024, 1024), 2_147_483_648),
        (MatMul(2048, 2048, 2048), 17_179_869_184),
        (MatMul(256, 9216, 4096), 19_327_352_832),
        (Conv(64, 13, 256, 384, 3), 19_138_609_152),  # 2 · 64·13·13 · 384 · 256·3·3
        (Conv(32, 32, 128, 128, 3), 9_663_676_416),
        (Conv(32, 27, 64, 192, 5), 14_332_723_200),
    ],
)
def test_flops_are_those_counted_by_hand(operation: Operation, flops: int) -> None:
    assert operation.flops == flops
    assert operation in OPERATIONS


def test_both_kinds_are_there_and_a_shape_names_one_operation_alone() -> None:
    assert {operation.operation for operation in OPERATIONS} == set(operations.OPERATION_NAMES)
    assert len({operation.text for operation in OPERATIONS}) == len(OPERATIONS) == 6


def test_an_operation_travels_as_json() -> None:
    for operation in OPERATIONS:
        sent = json.loads(json.dumps(operations.to_json(operation)))
        assert operations.from_json(sent) == operation


class Clock:
    """Time passes only while an operation runs: a first call of 3 s, then as planned."""

    def __init__(self, *seconds: float) -> None:
        self.now, self.calls = 0.0, 0
        self._seconds = list(seconds)

    def run(self, times: int) -> None:
        each = 3.0 if not self.calls else self._seconds[0]
        if len(self._seconds) > 1 and self.calls:
            self._seconds.pop(0)
        self.calls += times
        self.now += times * each

    def __call__(self) -> float:
        return self.now


def test_the_quickest_block_counts_and_the_warm_up_does_not() -> None:
    clock = Clock(0.02, 0.03, 0.01, 0.02, 0.02, 0.02)
    assert operations.best_seconds(clock.run, clock) == pytest.approx(0.01)
    assert clock.calls == 2 + 3 * 5  # blocks of a tenth of a second


def test_a_slow_operation_is_not_run_over_and_over() -> None:
    clock = Clock(2.0)
    assert operations.best_seconds(clock.run, clock) == 2.0
    assert clock.calls == 2


def test_an_operation_that_was_disturbed_once_is_measured_again_after_the_others() -> None:
    calls: list[Operation] = []
    planted = {1: 0.05}  # the first operation is slowed in its first round
    runs: dict[Operation, int] = {}

    def make(operation: Operation, precision: str) -> Callable[[int], None]:
        def run(times: int) -> None:
            calls.append(operation)
            runs[operation] = runs.get(operation, 0) + 1
            first_round = len(set(calls)) < len(SMALL)
            slow = operation is SMALL[0] and first_round
            time.sleep(times * (planted[1] if slow else 0.005))

        return run

    found = operations.measure_all(make, SMALL, ("float32",))
    seconds = SMALL[0].flops / found[0]["flops_per_second"]
    assert seconds < 0.02  # not the 0.05 of its first round
    first = calls.index(SMALL[1])
    assert SMALL[0] in calls[first:]


def test_what_a_framework_lacks_is_a_reason_and_the_rest_is_measured() -> None:
    def make(operation: Operation, precision: str) -> Callable[[int], None]:
        if isinstance(operation, Conv) and precision == "bfloat16":
            raise NotImplementedError("no such kernel\nand more")
        return lambda times: time.sleep(0.001 * times)

    found = operations.measure_all(make, SMALL)
    assert [answer["flops_per_second"] is None for answer in found] == [False, False, False, True]
    assert found[-1]["reason"] == "NotImplementedError: no such kernel"
    assert ceilings._whole(found, SMALL)


def test_what_is_emulated_is_left_out_once_its_pace_is_known() -> None:
    made: list[Operation] = []

    def make(operation: Operation, precision: str) -> Callable[[int], None]:
        made.append(operation)
        return lambda times: time.sleep(0.01 * times)  # 8·16·32 in 10 ms: hardly a megaflop

    huge = MatMul(4096, 4096, 4096)
    found = operations.measure_all(make, (*SMALL, huge), ("float32",))
    assert made == list(SMALL)
    assert found[-1]["flops_per_second"] is None
    assert found[-1]["reason"].startswith("skipped: about ")


def test_a_worker_answers_every_operation(cache: Path) -> None:
    found = obtain("fake-ceiling")
    assert found.reason is None
    assert not found.cached
    wanted = [(o.operation, o.text, precision) for precision in PRECISIONS for o in OPERATIONS]
    reported = [(a["operation"], a["shape"], a["precision"]) for a in found.ceilings]
    assert reported == wanted
    assert all(answer["flops_per_second"] > 0 for answer in found.ceilings)
    assert [path.suffix for path in cache.iterdir()] == [".json"]


def test_a_worker_is_bound_and_told_its_threads() -> None:
    one = sorted(os.sched_getaffinity(0))[:1]
    with Worker(Case("", "fake-ceiling"), Path(), fakes.LIMITS, one) as worker:
        found = worker.ceiling(SMALL, lambda done, note: None)
    # The fake's pace is its threads: a thousand calls a second for each.
    paces = [answer["flops_per_second"] for answer in found[:2]]
    assert paces == [pytest.approx(o.flops * 1000, rel=0.4) for o in SMALL]


def test_what_the_cache_has_is_not_measured_again(asked: Asked) -> None:
    first = obtain("fake-ceiling", operations=SMALL)
    second = obtain("fake-ceiling", operations=SMALL)
    assert asked.times == 1
    assert (first.cached, second.cached) == (False, True)
    assert second == replace(first, cached=True)
    assert second.measured_at.endswith("+00:00")
    obtain("fake-ceiling", operations=SMALL, fresh=True)
    assert asked.times == 2


def test_another_machine_version_or_affinity_is_measured_anew(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    obtain("fake-ceiling", operations=SMALL)
    changes: list[tuple[Any, str, Any]] = [
        (ceilings, "processor", lambda: "another"),
        (ceilings, "_FORMAT", 99),
        (os, "sched_getaffinity", lambda pid: {7, 8}),
        (frameworks.Framework, "versions", lambda row: {"numpy": "0"}),
    ]
    for number, (owner, name, value) in enumerate(changes, start=2):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            obtain("fake-ceiling", operations=SMALL)
        assert asked.times == number, name
    asked.answer = answers(SMALL[:1], 100.0)
    obtain("fake-ceiling", operations=SMALL[:1])
    obtain("fake-two", operations=SMALL)
    assert asked.times == len(changes) + 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: "",
        lambda kept: "[]",
        lambda kept: json.dumps(kept)[:-20],
        lambda kept: json.dumps({**kept, "made_from": {}}),
        lambda kept: json.dumps(kept).replace("100.0", "101.0"),
    ],
)
def test_a_damaged_cache_is_measured_again_and_mended(
    asked: Asked, cache: Path, damage: Callable[[Any], str]
) -> None:
    whole = obtain("fake-ceiling", operations=SMALL)
    (path,) = cache.iterdir()
    path.write_text(damage(json.loads(path.read_text())))
    _check_mended(asked, path, whole)


@pytest.mark.parametrize(
    "content",
    [
        lambda kept: json.dumps({**kept, "measured_at": None}),
        lambda kept: json.dumps({**kept, "ceilings": kept["ceilings"][1:]}),
        lambda kept: json.dumps({**kept, "ceilings": [[], 1]}),
        lambda kept: json.dumps(kept).replace("100.0", "-1"),
        lambda kept: json.dumps(kept).replace("100.0", "Infinity"),
        lambda kept: json.dumps(kept).replace("100.0", '"fast"'),
        lambda kept: json.dumps(kept).replace("100.0", "null"),  # no pace, and no reason
    ],
)
def test_a_cached_answer_that_is_none_is_measured_again_whatever_its_digest(
    asked: Asked, cache: Path, content: Callable[[Any], str]
) -> None:
    whole = obtain("fake-ceiling", operations=SMALL)
    (path,) = cache.iterdir()
    kept = json.loads(path.read_text())
    keep(path, kept["made_from"], json.loads(content(kept["content"])))
    _check_mended(asked, path, whole)


def _check_mended(asked: Asked, path: Path, whole: Found) -> None:
    assert obtain("fake-ceiling", operations=SMALL).ceilings == whole.ceilings
    assert asked.times == 2
    assert obtain("fake-ceiling", operations=SMALL).cached
    assert list(path.parent.iterdir()) == [path]


def test_a_cache_that_cannot_be_written_costs_only_time(asked: Asked, cache: Path) -> None:
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("a file where the folder should be")
    assert obtain("fake-ceiling", operations=SMALL).reason is None
    assert obtain("fake-ceiling", operations=SMALL).reason is None
    assert asked.times == 2


@pytest.mark.parametrize(
    ("framework", "reason"),
    [
        ("fake-slow", "no function that measures one"),
        ("fake-missing", "no_such_module"),
        ("fake-ceiling-raise", "planted failure"),
        ("fake-ceiling-killed", "SIGKILL"),
    ],
)
def test_a_ceiling_that_cannot_be_had_is_a_reason(framework: str, reason: str, cache: Path) -> None:
    found = obtain(framework)
    assert found.ceilings == ()
    assert reason in str(found.reason)
    assert "\n" not in str(found.reason)
    assert not cache.exists()


@pytest.mark.parametrize("answer", [[], answers(SMALL[:1], 1.0), OSError("no process")])
def test_half_an_answer_is_none(asked: Asked, answer: Any) -> None:
    asked.answer = answer
    assert obtain("fake-ceiling", operations=SMALL).reason


def test_the_best_is_over_all_frameworks_by_precision() -> None:
    slow, quick = answers(SMALL, 10.0), answers(SMALL, 20.0)
    slow[0] |= {"flops_per_second": 500.0}
    quick[3] |= {"flops_per_second": None, "reason": "planted"}
    found = [Found("slow", tuple(slow)), Found("quick", tuple(quick)), Found("none", reason="why")]
    shape = {"framework": "slow", "operation": "matmul", "shape": "8x16 @ 16x32"}
    winners = best(found)
    assert winners["float32"] == {**shape, "precision": "float32", "flops_per_second": 500.0}
    assert winners["bfloat16"]["framework"] == "quick"
    assert winners["bfloat16"]["flops_per_second"] == 22.0
    assert best(found, "conv")["float32"]["flops_per_second"] == 21.0
    assert best(found, "conv")["bfloat16"]["framework"] == "slow"
    assert best([Found("none", reason="why")]) == {}


def test_a_run_asks_each_framework_once_and_takes_the_cases_precision(asked: Asked) -> None:
    asked.answer = answers(OPERATIONS, 100.0)
    ceilings = RunCeilings()
    for _ in range(3):
        ceilings.prepare(["fake-ceiling", "fake-two", "fake-ceiling"], lambda done, note: None)
    assert asked.times == 2
    reported = ceilings.metrics(Case("tiny", "fake-ceiling", precision="bfloat16"))
    assert reported["ceiling"]["precision"] == "bfloat16"
    assert reported["ceiling"]["flops_per_second"] == 100.0 + 2 * len(OPERATIONS) - 1
    assert "ceiling_reason" not in reported


def test_no_ceiling_says_why(asked: Asked) -> None:
    ceilings = RunCeilings()
    assert ceilings.metrics(Case("tiny", "fake-ceiling"))["ceiling_reason"] == "none was measured"
    asked.answer = WorkerError("failed", "Traceback\n/home/me/x.py\nValueError: in /home/me/x.py")
    ceilings.prepare(["fake-ceiling", "fake-slow"], lambda done, note: None)
    reported = ceilings.metrics(Case("tiny", "fake-ceiling"))
    assert reported["ceiling"] is None
    assert "fake-ceiling: ValueError" in reported["ceiling_reason"]
    assert "/home/me" not in reported["ceiling_reason"]
    assert "fake-slow: it has no function" in reported["ceiling_reason"]
    on_gpu = ceilings.metrics(Case("tiny", "fake-ceiling", device="cuda"))
    assert on_gpu == {"ceiling": None, "ceiling_reason": "none was measured"}


def test_a_precision_without_a_pace_says_why(asked: Asked) -> None:
    asked.answer = answers(OPERATIONS, None)
    ceilings = RunCeilings()
    ceilings.prepare(["fake-ceiling"], lambda done, note: None)
    reported = ceilings.metrics(Case("tiny", "fake-ceiling"))
    assert reported == {"ceiling": None, "ceiling_reason": "fake-ceiling: planted"}


def test_doctor_tells_ceilings_and_where_they_come_from(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.answer = answers(OPERATIONS, 1e9)
    rows = {name: frameworks.FRAMEWORKS[name] for name in ("fake-ceiling", "fake-slow")}
    monkeypatch.setattr(doctor, "FRAMEWORKS", rows)
    first = doctor._ceilings(fresh=False)
    again = doctor._ceilings(fresh=False)
    assert asked.times == 1
    assert doctor._ceilings(fresh=True)["frameworks"]["fake-ceiling"]["cached"] is False
    assert asked.times == 2
    json.dumps(again, allow_nan=False)
    reported = again["frameworks"]["fake-ceiling"]["best"]["bfloat16"]
    assert (reported["matmul"]["operation"], reported["conv"]["operation"]) == ("matmul", "conv")
    text = "\n".join(doctor.ceiling_lines(again))
    assert "cached; --fresh measures again" in text
    assert again["frameworks"]["fake-ceiling"]["measured_at"] in text
    assert "float32: matrix product 1.00 GFLOP/s (" in text
    assert "this machine's float32: convolution 1.00 GFLOP/s (" in text
    assert "fake-slow: none: it has no function" in text
    assert "measured now" in "\n".join(doctor.ceiling_lines(first))


def test_doctor_tells_what_has_no_pace(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    asked.answer = answers(OPERATIONS, None)
    monkeypatch.setattr(
        doctor, "FRAMEWORKS", {"fake-ceiling": frameworks.FRAMEWORKS["fake-ceiling"]}
    )
    text = "\n".join(doctor.ceiling_lines(doctor._ceilings(fresh=False)))
    assert "bfloat16: no matrix product; no convolution" in text
    assert f"{OPERATIONS[0].text}: planted" in text


def test_a_peak_is_the_best_of_all_measurements(asked: Asked) -> None:
    obtain("fake-ceiling", operations=SMALL)
    asked.answer = answers(SMALL, 80.0)  # a busier moment
    asked.answer[0] |= {"flops_per_second": 500.0}
    asked.answer[1] |= {"flops_per_second": None, "reason": "planted"}
    found = obtain("fake-ceiling", operations=SMALL, fresh=True)
    assert [one["flops_per_second"] for one in found.ceilings] == [500.0, 101.0, 102.0, 103.0]
    kept = obtain("fake-ceiling", operations=SMALL)
    assert kept.ceilings == found.ceilings
    assert asked.times == 2


def test_a_failed_repetition_leaves_what_is_known(asked: Asked) -> None:
    first = obtain("fake-ceiling", operations=SMALL)
    for answer in (WorkerError("failed", "planted"), answers(SMALL[:1], 1.0)):
        asked.answer = answer
        assert obtain("fake-ceiling", operations=SMALL, fresh=True).ceilings == first.ceilings


def test_a_peak_of_a_busy_machine_is_measured_again_until_it_is_quiet(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet(monkeypatch, 0.4)
    assert obtain("fake-ceiling", operations=SMALL).disturbed
    assert obtain("fake-ceiling", operations=SMALL).disturbed
    assert asked.times == 2
    quiet(monkeypatch, 0.01)
    assert not obtain("fake-ceiling", operations=SMALL).disturbed
    assert not obtain("fake-ceiling", operations=SMALL).disturbed
    assert asked.times == 3


CASE = Case("tiny", "fake-ceiling")
PEAK = 100.0 + len(OPERATIONS) - 1
"""Of float32: `answers` gives every operation one more than the one before."""


@pytest.fixture
def measured(asked: Asked) -> RunCeilings:
    asked.answer = answers(OPERATIONS, 100.0)
    made = RunCeilings()
    made.prepare(["fake-ceiling"], lambda done, note: None)
    return made


def peak(ceilings: RunCeilings, speed: float) -> float:
    return float(ceilings.metrics(CASE, speed)["ceiling"]["flops_per_second"])


def test_a_row_far_from_the_peak_does_not_repeat_it(asked: Asked, measured: RunCeilings) -> None:
    assert peak(measured, (CLOSE - 0.01) * PEAK) == PEAK
    assert asked.times == 1


def test_a_row_close_to_the_peak_has_it_measured_again(asked: Asked, measured: RunCeilings) -> None:
    asked.answer = answers(OPERATIONS, 200.0)  # the first time was a noisy moment
    assert peak(measured, 0.96 * PEAK) == 100.0 + PEAK
    assert asked.times == 2
    assert peak(measured, 0.96 * PEAK) == 100.0 + PEAK
    assert asked.times == 2


def test_a_row_above_the_peak_raises_it_for_the_rows_after_it(
    asked: Asked, measured: RunCeilings
) -> None:
    assert peak(measured, 1.18 * PEAK) == PEAK  # measured again, and it is no higher
    assert asked.times == 1 + 2
    raised = measured.metrics(CASE, 0.5 * PEAK)["ceiling"]
    assert raised["flops_per_second"] == pytest.approx(1.18 * PEAK)
    assert (raised["operation"], raised["framework"]) == ("tiny", "fake-ceiling")
    assert peak(measured, 1.17 * PEAK) == pytest.approx(1.18 * PEAK)
    assert asked.times == 1 + 2  # not for every row of the run
    bfloat16 = measured.metrics(replace(CASE, precision="bfloat16"), 0.0)["ceiling"]
    assert bfloat16["flops_per_second"] == PEAK + len(OPERATIONS)


def test_the_peak_of_several_accelerators_is_that_of_each() -> None:
    """Two cards are faster than one, and raise no peak of the rows on one."""
    found = RunCeilings()
    known = Found("fake-ceiling", tuple(answers(OPERATIONS, 100.0)))
    found._found["fake-ceiling", "cuda"] = known
    on_one = replace(CASE, device="cuda")
    on_two = replace(on_one, devices=2)
    both = found.metrics(on_two, 1.8 * PEAK)["ceiling"]
    assert both["flops_per_second"] == 2 * PEAK
    assert both["shape"].endswith(", on each of 2 devices")
    assert found.metrics(on_one, 0.5 * PEAK)["ceiling"]["flops_per_second"] == PEAK
