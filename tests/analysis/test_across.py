"""Several runs: side by side, and over time with breaks and change points."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.analysis.across import changes
from bench.analysis.across.changes import changes_of, histories, proposed
from bench.analysis.across.entries import entries_of
from bench.analysis.across.series import Series, series_of
from bench.analysis.across.side_by_side import letter, side_by_side
from bench.analysis.frame import frame_of
from bench.analysis.rows import accuracy_rows, latency_rows, throughput_rows
from bench.analysis.runs import Run
from bench.analysis.values import value_of as of_records
from bench.core.records import Record
from bench.core.samples import by_process
from bench.report.across.words import by_seeds, quantity, value_of, verdict_of
from bench.report.chapters.speed.startup import startup_rows
from bench.report.export.benchmarks import bencher
from bench.report.report import Report
from bench.stats.summaries import summary_of
from tests.support.synthetic_records.several_runs import a_run, over_days, timed
from tests.support.synthetic_records.synthetic import (
    DATASET,
    ENVIRONMENT,
    OTHER_DATASET,
    PARITY,
    SETTINGS,
    make_failure,
    make_record,
)

# ---- side by side


def test_every_run_is_compared_with_the_first() -> None:
    runs = [a_run(name, timed(seconds)) for name, seconds in zip("abc", (1, 1, 2), strict=True)]
    found = side_by_side(runs)
    assert [[row.verdict for row in some] for some in found.comparisons] == [["tie"], ["slower"]]
    assert [some[0].run for some in found.comparisons] == ["b", "c"]
    assert found.comparisons[1][0].noise == pytest.approx(0.01, rel=0.3)
    ((key, rows),) = found.rows()
    assert key == timed(1).key
    assert [row and row.comparison.verdict for row in rows] == ["tie", "slower"]


def test_reasons_name_the_run_that_they_are_about() -> None:
    other = timed(1, environment={**ENVIRONMENT, "cpu": "Another"})
    found = side_by_side(
        [
            a_run(name, record)
            for name, record in zip("abc", (timed(1), timed(1), other), strict=True)
        ]
    )
    assert "cpu is Example CPU 9000 in A, Another in C" in (found.comparisons[1][0].reason or "")


def test_a_case_that_one_run_lacks_is_a_row_of_the_others() -> None:
    jax = timed(1, framework="keras-jax")
    found = side_by_side([a_run("a", timed(1)), a_run("b", timed(1), jax), a_run("c", jax)])
    rows = dict(found.rows())
    assert [row and row.comparison.verdict for row in rows[jax.key]] == ["only in B", "only in B"]
    assert [row and row.comparison.verdict for row in rows[timed(1).key]] == ["tie", "only in A"]


def test_only_what_differs_between_runs_is_listed() -> None:
    changed = {**SETTINGS, "threads": {"intra_op": 4, "inter_op": 1}}
    versions = {**ENVIRONMENT, "versions": {**ENVIRONMENT["versions"], "torch": "9.9"}}  # type: ignore[dict-item]
    certificate = {**PARITY, "versions": {"torch": "9.9"}}
    runs = [
        a_run("a", timed(1), timed(1, framework="keras-jax")),
        a_run("b", timed(1, settings=changed), timed(1, framework="keras-jax")),
        a_run("c", timed(1, environment=versions, parity=certificate)),
    ]
    found = {row.name: row for row in side_by_side(runs).differing}
    assert found["threads.intra_op"].values == ("2", "4", "2")
    assert found["threads.intra_op"].cases == 1
    assert found["torch"].values[2] == "9.9"
    assert set(found) == {"threads.intra_op", "torch"}


def test_letters_go_on_after_z() -> None:
    assert [letter(place) for place in (0, 1, 25, 26, 27)] == ["A", "B", "Z", "AA", "AB"]


# ---- over time


def only(runs: Sequence[Run]) -> Series:
    (series,) = series_of(runs)
    return series


def test_series_of_a_framework_are_in_the_order_of_their_batches() -> None:
    run = a_run("a", *(timed(1, batch_size=size) for size in (128, 1024, 64)))
    assert [series.case.batch_size for series in series_of([run])] == [64, 128, 1024]


def test_points_are_in_the_order_of_time_whatever_that_of_the_runs() -> None:
    series = only(over_days([1, 2, 3])[::-1])
    assert [point.run for point in series.points] == ["run-1", "run-2", "run-3"]
    assert [point.estimate.value for point in series.points] == sorted(
        (point.estimate.value for point in series.points), reverse=True
    )
    assert all(point.estimate.low is not None and point.repeats == 2 for point in series.points)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"environment": {**ENVIRONMENT, "cpu": "Another"}},
            "machine: cpu Example CPU 9000 → Another",
        ),
        ({"environment": {**ENVIRONMENT, "cores": 64}}, "machine: cores 2 → 64"),
        ({"settings": {**SETTINGS, "layout": "NCHW"}}, "settings: layout channels_last → NCHW"),
        ({"dataset": OTHER_DATASET}, "data: cifar10, 50,000 + 10,000 images → generated, 2,000 "),
        ({"parity": {"status": "fail"}}, "parity: pass → fail"),
    ],
)
def test_machine_settings_and_data_break_a_series(changed: dict[str, Any], words: str) -> None:
    series = only([a_run("a", timed(1, 1)), a_run("b", timed(1, 2, **changed))])
    assert [point.conditions for point in series.points] == [0, 1]
    assert series.points[1].broken[0].words.startswith(words)
    assert series.last is None


def test_a_new_version_is_named_and_breaks_nothing() -> None:
    new = {**ENVIRONMENT, "versions": {**ENVIRONMENT["versions"], "torch": "9.9"}}  # type: ignore[dict-item]
    certificate = {**PARITY, "versions": {"torch": "9.9"}}
    later = timed(2, 2, environment=new, parity=certificate)
    series = only([a_run("a", timed(1, 1)), a_run("b", later)])
    assert series.points[1].broken == ()
    assert any(words.endswith("→ 9.9") for words in series.points[1].changed)
    assert series.last is not None
    assert series.last.comparison.verdict == "slower"


def test_a_machine_that_comes_back_has_its_old_conditions() -> None:
    other = {**ENVIRONMENT, "cpu": "Another"}
    runs = [timed(1, 1), timed(1, 2, environment=other), timed(1, 3)]
    series = only([a_run(f"run-{i}", record) for i, record in enumerate(runs)])
    assert [point.conditions for point in series.points] == [0, 1, 0]
    assert all(point.broken for point in series.points[1:])


def test_what_changed_is_told_of_one_machine() -> None:
    """Two machines in turns; the second one has the new version a night earlier."""
    new = {**ENVIRONMENT, "versions": {**ENVIRONMENT["versions"], "torch": "9.9"}}  # type: ignore[dict-item]
    certificate = {**PARITY, "versions": {"torch": "9.9"}}
    runs = [
        timed(1, 1),
        timed(1, 2, environment={**new, "cpu": "Another"}, parity=certificate),
        timed(1, 3, environment=new, parity=certificate),
    ]
    series = only([a_run(f"run-{i}", record) for i, record in enumerate(runs)])
    (words,) = series.points[2].changed
    assert words.endswith("→ 9.9")


def test_seeds_of_a_run_are_one_point_and_failures_are_listed() -> None:
    seeds = [
        make_record(kind="accuracy", seed=seed, samples=(0.6 + seed / 100,)) for seed in (0, 1)
    ]
    failed = make_failure("accuracy", error="OSError: /home/someone/disk is full")
    series = only([a_run("a", *seeds), a_run("b", failed)])
    (point,) = series.points
    assert point.estimate.value == pytest.approx(0.605)
    assert point.repeats == 2
    assert series.missing == (("b", "failed (OSError: …/disk is full)"),)


def test_other_seeds_in_a_later_run_break_nothing() -> None:
    """Their batches and initial weights are their own."""
    first, second = (make_record(kind="accuracy", seed=seed, samples=(0.6,)) for seed in (0, 1))
    series = only([a_run("a", first), a_run("b", second)])
    assert [point.broken for point in series.points] == [(), ()]


def test_a_measurement_that_two_runs_have_counts_once() -> None:
    first = a_run("a", timed(1, 1))
    caveat = {"on": "speed", "why": "seen later"}
    copied = tuple(replace(r, run="copy", caveats=(caveat,)) for r in first.records)
    series = only([first, Run("copy", copied, first.folder), a_run("b", timed(1, 2))])
    assert [point.run for point in series.points] == ["a", "b"]
    assert series.missing == (("copy", "the measurement of a, counted once"),)


@pytest.mark.parametrize("kind", ["startup", "latency", "train_throughput", "accuracy"])
def test_a_value_is_that_of_the_report_everywhere(kind: str) -> None:
    """Three processes of unequal lengths, whose mean, median and level differ."""
    samples = (1.0, 1.1, 1.5, 4.0, 4.1) if kind != "accuracy" else (0.61,)
    record = make_record(kind=kind, samples=samples)
    if kind != "accuracy":
        blocks = [[process, turn, 1] for process, turn in ((0, 0), (0, 1), (0, 2), (1, 0), (2, 0))]
        record = replace(record, metrics={**record.metrics, "interleaving": {"blocks": blocks}})
    summary = summary_of(kind, by_process(record), record.images_per_sample)
    record = replace(record, run="a", summary=summary)

    (found,) = Report([record]).datasets
    rows = {
        "startup": startup_rows,
        "latency": latency_rows,
        "train_throughput": throughput_rows,
        "accuracy": accuracy_rows,
    }[kind](found)
    columns = ("seconds", "p50", "images_per_second", "accuracy")
    told = next(rows[0][name] for name in columns if name in rows[0])
    assert only([a_run("a", record)]).points[0].estimate.value == pytest.approx(told, rel=1e-12)
    assert value_of([record]) == quantity(kind, told)
    assert frame_of([record]).value[0] == pytest.approx(told, rel=1e-12)
    ((measure,),) = (some.values() for some in json.loads(bencher([record])).values())
    scale = 1e9 if kind == "latency" else 1
    assert measure["value"] == pytest.approx(scale * told, rel=1e-12)


# ---- change points


def test_a_clock_that_reads_zero_is_no_end_of_a_history() -> None:
    latency = make_record(kind="latency")
    blocks = [[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]]
    metrics = {**latency.metrics, "interleaving": {"group": "one", "blocks": blocks}}
    coarse = replace(latency, samples=(0.0, 0.001, 0.0, 0.001), metrics=metrics)
    assert of_records([coarse]).value == pytest.approx(0.0005)


def test_a_slowdown_is_found_where_it_happened() -> None:
    (history,) = histories(over_days([1, 1.01, 0.99, 1, 1.01, 1.2, 1.21, 1.19, 1.2]))
    (change,) = history.changes
    assert (history.series.points[change.place].run, change.verdict) == ("run-6", "slower")
    assert change.estimate.value == pytest.approx(1 / 1.2, rel=0.02)
    assert (change.before, change.after) == (5, 4)


def test_a_change_is_never_found_across_a_break() -> None:
    runs = over_days([1, 1.01, 0.99, 1])
    other = {**ENVIRONMENT, "cpu": "Another"}
    runs += [a_run(f"new-{day}", timed(2, day, environment=other)) for day in range(5, 9)]
    assert changes_of(only(runs)) == []
    assert len(changes_of(only(over_days([1, 1.01, 0.99, 1, 2, 2.01, 1.99, 2])))) == 1


def test_one_slow_run_is_no_change() -> None:
    assert changes_of(only(over_days([1, 1.01, 0.99, 1, 1.5, 1, 0.99, 1.01]))) == []


def test_runs_that_differ_by_noise_alone_seldom_have_a_change() -> None:
    rng = np.random.default_rng(5)
    found = 0
    for number in (4, 6, 10, 20):
        for _ in range(25):
            levels = 1 + rng.normal(0, 0.02, number)
            found += bool(changes_of(only(over_days(levels.tolist()))))
    assert found <= 5  # of 100


def test_a_change_of_accuracy_is_found_over_seeds() -> None:
    runs = [
        a_run(
            f"run-{day}",
            *(
                make_record(
                    kind="accuracy",
                    seed=seed,
                    samples=(level + seed / 1000,),
                    started_at=f"2025-01-{day:02}T00:00:00+00:00",
                    dataset=DATASET,
                )
                for seed in range(3)
            ),
        )
        for day, level in enumerate((0.6, 0.601, 0.6, 0.63, 0.631), 1)
    ]
    (change,) = changes_of(only(runs))
    assert (change.place, change.verdict) == (3, "higher")
    assert change.estimate.value == pytest.approx(0.03, abs=0.002)


def test_a_training_that_runs_repeat_counts_once_for_a_change() -> None:
    """Six equal repeats of two seeds were twelve values: a change that two seeds cannot show."""
    runs = [
        a_run(
            f"run-{day:02}",
            *(
                make_record(
                    kind="accuracy",
                    seed=seed,
                    samples=(value,),
                    started_at=f"2025-01-{day:02}T00:00:00+00:00",
                    dataset=DATASET,
                )
                for seed, value in enumerate((0.715, 0.734) if day > 6 else (0.700, 0.720))
            ),
        )
        for day in range(1, 13)
    ]
    assert changes_of(only(runs)) == []


def test_without_the_library_there_is_a_history_without_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changes, "can_find", lambda: False)
    (history,) = histories(over_days([1, 1, 2, 2]))
    assert history.changes == ()
    assert len(history.series.points) == 4


def test_equal_values_have_no_change() -> None:
    assert proposed([1.0] * 8, 0.002) == []
    assert proposed([1.0, 1.0, 1.0], 0.002) == []


# ---- entries: an accuracy once for all seeds


def accuracies(*values: float, weights: str | None = None) -> list[Record]:
    """A seed for each value; with weights that it ended in, other ones for each seed."""
    found = [make_record(kind="accuracy", seed=s, samples=(v,)) for s, v in enumerate(values)]
    if weights is None:
        return found
    return [
        replace(r, metrics={**r.metrics, "trained_weights_sha256": f"{weights}{r.case.seed}"})
        for r in found
    ]


def test_an_accuracy_is_compared_by_the_seeds_that_both_runs_have() -> None:
    (entry,) = entries_of(accuracies(0.40, 0.44, 0.10), accuracies(0.43, 0.45))
    assert entry.shared == pytest.approx((0.42, 0.44))
    assert entry.comparison.difference == pytest.approx(2.0)
    assert entry.comparison.low is not None
    assert entry.comparison.high is not None
    assert (entry.comparison.low + entry.comparison.high) / 2 == pytest.approx(2.0)
    assert "seed 2 only in A" in (entry.comparison.reason or "")
    assert by_seeds(entry) == "by 2 shared seeds: 42.0 % → 44.0 %"


def test_an_accuracy_that_was_not_compared_says_so_of_each_seed() -> None:
    failed = make_failure("accuracy", error="OSError: disk full")
    others = [replace(r, dataset=OTHER_DATASET) for r in accuracies(0.4, 0.5)[1:]]
    (entry,) = entries_of(accuracies(0.4, 0.5), [failed, *others])
    reason = entry.comparison.reason or ""
    assert "seed 0 refused (B has no result" in reason
    assert "seed 1 refused (different data" in reason
    (entry,) = entries_of(accuracies(0.4, 0.5), others)
    assert entry.comparison.verdict == "refused"
    assert "seed 0 only in A" in (entry.comparison.reason or "")


def test_an_interval_without_width_says_that_the_runs_are_identical() -> None:
    once, again = (accuracies(0.4, 0.5, weights="ab") for _ in range(2))
    (entry,) = entries_of(once, again)
    assert verdict_of(entry) == "tie, identical runs"
    (entry,) = entries_of(once[:1], again[:1])
    assert verdict_of(entry) == "inconclusive, identical runs"
    (entry,) = entries_of(accuracies(0.4, 0.5), accuracies(0.4, 0.5))
    assert verdict_of(entry) == "tie, equal accuracies"
    (entry,) = entries_of(accuracies(0.4, 0.5), accuracies(0.401, 0.5012))
    assert verdict_of(entry) == "tie"


def test_the_latest_of_a_history_has_the_difference_of_its_interval() -> None:
    runs = [a_run("a", *accuracies(0.40, 0.44, 0.10)), a_run("b", *accuracies(0.43, 0.45))]
    (series,) = series_of(runs)
    assert series.last is not None
    assert series.last.comparison.difference == pytest.approx(2.0)


def test_a_disturbed_run_hides_no_change() -> None:
    runs = over_days([1, 1.01, 0.99, 1, 1.01, 1.2, 1.21, 1.19, 1.2])
    (record,) = runs[2].records
    disturbed = replace(record, metrics={**record.metrics, "disturbed": 0.3})
    runs[2] = replace(runs[2], records=(disturbed,))
    (history,) = histories(runs)
    assert [change.verdict for change in history.changes] == ["slower"]


def test_a_value_whose_seconds_are_no_measurement_is_not_shown() -> None:
    caveat = {"on": "seconds", "why": "other work ran"}
    record = make_record(kind="latency")
    assert value_of([record]).endswith(" ms")
    assert value_of([replace(record, caveats=(caveat,))]) == "—"
