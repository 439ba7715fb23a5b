from dataclasses import replace

from bench.report.readme import overview
from tests.support.synthetic_records.synthetic import (
    OTHER_DATASET,
    make_failure,
    make_record,
    make_run,
)


def test_an_overview_has_a_table_for_each_dataset():
    block = "\n\n".join(overview([*make_run(seeds=2), make_record(dataset=OTHER_DATASET)]))
    assert block.count("| network ") == 2
    row = next(line for line in block.splitlines() if "cifar-lrn" in line and "keras-jax" in line)
    assert "(2 seeds)" in row
    assert "—" not in row  # accuracy, training, inference and latency have met in one row


def test_an_overview_without_results_is_empty():
    assert overview([]) == overview([make_failure()]) == []


def test_diverged_seeds_are_shown_in_the_readme():
    record = make_record(kind="accuracy")
    diverged = replace(record, metrics={**record.metrics, "diverged": True})
    assert "(1 diverged)" in overview([diverged])[0]


def test_two_recipes_of_one_network_keep_a_row_each_in_the_readme():
    kinds = ("accuracy", "train_throughput")
    one, speed = (make_record(kind=kind) for kind in kinds)
    other = make_record(kind="accuracy", recipe="another")
    lines = overview([one, speed, other])[0].splitlines()
    rows = [line for line in lines if "pytorch" in line and line.startswith("|")]
    assert len(rows) == 2
    assert [row.split("|")[2].strip() for row in rows] == [
        "cifar-bn · another",
        "cifar-bn · steady",
    ]


def test_an_overview_has_one_table_for_the_tracks_it_is_asked_for():
    records = make_run(seeds=1)
    table, note = overview(records, ["closed"])
    assert note.startswith(
        "Images/s are of all processes of a row; ratios are of pairs of neighbouring blocks"
    )
    rows = table.splitlines()[2:]
    assert rows
    assert all(row.startswith("| closed ") for row in rows)
    assert overview(records, ["no-such-track"]) == []


def test_latency_stands_with_its_network_where_that_has_two_recipes():
    kinds = ("accuracy", "train_throughput", "latency")
    records = [make_record(kind=kind) for kind in kinds]
    records.append(make_record(kind="accuracy", recipe="another"))
    rows = [line for line in overview(records)[0].splitlines() if "pytorch" in line]
    assert len(rows) == 2
    assert [row.split("|")[8].strip() == "—" for row in rows] == [False, True]
    assert not any("batch 1" in row for row in rows)
