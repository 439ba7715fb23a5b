"""Which differences forbid a comparison, and what a table reports instead of a ratio."""

from dataclasses import replace

import pandas as pd
import pytest

from bench.analysis.comparison.comparability import (
    ROWS,
    RUNS,
    differences,
    differences_between,
    in_words,
)
from bench.analysis.experiments import experiments
from bench.analysis.rows import accuracy_rows
from bench.core.kinds import ACCURACY
from bench.report.chapters.speed.throughput import throughput
from bench.report.plot_style import style
from bench.report.plots import write_plots
from bench.report.readme import overview
from bench.report.report import Report
from bench.report.summary import headlines
from bench.report.tables import TABLES, as_markdown, frame, sections
from tests.support.parts import part_of, row_names
from tests.support.synthetic_records.synthetic import ENVIRONMENT, SETTINGS, make_record

TABLE = {table.name: table for table in TABLES}
CLOSED_ONLY = (
    ("weight_dtype", "float32", "float64"),
    ("compute_dtype", "float32", "bfloat16"),
    ("accumulation_dtype", "float32", "float64"),
    ("tf32", False, True),
    ("initial_weights_sha256", "a" * 64, "b" * 64),
    ("batch_plan_sha256", "a" * 64, "b" * 64),
)
OWN = (("execution", "eager", "fit"), ("layout", "NCHW", "NHWC"), ("deterministic", False, True))


def pair(kind="latency", track="closed", **changes):
    """PyTorch, and Keras on JAX with `changes`."""
    return [
        make_record(kind=kind, track=track),
        make_record(framework="keras-jax", kind=kind, track=track, **changes),
    ]


def differing(key, one, other, track="closed"):
    """Keys that differ between two records of which one setting is given."""
    left = make_record(track=track, settings={**SETTINGS, key: one})
    right = make_record(framework="keras-jax", track=track, settings={**SETTINGS, key: other})
    return [difference.key for difference in differences(left, right)]


@pytest.mark.parametrize("track", ["closed", "idiomatic"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"settings": {**SETTINGS, "threads": {"intra_op": 1}}},
            "threads.intra_op 1 against 2",
        ),
        ({"settings": {**SETTINGS, "affinity": [0]}}, "affinity [0] against [0, 1]"),
        (
            {"environment": {**ENVIRONMENT, "cpu": "Another"}},
            "cpu Another against Example CPU 9000",
        ),
        ({"environment": {**ENVIRONMENT, "cores": 4}}, "cores 4 against 2"),
        ({"environment": {**ENVIRONMENT, "cpu_quota": 1.5}}, "cpu_quota 1.5 against 2"),
        (
            {"environment": {**ENVIRONMENT, "memory_limit_bytes": 2**31}},
            "memory_limit_bytes 2 GiB against 0 GiB",
        ),
        (
            {"settings": {**SETTINGS, "thread_affinities": [[0], [0, 1]]}},
            "thread_affinities [[0], [0, 1]] against [[0, 1]]",
        ),
        (
            {"settings": {**SETTINGS, "kept_environment": ["OMP_PROC_BIND=close"]}},
            "kept_environment ['OMP_PROC_BIND=close'] against []",
        ),
    ],
)
def test_rows_with_unequal_resources_are_not_compared_in_either_track(track, changes, words):
    records = pair(track=track, **changes)
    row = frame(TABLE["latency"], records).iloc[1]
    assert row["verdict"] == "not comparable"
    assert row["not_compared"] == words
    assert pd.isna(row["ratio"])
    (section,) = sections(TABLE["latency"], records)
    assert section.notes == (f"keras-jax is not compared with pytorch on cifar-bn: {words}",)
    assert section.notes[0] in as_markdown(TABLE["latency"], records)


@pytest.mark.parametrize(("key", "one", "other"), CLOSED_ONLY)
def test_the_closed_track_asks_for_the_same_arithmetic_and_inputs(key, one, other):
    assert differing(key, one, other) == [key]
    assert differing(key, one, one) == []
    assert differing(key, one, other, track="idiomatic") == []


@pytest.mark.parametrize(("key", "one", "other"), OWN)
def test_layout_and_execution_are_each_frameworks_own(key, one, other):
    assert differing(key, one, other) == []


@pytest.mark.parametrize(("key", "one", "other"), [*CLOSED_ONLY, *OWN])
def test_two_runs_of_one_case_must_agree_in_all_that_is_known(key, one, other):
    left, right = (
        make_record(track="idiomatic", settings={**SETTINGS, key: value}) for value in (one, other)
    )
    assert [difference.key for difference in differences(left, right, RUNS)] == [key]


@pytest.mark.parametrize(("devices", "found"), [(1, ["thread_affinities"]), (2, [])])
def test_threads_of_one_process_are_compared_on_one_device_alone(devices, found):
    left = make_record(devices=devices, settings={**SETTINGS, "thread_affinities": [[0]]})
    right = make_record(framework="keras-jax", devices=devices, settings=SETTINGS)
    right = replace(right, settings={**SETTINGS, "thread_affinities": [[0, 1]]})
    assert [difference.key for difference in differences(left, right)] == found
    assert differences(left, replace(right, case=left.case), RUNS)


@pytest.mark.parametrize("rules", [ROWS, RUNS])
@pytest.mark.parametrize("key", ["cpu_affinity", "thread_affinities"])
def test_which_cpus_compute_is_of_no_matter_to_accuracies(key, rules):
    speed = make_record(settings={**SETTINGS, key: [0, 1]})
    elsewhere = replace(speed, settings={**SETTINGS, key: [2, 3]})
    assert [difference.key for difference in differences(speed, elsewhere, rules)] == [key]
    pair = (replace(record, kind=ACCURACY) for record in (speed, elsewhere))
    assert differences(*pair, rules) == []


@pytest.mark.parametrize(("shares", "found"), [([[0], [1]], []), ([[0], [2]], ["cpu_affinity"])])
def test_the_cpus_of_several_devices_are_those_of_all_processes(shares, found):
    left = make_record(devices=2, settings={**SETTINGS, "cpu_affinity": [0]})
    left = replace(left, metrics={**left.metrics, "parallel": {"cpus": shares}})
    settings = {**SETTINGS, "cpu_affinity": [0, 1]}
    right = make_record(framework="keras-jax", devices=2, settings=settings)
    right = replace(right, metrics={**right.metrics, "parallel": {"cpus": None}})
    assert [difference.key for difference in differences(left, right)] == found


@pytest.mark.parametrize(
    ("track", "modes", "found"),
    [
        ("closed", ("local", "synchronised"), ["batch_norm"]),
        ("closed", ("local", "local"), []),
        ("closed", (None, None), []),
        ("tuned", ("local", "synchronised"), []),
    ],
)
def test_local_and_synchronised_batch_norm_are_not_the_same_arithmetic(track, modes, found):
    names = ("pytorch", "keras-jax")
    pair = [
        replace(record, metrics={**record.metrics, "parallel": {"batch_norm": mode}})
        for name, mode in zip(names, modes, strict=True)
        for record in [make_record(framework=name, track=track, devices=2)]
    ]
    assert [difference.key for difference in differences(*pair)] == found


@pytest.mark.parametrize("key", ["threads", "affinity", "tf32", "batch_plan_sha256"])
def test_what_is_unknown_of_either_is_no_difference(key):
    known = make_record(settings={**SETTINGS, key: 1})
    for unknown in ({**SETTINGS, key: None}, {k: v for k, v in SETTINGS.items() if k != key}):
        record = make_record(framework="keras-jax", settings=unknown)
        assert differences(known, record) == differences(record, known) == []


def test_every_field_of_the_recipe_counts_but_its_wording():
    recipe = {"momentum": 0.9, "augmentation": {"padding": 4}, "description": "quick"}
    changed = {"momentum": 0.8, "augmentation": {"padding": 0}, "description": "fast"}
    left, right = (make_record(settings={"recipe": one}) for one in (recipe, changed))
    found = in_words(differences(left, right))
    assert found == "recipe.momentum 0.9 against 0.8; recipe.augmentation.padding 4 against 0"


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "gpu", "GPU:0"])
def test_a_device_is_the_same_by_each_frameworks_name(name):
    assert differing("device", "cuda:0", name) == []
    assert differing("device", "cpu", name) == ["device"]


def trained(run, seed, **changes):
    return replace(make_record(kind="accuracy", seed=seed, **changes), run=run)


def caveats_of(records):
    (results,) = Report(records).datasets
    return [(row["seeds"], row["caveats"]) for row in accuracy_rows(results)]


def test_seeds_of_two_runs_have_a_caveat_where_the_runs_differ():
    there = [trained("one", seed) for seed in range(3)]
    other = {**ENVIRONMENT, "cpu": "Another CPU"}
    why = "seeds of 2 runs under unlike conditions: cpu Example CPU 9000 against Another CPU"
    assert caveats_of([*there, trained("two", 3, environment=other)]) == [(4, why)]
    alike = [*there, trained("two", 3)]  # its batches and weights are its seed's
    assert caveats_of(alike) == [(4, None)]
    apart = [*there, trained("two", 0, variant="cifar-lrn", environment=other)]
    assert caveats_of(apart) == [(3, None), (1, None)]


def test_hashes_and_folders_are_shown_short():
    settings = ({"initial_weights_sha256": digit * 64} for digit in "ab")
    left, right = (make_record(settings=one) for one in settings)
    assert in_words(differences(left, right)) == (
        "initial_weights_sha256 aaaaaaaaaaaa against bbbbbbbbbbbb"
    )
    left, right = (make_record(settings={"threads": f"/home/me/{n}"}) for n in "ab")
    assert "home" not in in_words(differences(left, right))


def test_long_values_are_cut_between_words_after_what_is_equal():
    flags = " ".join(f"flag_{n}" for n in range(30))
    left, right = (
        make_record(environment={**ENVIRONMENT, "cpu": f"Example CPU ({flags} {last} end)"})
        for last in ("amx_bf16", "amx_int8")
    )
    (found,) = differences(left, right)
    assert (found.one, found.other) == ("… amx_bf16 end)", "… amx_int8 end)")
    assert found.where == "environment"
    short, long = (
        make_record(environment={**ENVIRONMENT, "cpu": cpu}) for cpu in ("Another", f"CPU {flags}")
    )
    (found,) = differences(short, long)
    assert found.one == "Another"
    assert found.other.endswith(" …")
    assert f"CPU {flags} ".startswith(found.other.removesuffix("…"))


def seeds(framework, numbers):
    """Accuracy records whose weights and batches are those of their seed."""
    return [
        make_record(
            framework=framework,
            kind="accuracy",
            seed=n,
            settings={**SETTINGS, "batch_plan_sha256": f"{n}" * 64},
        )
        for n in numbers
    ]


@pytest.mark.parametrize("numbers", [(0, 1), (1, 2), (5,)])
def test_seeds_are_held_against_their_own(numbers):
    records = [*seeds("pytorch", (0, 1)), *seeds("keras-jax", numbers)]
    reference, other = experiments(records, ("accuracy",))
    assert differences_between(other, reference) == []


def test_one_seed_that_differs_is_enough():
    records = [*seeds("pytorch", (0, 1)), *seeds("keras-jax", (0, 1))]
    changed = {**records[-1].settings, "batch_plan_sha256": "f" * 64}
    records[-1] = replace(records[-1], settings=changed)
    reference, other = experiments(records, ("accuracy",))
    assert in_words(differences_between(other, reference)) == (
        "batch_plan_sha256 ffffffffffff against 111111111111"
    )


@pytest.mark.parametrize("kind", ["accuracy", "startup"])
def test_tables_without_ratios_name_the_difference_too(kind):
    records = pair(kind, settings={**SETTINGS, "recipe": {"momentum": 0.5}})
    text = as_markdown(TABLE[kind], records)
    assert (
        "keras-jax is not compared with pytorch on cifar-bn: recipe.momentum 0.5 against 0.9"
        in text
    )


def test_the_line_says_which_of_two_namesakes_is_meant():
    records = [
        *pair("inference"),
        *pair("inference", batch_size=64),
        make_record(kind="inference", batch_size=64),
    ]
    records[3] = replace(records[3], settings={**SETTINGS, "affinity": [1]})
    (section,) = sections(TABLE["throughput"], records)
    assert section.notes == (
        "keras-jax is not compared with pytorch on cifar-bn · batch 64: affinity [1] against "
        "[0, 1]",
    )


def test_headlines_and_readme_give_no_ratio_and_say_why():
    records = pair("train_throughput", settings={**SETTINGS, "affinity": [0]})
    ((line,),) = [part.lines for part in headlines(records)]
    assert line.endswith("not comparable (affinity [0] against [0, 1]).")
    block = "\n".join(overview(records))
    row = next(line for line in block.splitlines() if "| keras-jax" in line)
    assert "| not comparable |" in row
    assert "keras-jax is not compared with pytorch on cifar-bn: affinity [0]" in block


def test_accuracies_that_may_not_be_compared_say_so_in_the_headline():
    records = pair("accuracy", settings={**SETTINGS, "recipe": {"momentum": 0.5}})
    ((line,),) = [part.lines for part in headlines(records)]
    assert "not comparable (recipe.momentum 0.5 against 0.9)" in line


def test_a_bar_that_may_not_be_compared_says_so(tmp_path):
    records = pair("inference", settings={**SETTINGS, "affinity": [0]})
    with style():
        drawing = throughput(part_of(records))
    (axes,) = drawing.figure.axes
    names = row_names(axes)
    assert names == ["pytorch", "keras-jax\n(not comparable)"]
    (plot,) = (plot for plot in write_plots(records, tmp_path) if plot.table == "throughput")
    assert "keras-jax is not compared with pytorch on cifar-bn: affinity [0]" in plot.how


def test_a_caption_speaks_of_what_its_plot_shows(tmp_path):
    settings = {**SETTINGS, "affinity": [0]}
    records = [*pair("inference", settings=settings), *pair("startup"), *pair("latency")]
    captions = {plot.name: plot.how for plot in write_plots(records, tmp_path)}
    assert "is not compared" in captions["throughput_closed"]
    assert "is not compared" not in captions["startup_closed"]
    assert "is not compared" not in captions["latency_closed"]


def test_kinds_that_differ_in_recipe_or_batch_share_a_line():
    settings = {**SETTINGS, "affinity": [0]}
    records = [
        *pair("accuracy", settings=settings, recipe="short"),
        *pair("latency", settings=settings),
        *pair("inference", settings=settings),
        make_record(kind="accuracy", recipe="short"),
    ]
    assert (
        "\n".join(overview(records)).count("keras-jax is not compared with pytorch on cifar-bn: ")
        == 1
    )
