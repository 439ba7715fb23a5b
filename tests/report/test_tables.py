import csv
from dataclasses import replace

import pandas as pd
import pytest

from bench.analysis.experiments import by_dataset, labels, latest
from bench.analysis.values import value_of
from bench.core.records import RecordStore
from bench.core.text import without_folders
from bench.report.blocks import stale
from bench.report.captions import SIGNS, With
from bench.report.format import CHANGE, POINTS, RATIO, SHARE, markdown, ratio, significant
from bench.report.tables import TABLES, as_markdown, frame, sections, write_tables
from bench.training.recipes.base import Recipe
from bench.training.recipes.optimizers import optimizer_of
from tests.support.synthetic_records.synthetic import (
    CLASSES,
    FRAMEWORKS,
    OTHER_DATASET,
    make_failure,
    make_record,
    make_run,
)
from tests.support.synthetic_records.synthetic_normalisation import (
    make_normalisations,
    make_trained,
)
from tests.support.synthetic_records.synthetic_pretrained import make_article_run, make_beside_run
from tests.support.synthetic_records.synthetic_waterfall import make_waterfall

TABLE = {table.name: table for table in TABLES}


def only(table, records):
    """The one row of a table, as a dict of numbers."""
    content = frame(TABLE[table], records)
    assert len(content) == 1
    return content.iloc[0].to_dict()


def cells(table, records):
    """Rows of all sections as dicts from header to text."""
    return [
        dict(zip(section.headers, row, strict=True))
        for section in sections(TABLE[table], records)
        for row in section.cells
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_tables(every_kind(), folder)
    return folder / "tables"


def every_kind():
    """Records with rows for every table."""
    return [
        *make_run(),
        *make_normalisations(),
        *make_waterfall(),
        *make_article_run(),
        *make_beside_run(),
        make_failure(seed=7),
        make_record(kind="train_throughput", execution="compiled"),
        make_record(kind="train_throughput", devices=2),
    ]


@pytest.mark.parametrize("name", TABLE)
def test_every_table_is_written_as_csv_and_markdown(written, name):
    content = pd.read_csv(written / f"{name}.csv")
    assert len(content) > 0
    assert (content["fingerprint"].str.len() == 64).all()
    text = (written / f"{name}.md").read_text(encoding="utf-8")
    assert "cifar10, fingerprint 0a1b2c3d4e5f" in text
    how = TABLE[name].how
    assert (how if isinstance(how, str) else how[0]) in text


@pytest.mark.parametrize("name", [name for name in TABLE if not isinstance(TABLE[name].how, str)])
def test_sentences_of_a_caption_are_bound_to_columns_that_the_table_has(name):
    """A renamed column would take its sentence along."""
    rows = [section.rows for section in sections(TABLE[name], every_kind())]
    headers = {column.header for some in rows for column in TABLE[name].columns(some)}
    bound = [part for part in TABLE[name].how if isinstance(part, With)]
    assert bound
    assert {one for part in bound for one in part.shown} <= {*headers, *SIGNS}


def test_a_caption_tells_of_no_column_that_is_not_there():
    started = make_record(kind="startup")
    seconds = {"worker_seconds": 9.0, "bare_seconds": 6.0}
    with_bare = replace(started, metrics=started.metrics | seconds)
    without = replace(started, metrics={**with_bare.metrics, "bare_seconds": None})
    assert "*Bare* is" in as_markdown(TABLE["startup"], [with_bare])
    assert "*Bare* is" not in as_markdown(TABLE["startup"], [without])


def test_the_caption_of_accuracies_has_the_optimizer_of_the_recipe():
    text = as_markdown(TABLE["accuracy"], [make_record(kind="accuracy")])
    assert "(steady: SGD with Nesterov momentum 0.9)" in text
    assert optimizer_of(Recipe("", "", momentum=0.0)) == "SGD"
    assert optimizer_of(Recipe("", "", optimizer="adam")) == "Adam"


def test_one_column_for_phones_tells_the_rows_of_a_table_apart():
    (section,) = sections(
        TABLE["throughput"],
        [
            record
            for record in make_run(seeds=1)
            if record.kind == "train_throughput" and record.case.track == "closed"
        ],
    )
    named = dict(zip(section.names, section.cells, strict=True))
    assert len(named) == len(section.cells) > 3
    for name, row in named.items():
        assert name == " · ".join(row[1:3])  # all are trainings, all passed
    (alone,) = sections(TABLE["latency"], [make_record()])
    assert alone.names == ["cifar-bn · pytorch"]


@pytest.mark.parametrize("name", TABLE)
def test_markdown_tables_line_up(written, name):
    lines = (written / f"{name}.md").read_text(encoding="utf-8").splitlines()
    runs, before = [], ""
    for line in lines:
        if line.startswith("|"):
            if before.startswith("|"):
                runs[-1].append(len(line))
            else:
                runs.append([len(line)])
        before = line
    assert runs
    assert all(len(set(run)) == 1 for run in runs)


def test_tables_without_rows_are_not_written_but_the_two_main_ones_are(tmp_path):
    paths = write_tables([], tmp_path)
    names = sorted(path.name for path in paths)
    assert names == ["accuracy.csv", "accuracy.md", "throughput.csv", "throughput.md"]
    assert "nothing of this kind" in (tmp_path / "tables/accuracy.md").read_text(encoding="utf-8")
    assert pd.read_csv(tmp_path / "tables/accuracy.csv").empty


def test_a_table_of_an_earlier_report_goes_when_its_rows_have_gone(tmp_path):
    write_tables([make_failure()], tmp_path)
    assert (tmp_path / "tables/failures.csv").exists()
    write_tables([make_record()], tmp_path)
    assert not (tmp_path / "tables/failures.csv").exists()
    assert not (tmp_path / "tables/failures.md").exists()


def test_csv_keeps_full_precision(tmp_path):
    record = make_record(kind="accuracy", samples=(0.123456789012345,))
    write_tables([record], tmp_path)
    with (tmp_path / "tables/accuracy.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert float(row["accuracy"]) == 0.123456789012345


@pytest.mark.parametrize("name", ["accuracy", "throughput", "latency", "startup", "per_class"])
def test_tracks_never_share_a_section(name):
    found = sections(TABLE[name], make_run())
    assert [section.track for section in found] == ["closed", "idiomatic"]
    assert all(len(section.cells) >= len(FRAMEWORKS) for section in found)


def test_only_the_closed_track_has_a_parity_column():
    closed, idiomatic = sections(TABLE["throughput"], make_run())
    assert "parity" in closed.headers
    assert "parity" not in idiomatic.headers


def test_fingerprints_never_share_a_section_and_no_ratio_crosses_them():
    records = [
        make_record(kind="train_throughput"),
        make_record(framework="keras-jax", kind="train_throughput", dataset=OTHER_DATASET),
    ]
    found = sections(TABLE["throughput"], records)
    assert [section.data.name for section in found] == ["cifar10", "generated"]
    assert [len(section.cells) for section in found] == [1, 1]
    assert list(frame(TABLE["throughput"], records)["reference"]) == ["pytorch", "keras-jax"]


def test_same_name_with_another_fingerprint_is_other_data():
    changed = {**OTHER_DATASET, "name": "cifar10"}
    records = [make_record(), make_record(framework="keras-jax", dataset=changed)]
    assert len(sections(TABLE["latency"], records)) == 2


def test_a_failure_before_the_data_was_known_joins_the_only_dataset():
    records = [make_record(), make_failure(dataset={})]
    assert [len(some) for _, some in by_dataset(records)] == [2]
    records.append(make_record(dataset=OTHER_DATASET))
    assert [len(some) for _, some in by_dataset(records)] == [1, 1, 1]


def test_accuracy_with_flips_is_that_of_all_seeds_or_of_none():
    seeds = [make_record(kind="accuracy", seed=seed) for seed in range(2)]
    flipped = [
        replace(r, metrics={**r.metrics, "test_accuracy_with_flips": 0.5 + 0.1 * r.case.seed})
        for r in seeds
    ]
    assert only("accuracy", flipped)["accuracy_with_flips"] == pytest.approx(0.55)
    assert pd.isna(only("accuracy", [flipped[0], seeds[1]])["accuracy_with_flips"])
    for records, shown in ((flipped, True), (seeds, False)):
        text = as_markdown(TABLE["accuracy"], records)
        assert ("| with flips |" in text, "*With flips*" in text) == (shown, shown)


def test_accuracy_is_the_mean_over_seeds_with_its_interval():
    records = [
        make_record(kind="accuracy", seed=seed, samples=(fraction,))
        for seed, fraction in enumerate((0.6, 0.7, 0.8))
    ]
    row = only("accuracy", records)
    assert row["accuracy"] == pytest.approx(0.7)
    assert row["seeds"] == 3
    assert row["low"] == pytest.approx(0.4516, abs=1e-4)
    (shown,) = cells("accuracy", records)
    assert shown["test accuracy"] == "70.0 %"
    assert shown["95 % interval"] == "[45.2, 94.8] %"


def test_failed_and_diverged_seeds_are_counted():
    good, diverged = (make_record(kind="accuracy", seed=seed) for seed in range(2))
    diverged = replace(diverged, samples=(0.1,), metrics={**diverged.metrics, "diverged": True})
    records = [good, diverged, make_failure(seed=2)]
    row = only("accuracy", records)
    assert (row["seeds"], row["failed"], row["diverged"]) == (2, 1, 1)
    assert row["accuracy"] == pytest.approx((good.samples[0] + 0.1) / 2)
    (shown,) = cells("accuracy", records)
    assert shown["seeds"] == "2 of 3 (1 failed, 1 diverged)"


def test_a_row_of_failures_only_stands_there_without_a_number():
    (shown,) = cells("accuracy", [make_failure()])
    assert shown["seeds"] == "0 of 1 (1 failed)"
    assert shown["test accuracy"] == "—"


def test_throughput_stands_against_pytorch():
    slow, fast = (
        make_record(framework=name, kind="train_throughput", samples=samples, images_per_sample=100)
        for name, samples in (("pytorch", (2.0, 2.02, 1.98)), ("keras-jax", (1.0, 1.01, 0.99)))
    )
    rows = frame(TABLE["throughput"], [fast, slow]).set_index("framework")
    assert rows.loc["pytorch", "verdict"] == "reference"
    assert rows.loc["keras-jax", "ratio"] == pytest.approx(2)
    assert rows.loc["keras-jax", "verdict"] == "inconclusive"  # one process each
    assert rows.loc["keras-jax", "ratio_low"] < 2 < rows.loc["keras-jax", "ratio_high"]
    shown = cells("throughput", [fast, slow])
    assert [row["framework"] for row in shown] == ["pytorch", "keras-jax"]
    assert shown[1]["x pytorch"].startswith(
        "2.00x [1.5"
    )  # of one process each: their spread is assumed
    again = (replace(r, case=replace(r.case, seed=1)) for r in (slow, fast))
    rows = frame(TABLE["throughput"], [fast, slow, *again]).set_index("framework")
    assert rows.loc["keras-jax", "verdict"] == "faster"


def beside(record, **metrics):
    return replace(record, metrics={**record.metrics, **metrics})


def timed(seconds, **changes):
    """100 images of 0.3 GFLOP in so many seconds a block."""
    return make_record(
        kind="train_throughput", samples=(seconds,) * 3, images_per_sample=100, **changes
    )


def ceiling(flops_per_second, precision="float32"):
    return {
        "flops_per_second": flops_per_second,
        "framework": "keras-jax",
        "operation": "matmul",
        "shape": "1024x1024 @ 1024x1024",
        "precision": precision,
    }


def test_utilisation_is_achieved_over_the_highest():
    record = beside(timed(0.5), ceiling=ceiling(240e9))
    row = only("throughput", [record])
    assert row["flops_per_second"] == pytest.approx(60e9)  # 200 images/s of 0.3 GFLOP
    assert row["ceiling_flops_per_second"] == 240e9
    assert row["utilisation"] == pytest.approx(0.25)
    peak = 240e9 / 0.3e9  # images/s
    ends = [row["utilisation_low"], row["utilisation_high"]]
    assert ends == pytest.approx([row["low"] / peak, row["high"] / peak])
    (shown,) = cells("throughput", [record])
    assert shown["% of peak (measured)"] == "25.0 %"
    text = as_markdown(TABLE["throughput"], [record])
    assert "on this machine (GFLOP/s: float32 240)." in text


def test_utilisation_is_of_the_rows_own_precision_and_of_the_highest_of_its_records():
    records = [
        beside(timed(0.5), ceiling=ceiling(120e9)),
        beside(timed(0.5, seed=1), ceiling=ceiling(240e9)),
        beside(timed(0.25, precision="bfloat16"), ceiling=ceiling(480e9, "bfloat16")),
    ]
    rows = frame(TABLE["throughput"], records).set_index("precision")
    assert rows.loc["float32", "utilisation"] == pytest.approx(0.25)
    assert rows.loc["bfloat16", "utilisation"] == pytest.approx(0.25)
    text = as_markdown(TABLE["throughput"], records)
    assert "(GFLOP/s: bfloat16 480, float32 240)." in text


def test_a_row_above_the_peak_is_flagged_and_has_no_share_of_it():
    """Planted: the peak was measured in a noisy moment, and a row reaches 118 % of it."""
    records = [
        beside(timed(0.5), ceiling=ceiling(60e9 / 1.18)),
        beside(timed(0.5, variant="cifar-lrn"), ceiling=ceiling(240e9)),
    ]
    rows = frame(TABLE["throughput"], records).set_index("variant")
    assert not rows.loc["cifar-bn", "utilisation"] > 0
    assert rows["above_peak"].tolist() == [True, False]
    shown = {cell["network"]: cell["% of peak (measured)"] for cell in cells("throughput", records)}
    assert shown == {"cifar-bn": "above peak", "cifar-lrn": "25.0 %"}
    text = as_markdown(TABLE["throughput"], records)
    assert "118" not in text
    assert "above peak: faster than all of these, so the peak is too low" in text


def test_disturbed_blocks_are_a_column_where_there_are_any():
    calm, busy = beside(timed(0.5), disturbed=0.0), beside(timed(0.5), disturbed=0.4)
    assert "disturbed blocks" not in cells("throughput", [calm])[0]
    assert cells("throughput", [busy])[0]["disturbed blocks"] == "40 %"


@pytest.mark.parametrize("told", [{}, {"ceiling": None, "ceiling_reason": "why"}])
def test_without_a_ceiling_no_utilisation_is_shown(told):
    record = beside(timed(0.5), **told)
    row = only("throughput", [record])
    assert row["ceiling_flops_per_second"] is None
    assert row["utilisation"] is None
    (shown,) = cells("throughput", [record])
    assert not shown.keys() & {"% of peak (measured)", "J/image", "peak device memory (GiB)"}
    assert "ceiling" not in as_markdown(TABLE["throughput"], [record])
    both = cells(
        "throughput", [record, beside(timed(0.5, variant="cifar-lrn"), ceiling=ceiling(240e9))]
    )
    assert sorted(cell["% of peak (measured)"] for cell in both) == ["25.0 %", "—"]


def test_joules_of_all_records_are_over_all_their_images():
    def counted(joules, images):
        source = {"reason": None, "source": "powercap: package-0"}
        return {"joules": joules, "images": images, **source}

    records = [
        beside(timed(0.5), energy=counted(30.0, 300)),
        beside(timed(0.5, seed=1), energy=counted(30.0, 100)),
        beside(timed(0.5, seed=2), energy={"joules": None, "images": 300, "reason": "why"}),
        timed(0.5, seed=3),
    ]
    row = only("throughput", records)
    assert row["joules_per_image"] == pytest.approx(60 / 400)
    assert row["energy_reason"] is None
    (shown,) = cells("throughput", records)
    assert shown["J/image"] == "0.150"
    assert "J/image: of the processor's packages" in as_markdown(TABLE["throughput"], records)


def test_unknown_joules_are_a_reason_in_the_csv_and_no_column():
    record = beside(timed(0.5), energy={"joules": None, "images": 300, "reason": "root alone"})
    row = only("throughput", [record])
    assert row["joules_per_image"] is None
    assert row["energy_reason"] == "root alone"
    (shown,) = cells("throughput", [record])
    assert "J/image" not in shown
    assert "J/image" not in as_markdown(TABLE["throughput"], [record])


def test_a_devices_memory_has_a_column_where_somebody_tells_it():
    records = [
        beside(timed(0.5), device_memory_bytes=3 * 2**30),
        beside(timed(0.5, seed=1), device_memory_bytes=2 * 2**30),
    ]
    assert only("throughput", records)["device_memory_bytes"] == 3 * 2**30
    (shown,) = cells("throughput", records)
    assert shown["peak device memory (GiB)"] == "3.00"


def test_a_longer_latency_is_slower():
    record = make_record()
    other = replace(
        make_record(framework="keras-jax"), samples=tuple(2 * s for s in record.samples)
    )
    row = frame(TABLE["latency"], [record, other]).iloc[1]
    assert row["ratio"] == pytest.approx(0.5)
    assert row["verdict"] == "inconclusive"  # one process each
    again = (replace(r, case=replace(r.case, seed=1)) for r in (record, other))
    row = frame(TABLE["latency"], [record, other, *again]).iloc[1]
    assert row["verdict"] == "slower"


@pytest.mark.parametrize(
    "changes", [{"batch_size": 64}, {"precision": "bfloat16"}, {"track": "idiomatic"}]
)
def test_no_ratio_between_unlike_cases(changes):
    records = [
        make_record(kind="inference"),
        make_record(framework="keras-jax", kind="inference", **changes),
    ]
    assert set(frame(TABLE["throughput"], records)["verdict"]) == {"reference"}


def test_training_is_not_held_against_inference():
    records = [
        make_record(kind="inference"),
        make_record(framework="keras-jax", kind="train_throughput"),
    ]
    assert set(frame(TABLE["throughput"], records)["verdict"]) == {"reference"}


def test_published_figures_are_marked_as_such():
    text = as_markdown(TABLE["accuracy"], [make_record(kind="accuracy")])
    assert "64.8 % †" in text
    assert "† published, other data/hardware: 64.8 %, Keras BatchNorm AlexNet tutorial" in text


def test_published_figures_stand_beside_the_same_data_only():
    text = as_markdown(TABLE["accuracy"], [make_record(kind="accuracy", dataset=OTHER_DATASET)])
    assert "†" not in text


def test_per_class_has_a_column_for_each_class():
    record = make_record(kind="accuracy")
    (shown,) = cells("per_class", [record])
    assert [header for header in shown if header in CLASSES] == list(CLASSES)
    assert shown["cat"] == f"{100 * record.metrics['per_class']['cat']:.1f} %"


def test_a_class_may_have_the_name_of_a_column():
    """A class named `track` lost the report, one named `variant` was taken for the network."""
    record = make_record(kind="accuracy")
    per_class = dict(zip(("track", "variant", "cat"), (0.5, 0.6, 0.7), strict=True))
    (shown,) = cells("per_class", [replace(record, metrics={"per_class": per_class})])
    assert (shown["class track"], shown["class variant"], shown["cat"]) == (
        "50.0 %",
        "60.0 %",
        "70.0 %",
    )
    assert shown["network"].startswith("cifar-bn")


def test_a_start_stands_beside_a_bare_one_where_that_was_measured():
    record = make_record(kind="startup")
    told = {"worker_seconds": 6.0, "bare_seconds": 4.0}
    beside = replace(record, metrics=record.metrics | told)
    row = only("startup", [beside])
    assert (row["bare_seconds"], row["worker_ratio"]) == (4.0, 1.5)
    assert pd.isna(only("startup", [record])["worker_ratio"])


def test_startup_has_its_parts():
    record = make_record(kind="startup")
    row = only("startup", [record])
    assert row["seconds"] == record.samples[0]
    assert row["import_seconds"] == record.metrics["import_seconds"]


def test_overhead_is_bare_time_over_harness_time():
    record = make_record(kind="train_throughput")
    pairs = {"harness": [1.0, 2.0], "bare": [0.9, 1.8], "images_per_sample": 90}
    record = replace(record, metrics={**record.metrics, "overhead": pairs})
    row = only("overhead", [record])
    assert row["share"] == pytest.approx(0.9)
    assert row["harness_images_per_second"] == pytest.approx(67.5)


@pytest.mark.parametrize("table", ["layers", "features", "tutorial_loops"])
@pytest.mark.parametrize("track", ["closed", "idiomatic"])
def test_what_stands_beside_others_is_shown_in_every_track(table, track):
    (shown,) = cells(table, make_beside_run(track))
    assert ("parity" in shown) == (track == "closed")


def test_recomputed_features_are_at_the_pace_of_the_steps_that_were_timed():
    row = only("features", make_beside_run())
    assert row["recomputed_seconds"] == pytest.approx(10_000 * 2 / 500)
    assert row["ratio"] == pytest.approx(40 / 5)
    assert row["ratio_again"] == pytest.approx(40 / (5 - 4))
    kept = make_beside_run()[1]
    del kept.metrics["features"]["recomputed"]
    assert frame(TABLE["features"], [kept]).empty


def test_failures_show_the_last_line_and_keep_the_text():
    failure = make_failure(error='File "/home/someone/x/worker.py", line 3\nValueError: a | <b>')
    (shown,) = cells("failures", [failure])
    assert shown["reason (last line)"] == "ValueError: a | <b>"
    assert "someone" not in only("failures", [failure])["error"]
    assert "a \\| &lt;b>" in as_markdown(TABLE["failures"], [failure])


@pytest.mark.parametrize("error", ["", " \n"])
def test_a_failure_without_a_reason_says_so(error):
    (shown,) = cells("failures", [make_failure(error=error)])
    assert shown["reason (last line)"] == "no reason was recorded"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.5, "1,230"),
        (909.4, "909"),
        (45.23, "45.2"),
        (99.96, "100"),
        (0.01234, "0.0123"),
        (0.0, "0"),
        (None, "—"),
        (float("nan"), "—"),
    ],
)
def test_three_significant_digits(value, text):
    assert significant(value) == text


def test_ratio_shows_its_interval_when_there_is_one():
    assert ratio(0.8, 0.78, 0.82) == "0.80x [0.78, 0.82]"
    assert ratio(0.8, None, None) == "0.80x"


def test_markdown_refuses_a_ragged_row():
    with pytest.raises(ValueError, match="zip"):
        markdown(["a", "b"], [["1"]], [False, True])


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ('File "/home/bob/bench/x.py", line 1', 'File "…/x.py", line 1'),
        (r"C:\Users\bob\x.py is missing", "…/x.py is missing"),
        ("cifar-bn/pytorch/closed at 900 images/s", "cifar-bn/pytorch/closed at 900 images/s"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
    ],
)
def test_folders_of_a_machine_are_left_out(text, clean):
    assert without_folders(text) == clean


def test_labels_tell_namesakes_apart_and_say_no_more():
    plain, wide = make_record().case, make_record(precision="bfloat16").case
    other = make_record(variant="cifar-lrn").case
    assert labels([plain, wide, other]) == {
        plain: "cifar-bn · float32",
        wide: "cifar-bn · bfloat16",
        other: "cifar-lrn",
    }


def test_the_later_of_two_equal_cases_counts():
    old, new = (make_record(started_at=f"2025-01-0{day}T00:00:00+00:00") for day in (1, 2))
    assert latest([new, old]) == ([new], [old])
    assert latest([old, new]) == ([new], [old])


def test_a_copy_of_a_measurement_loses_no_caveat():
    when = "2025-01-01T00:00:00+00:00"
    caveats = [{"on": "seconds", "why": why} for why in ("stopped", "busy")]
    first, second = (make_record(started_at=when, caveats=(caveat,)) for caveat in caveats)
    for pair in ([first, second], [second, first]):
        (kept,), (copy,) = latest(pair)
        assert sorted(c["why"] for c in kept.caveats) == ["busy", "stopped"]
        assert copy == pair[0]


def test_idiomatic_frameworks_are_compared_whatever_precision_each_chose() -> None:
    records = [
        make_record(kind="inference", framework="pytorch", track="idiomatic", precision="bfloat16"),
        make_record(
            kind="inference", framework="keras-tensorflow", track="idiomatic", precision="float32"
        ),
    ]
    found = frame(TABLE["throughput"], records)
    assert set(found["reference"]) == {"pytorch"}
    assert list(found["verdict"]).count("reference") == 1


def test_closed_rows_of_different_precision_are_never_compared() -> None:
    records = [
        make_record(kind="inference", framework="pytorch", precision="float64"),
        make_record(kind="inference", framework="keras-tensorflow", precision="float32"),
    ]
    assert set(frame(TABLE["throughput"], records)["verdict"]) == {"reference"}


def test_an_interval_shows_whether_it_contains_no_difference():
    assert ratio(1.09, 0.9968, 1.2) == "1.09x [0.997, 1.20]"
    assert ratio(1.09, 1.003, 1.2) == "1.09x [1.003, 1.20]"
    assert ratio(1.0, 1.0, 1.0) == "1.00x [1.00, 1.00]"
    assert ratio(1.002, 1.001, 1.004) == "1.002x [1.001, 1.004]"
    assert ratio(1.002, 0.996, 1.004) == "1.00x [0.996, 1.004]"
    assert POINTS.estimate(0.01, -0.0003, 0.02) == "+1.0 [-0.03, +2.0]"
    assert CHANGE.interval(0.04, 12.34) == "[+0.04, +12.3]"
    assert RATIO.interval(0.02, 240) == "[0.02, >100]"
    assert RATIO.interval(110, 130) == "[110, 130]"
    assert RATIO.interval(0.5, None) == "—"


def test_a_share_ends_at_0_and_100_percent_wherever_it_stands(tmp_path):
    """A t interval of two seeds reaches below 0 %; tables and blocks of a page cut it there."""
    assert SHARE.estimate(0.418, -0.018, 0.854) == "41.8 % [0.0, 85.4]"
    records = make_trained("cifar-bn", (0.1, 0.7))
    (section,) = sections(next(t for t in TABLES if t.name == "accuracy"), records)
    (line,) = [dict(zip(section.headers, row, strict=True)) for row in section.cells]
    (tmp_path / "results" / "one").mkdir(parents=True)
    for record in records:
        RecordStore(tmp_path / "results" / "one").append(record)
    page = tmp_path / "page.md"
    comment = "run=one name=accuracy column=accuracy"
    page.write_text(f"It is <!-- value: {comment} --><!-- /value -->.", encoding="utf-8")
    stale(page, write=True)
    assert line["95 % interval"] == "[0.0, 100.0] %"
    assert "40.0 % [0.0, 100.0]" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("track", "recipe", "words"),
    [
        (
            "tuned",
            "fast",
            "fast: weight decay is a part of the gradient in pytorch, where momentum makes it 10 "
            "times as strong as in keras-tensorflow, whose own form is apart from the gradient",
        ),
        (
            "tuned",
            "transfer",
            "transfer: weight decay is a part of the gradient in pytorch, where momentum makes it "
            "10 times as strong (2.5 times in layers that come with weights) as in "
            "keras-tensorflow, whose own form is apart from the gradient",
        ),
        (
            "idiomatic",
            "ablation",
            "ablation: weight decay is a part of the gradient in pytorch, where Adam divides it by "
            "the gradients' size; in keras-tensorflow it is apart from it",
        ),
        ("closed", "fast", ""),
        ("tuned", "tutorial-torch-scratch", ""),
    ],
)
def test_two_forms_of_weight_decay_are_named(track: str, recipe: str, words: str) -> None:
    """Keras's acts once, and PyTorch's through the momentum: no table said so."""
    both = [
        record
        for name in ("pytorch", "keras-tensorflow")
        for record in make_trained(
            "cifar-bn", (0.7, 0.71), framework=name, track=track, recipe=recipe
        )
    ]
    for table in ("accuracy", "accuracy_differences"):
        notes = [line for s in sections(TABLE[table], both) for line in s.notes]
        assert [line for line in notes if "decay" in line] == ([words] if words else [])
    alone = sections(TABLE["accuracy"], both[:2])
    assert not any("decay" in line for section in alone for line in section.notes)


def test_a_track_whose_rows_are_all_removed_is_named_below_the_others() -> None:
    caveat = {"on": "seconds", "why": "other work ran"}
    records = [
        make_record(kind="inference", caveats=(caveat,)),
        make_record(kind="inference", track="idiomatic"),
    ]
    text = as_markdown(TABLE["throughput"], records)
    assert (
        "‡ Removed, since the seconds are no measurement: inference of cifar-bn in pytorch in the "
        "closed track: other work ran"
    ) in text


def test_training_takes_as_long_as_one_that_went_to_its_end() -> None:
    whole, stopped = (make_record(kind="accuracy", seed=seed) for seed in range(2))
    gone = {**stopped.metrics, "diverged": True, "train_seconds": 4.0, "train_images": 10}
    found = only("accuracy", [whole, replace(stopped, metrics=gone)])
    assert found["train_seconds"] == whole.metrics["train_seconds"]
    assert found["train_images"] == whole.metrics["train_images"]
    assert found["diverged"] == 1


def test_the_reference_has_its_precision_where_it_has_several() -> None:
    records = [
        make_record(kind="inference", precision=precision, track="idiomatic", framework=name)
        for name, precision in (
            ("pytorch", "bfloat16"),
            ("pytorch", "float32"),
            ("keras-jax", "float32"),
        )
    ]
    assert set(frame(TABLE["throughput"], records)["reference"]) == {"pytorch bfloat16"}


def test_the_interval_of_two_starts_is_that_of_levels_and_positive() -> None:
    record = make_record(kind="startup", samples=(3.7, 4.9))
    found = only("startup", [record])
    value = value_of([record])
    assert (found["seconds"], found["low"], found["high"]) == pytest.approx(value)
    assert found["low"] > 0
