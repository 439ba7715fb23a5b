import json
from dataclasses import replace

import pytest

from bench.analysis.across.entries import entries_of
from bench.analysis.comparison.compare import compare, refusal
from bench.report.across.text import as_text
from tests.support.synthetic_records.synthetic import (
    DATASET,
    ENVIRONMENT,
    FRAMEWORKS,
    OTHER_DATASET,
    SETTINGS,
    make_failure,
    make_record,
    make_run,
)

TIMED = ("train_throughput", "inference", "latency", "startup")


def slowed(record, factor):
    """The same record with every sample `factor` times as long."""
    return replace(record, samples=tuple(factor * sample for sample in record.samples))


def in_processes(record, number=2):
    """The same samples as of so many processes."""
    each = max(len(record.samples) // number, 1)
    blocks = [[process, turn, 1] for process in range(number) for turn in range(each)]
    samples = (record.samples * number)[: number * each]
    turns = {"group": record.case.id, "blocks": blocks}
    return replace(record, samples=samples, metrics={**record.metrics, "interleaving": turns})


def test_a_run_that_came_out_the_same_again_is_different_in_no_row():
    run = make_run(seeds=2)
    rows = compare(run, run)
    assert len(rows) == len(run)
    for row, record in zip(rows, run, strict=True):
        assert row.verdict in ("tie", "inconclusive")
        assert row.verdict == "tie" or record.kind != "accuracy"


def test_a_run_compared_with_its_copy_is_refused():
    """The same group, begun in the same second: "± 0.0 %, tie" said nothing."""
    run = [replace(record, run="run") for record in make_run(seeds=1)]
    edited = [replace(slowed(r, 0.5), run="copy") for r in run if r.kind != "accuracy"]
    for row in compare(run, [*edited, *(replace(r, run="copy") for r in run)]):
        assert (row.verdict, row.ratio) == ("refused", None)
        assert row.reason.startswith("the same measurement in A and B, begun at 2025-01-02")
    later = [replace(r, run="copy", started_at="2025-01-03T03:04:05+00:00") for r in run]
    assert "refused" not in {row.verdict for row in compare(run, later)}


@pytest.mark.parametrize("kind", TIMED)
def test_samples_half_as_long_again_are_slower(kind):
    record = in_processes(make_record(kind=kind))
    (row,) = compare([record], [slowed(record, 1.5)])
    assert row.verdict == "slower"
    assert row.ratio == pytest.approx(1 / 1.5)
    assert 0.5 < row.low < 1 / 1.5 < row.high < 1
    assert 0 < row.detectable < 0.5


@pytest.mark.parametrize("kind", TIMED)
def test_shorter_samples_are_faster(kind):
    record = in_processes(make_record(kind=kind))
    (row,) = compare([record], [slowed(record, 0.5)])
    assert row.verdict == "faster"
    assert row.ratio == pytest.approx(2)


@pytest.mark.parametrize("kind", ["latency", "startup"])
def test_one_process_gives_no_verdict_however_large_the_difference(kind):
    record = make_record(kind=kind)
    (row,) = compare([record], [slowed(record, 25)])
    assert row.verdict == "inconclusive"
    assert row.ratio == pytest.approx(1 / 25)
    assert "one process" in row.reason


def test_one_sample_a_side_has_no_interval():
    record = make_record(kind="startup")
    (row,) = compare([record], [slowed(record, 1.1)])
    assert (row.low, row.high, row.detectable) == (None, None, None)


def test_an_interval_that_holds_everything_is_no_tie():
    record = in_processes(make_record(kind="latency", samples=(1.0, 0.3, 3.0, 0.4, 2.5, 1.0)))
    other = replace(record, metrics={**record.metrics, "interleaving": {
        **record.metrics["interleaving"], "group": "another"}})  # fmt: skip
    (row,) = compare([record], [other])
    assert row.low < 0.6 < 1.6 < row.high
    assert row.verdict == "inconclusive"
    assert "margin" in row.reason


def test_longer_blocks_alone_are_not_slower():
    record = in_processes(make_record(kind="train_throughput"), 6)
    doubled = replace(slowed(record, 2), images_per_sample=2 * record.images_per_sample)
    (row,) = compare([record], [doubled])
    assert (row.ratio, row.verdict) == (pytest.approx(1), "tie")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"dataset": OTHER_DATASET},
            "different data: cifar10, 50,000 + 10,000 images in A, generated, 2,000 + 1,000 images "
            "in B",
        ),
        (
            {"dataset": {**DATASET, "fingerprint": "e" * 64}},
            "images, digest 0a1b2c3d4e5f in A, cifar10, 50,000 + 10,000 images, digest "
            "eeeeeeeeeeee in B",
        ),
        ({"parity": {"status": "fail"}}, "parity status: pass in A, fail in B"),
        ({"parity": {}}, "parity status: pass in A, unchecked in B"),
        ({"settings": {**SETTINGS, "precision": "bfloat16"}}, "precision is float32 in A"),
        (
            {"settings": {**SETTINGS, "threads": {"intra_op": 4, "inter_op": 1}}},
            "threads.intra_op is 2 in A, 4 in B",
        ),
        (
            {"settings": {**SETTINGS, "recipe": {**SETTINGS["recipe"], "momentum": 0.8}}},
            "recipe.momentum is 0.9 in A, 0.8 in B",
        ),
        ({"settings": {**SETTINGS, "layout": "NCHW"}}, "layout is channels_last in A, NCHW in B"),
        ({"settings": {**SETTINGS, "compile": True}}, "compile is False in A, True in B"),
        (
            {"environment": {**ENVIRONMENT, "cpu": "Another"}},
            "cpu is Example CPU 9000 in A, Another in B",
        ),
    ],
)
def test_unlike_is_refused_and_the_difference_named(changes, named):
    record = make_record()
    (row,) = compare([record], [replace(record, **changes)])
    assert row.verdict == "refused"
    assert named in row.reason
    assert row.ratio is None


def test_each_reason_stands_for_itself_whatever_is_in_it():
    cpu = {"environment": {**ENVIRONMENT, "cpu": "Another; with a semicolon"}}
    plans = [{**SETTINGS, "batch_plan_sha256": digit * 64} for digit in "ab"]
    one = make_record(settings=plans[0])
    other = make_record(settings=plans[1], dataset=OTHER_DATASET, **cpu)
    (row,) = compare([one], [other])
    assert [reason.partition(":")[0] for reason in row.reasons] == [
        "different data",  # other images are in other batches: no reason of its own
        "different machine",
    ]
    assert row.reasons[1].endswith("Another; with a semicolon in B")
    assert row.to_json()["reasons"] == list(row.reasons)
    (row,) = compare([one], [make_record(settings=plans[1])])
    assert "batch_plan_sha256" in row.reason


def test_what_changes_from_start_to_start_is_no_reason_to_refuse():
    a, b = (make_record(settings={**SETTINGS, "pid": pid}) for pid in (1, 2))
    assert [row.verdict for row in compare([a], [b])] == ["inconclusive"]


@pytest.mark.parametrize(
    "settings",
    [
        {**SETTINGS, "affinity": None},
        {**SETTINGS, "tf32": None},
        {key: value for key, value in SETTINGS.items() if key != "compile"},
    ],
)
def test_what_is_unknown_of_a_side_is_no_reason_to_refuse(settings):
    a, b = make_record(), make_record(settings=settings)
    assert {row.verdict for row in (*compare([a], [b]), *compare([b], [a]))} == {"inconclusive"}


def test_a_side_without_result_is_refused_with_its_error():
    record = make_record(kind="accuracy")
    failed = make_failure("accuracy", error="Traceback\nOSError: /home/someone/data is gone")
    (row,) = compare([record], [failed])
    assert row.verdict == "refused"
    assert row.reason == "B has no result: failed (OSError: …/data is gone)"
    (row,) = compare([failed], [record])
    assert row.reason.startswith("A has no result")


def test_cases_of_one_run_only_are_listed():
    both, left, right = (make_record(framework=name) for name in FRAMEWORKS[:3])
    verdicts = {row.case: row.verdict for row in compare([both, left], [both, right])}
    assert verdicts == {
        both.case.id: "inconclusive",
        left.case.id: "only in A",
        right.case.id: "only in B",
    }


def accuracies(*fractions):
    return [
        make_record(kind="accuracy", seed=seed, samples=(fraction,))
        for seed, fraction in enumerate(fractions)
    ]


def test_accuracy_of_one_seed_gets_no_verdict():
    (row,) = compare(accuracies(0.60), accuracies(0.65))
    assert row.verdict == "inconclusive"
    assert row.reason.startswith("one seed on a side")
    assert row.difference == pytest.approx(5)
    assert row.ratio is row.low is row.high is None


@pytest.mark.parametrize(
    ("fractions", "verdict"),
    [
        ((0.65, 0.651, 0.652), "higher"),
        ((0.55, 0.551, 0.552), "lower"),
        ((0.602, 0.601, 0.600), "tie"),
        ((0.61, 0.59, 0.602), "inconclusive"),
    ],
)
def test_accuracy_of_several_seeds_is_compared_in_pairs(fractions, verdict):
    rows = compare(accuracies(0.60, 0.601, 0.602), accuracies(*fractions))
    assert [row.verdict for row in rows] == [verdict] * 3
    assert all("3 seeds" in row.reason for row in rows)
    assert rows[0].difference == pytest.approx(100 * (fractions[0] - 0.6))
    assert rows[0].low <= rows[0].high


def test_a_refused_seed_does_not_vote():
    a, b = accuracies(0.60, 0.61), accuracies(0.65, 0.66)
    b[1] = replace(b[1], dataset=OTHER_DATASET)
    assert [row.verdict for row in compare(a, b)] == ["inconclusive", "refused"]


def test_json_has_the_promised_keys_and_survives_json():
    row = compare([make_record()], [make_record()])[0].to_json()
    assert {"case", "kind", "ratio", "low", "high", "verdict", "reason"} <= row.keys()
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_text_says_which_way_round_the_ratio_is():
    record = make_record(kind="train_throughput")
    text = as_text(entries_of([record, *accuracies(0.6)], [slowed(record, 1.5), *accuracies(0.7)]))
    assert "above 1: B is faster" in text
    assert "0.667" in text
    assert "+10.00 pt" in text
    assert text.endswith("2 rows: 1 slower, 1 inconclusive")


def test_trainings_that_ended_in_the_same_bits_are_called_identical():
    a, b = accuracies(0.6)[0], accuracies(0.6)[0]
    a, b = (
        replace(r, metrics={**r.metrics, "trained_weights_sha256": "9ad281b0ff8d" + tail})
        for r, tail in ((a, "00"), (b, "00"))
    )
    (row,) = compare([a], [b])
    assert "identical training" in row.reason
    assert "9ad281b0ff8d" in row.reason
    other = replace(b, metrics={**b.metrics, "trained_weights_sha256": "efc2"})
    (row,) = compare([a], [other])
    assert "identical" not in row.reason


def test_text_shows_why_a_pair_was_refused():
    text = as_text(entries_of([make_record()], [make_record(parity={"status": "fail"})]))
    assert "parity status" in text


def test_text_of_two_empty_runs_says_so():
    assert as_text([]) == "Neither run has a record."


def test_accuracies_on_other_images_are_compared_on_request_and_speeds_never_are():
    seeds = [make_record(kind="accuracy", seed=seed) for seed in range(3)]
    before = [replace(r, samples=(0.5 + 0.01 * r.case.seed,)) for r in seeds]
    after = [replace(r, samples=(r.samples[0] - 0.02,), dataset=OTHER_DATASET) for r in before]
    speed = make_record(kind="latency")
    runs = [*before, speed], [*after, replace(speed, dataset=OTHER_DATASET)]
    assert {row.verdict for row in compare(*runs)} == {"refused"}
    *accuracies, timed = compare(*runs, across_data=True)
    assert timed.verdict == "refused"
    for row in accuracies:
        assert (row.verdict, row.runs) == ("lower", 3)  # paired by seed: all differ by as much
        assert (row.mean, row.low, row.high) == pytest.approx((-2, -2, -2))
        assert any(words.startswith("data cifar10, 50,000") for words in row.differs)
    machine = [replace(r, environment={**ENVIRONMENT, "cpu": "other"}) for r in after]
    assert {row.verdict for row in compare(before, machine, across_data=True)} == {"refused"}


def test_the_text_names_cases_and_kinds_and_says_that_two_runs_are_not_interleaved():
    speed, accuracy = (make_record(kind=kind) for kind in ("train_throughput", "accuracy"))
    both = as_text(entries_of([speed, accuracy], [slowed(speed, 1.5), accuracy]))
    header, row, *_ = [line for line in both.splitlines() if "measured" in line or " · " in line]
    assert header.split()[:2] == ["case", "measured"]
    assert "cifar-bn · pytorch" in row
    assert "training" in both
    assert "train_throughput" not in both
    assert "Two runs are not interleaved" in both
    alone = as_text(entries_of([accuracy], [accuracy]))
    assert "interleaved" not in alone


def test_a_failure_whose_error_has_no_words_is_one_without_a_reason():
    failed = replace(make_record(), status="failed", error=" \n", samples=())
    assert refusal(failed, make_record()) == ("A has no result: failed (no reason was recorded)",)
