"""What rows open to: their records, each distinct setting once."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bench.report.chapters import TABLES
from bench.report.chapters.trust.overhead import TOGETHER
from bench.report.page.commands import command_of
from bench.report.page.details import SAMPLES, SETS, Details, as_json, keys_of
from bench.report.page.settings import ABSENT, differences, environments, settings_of_cases
from bench.report.report import Report
from bench.report.tables import sections
from tests.support.synthetic_records.synthetic import (
    DATASET,
    ENVIRONMENT,
    OTHER_DATASET,
    PARITY,
    SETTINGS,
    make_record,
    make_run,
)

RUN = make_run(seeds=2)


def test_every_row_that_names_a_case_opens_to_its_records():
    details, report = Details(RUN, {}), Report(RUN)
    opened = 0
    for table in TABLES:
        for section in sections(table, report):
            for row in section.rows:
                if row["variant"] == TOGETHER:
                    continue  # of several networks
                places = details.of(table, row)
                assert places, (table.name, row)
                opened += len(places)
                for place in places:
                    case = RUN[place].case
                    assert case.variant == row["variant"]
                    assert case.track == row["track"]
                    assert case.framework == row["framework"]
                    assert row.get("kind", RUN[place].kind) == RUN[place].kind
    assert opened > 200


def test_seeds_of_a_row_are_all_there():
    (accuracy,) = (table for table in TABLES if table.name == "accuracy")
    row = sections(accuracy, Report(RUN))[0].rows[0]
    assert [RUN[place].case.seed for place in Details(RUN, {}).of(accuracy, row)] == [0, 1]


def test_settings_are_rebuilt_from_the_pairs():
    found = json.loads(as_json(Details(RUN, {}).to_json()))
    record = found["records"][0]
    places = found["sets"][record["sets"][SETS.index("settings")]]
    pairs = dict(found["pairs"][place] for place in places)
    assert pairs["recipe.learning_rate"] == str(SETTINGS["recipe"]["learning_rate"])
    assert len(found["sets"]) < len(RUN) * 2
    command = " --".join(found["words"][place] for place in record["command"])
    assert command == command_of(RUN[0])
    assert len(found["words"]) < 100


def test_names_of_machine_and_places_stay_out():
    secret = {**ENVIRONMENT, "hostname": "box17", "user": "someone"}
    record = make_record(environment=secret, settings={"cache": "/home/someone/x"})
    text = as_json(Details([record], {}).to_json())
    assert "box17" not in text
    assert "someone" not in text


def test_many_samples_are_thinned_and_counted():
    record = make_record(samples=tuple(float(n) for n in range(10_000)))
    (found,) = Details([record], {}).to_json()["records"]
    assert found["taken"] == 10_000
    assert SAMPLES * 0.9 < len(found["samples"][0]) <= SAMPLES


def test_json_of_any_text_ends_no_script_element():
    attack = "</script><script>alert(1)</script><!--\u2028"
    text = as_json({"a": attack})
    assert "<" not in text
    assert json.loads(text) == {"a": attack}


def test_a_sample_that_is_no_number_is_left_out():
    record = make_record(samples=(1.0, float("nan"), float("inf")))
    (found,) = Details([record], {}).to_json()["records"]
    assert found["samples"] == [[1.0, None, None]]
    as_json(found)


def test_anchors_are_distinct_and_the_same_again():
    (table,) = (table for table in TABLES if table.name == "throughput")
    rows = [row for section in sections(table, Report(RUN)) for row in section.rows]
    anchors = keys_of(rows, "throughput", {})
    assert len(set(anchors)) == len(anchors)
    assert keys_of(rows[::-1], "throughput", {}) == anchors[::-1]
    assert keys_of([rows[0], rows[0]], "x", {})[1].endswith("-2")


def test_only_what_differs_is_named():
    found = differences({"a": (("k", "1"), ("same", "x")), "b": (("same", "x"),)})
    assert found.shared == (("same", "x"),)
    assert found.differing == (("k", ("1", ABSENT)),)


@pytest.mark.parametrize(
    ("frameworks", "runs", "names"),
    [
        (("pytorch", "keras-jax"), ("one", "one"), ["pytorch", "keras-jax"]),
        (("pytorch", "pytorch"), ("one", "two"), ["one", "two"]),
        (("pytorch", "pytorch"), ("one", "one"), ["pytorch · one (1)", "pytorch · one (2)"]),
    ],
)
def test_environments_are_named_by_what_tells_them_apart(frameworks, runs, names):
    records = [
        make_record(environment={**ENVIRONMENT, "cpu": cpu}, run=run, framework=framework)
        for cpu, run, framework in zip(("A", "B"), runs, frameworks, strict=True)
    ]
    assert list(environments(records)) == names
    assert list(environments(records[:1])) == ["Environment"]


def test_rows_of_two_data_sets_open_to_their_own_records():
    records = [make_record(dataset=data) for data in (DATASET, OTHER_DATASET)]
    (latency,) = (table for table in TABLES if table.name == "latency")
    details = Details(records, {})
    for section in sections(latency, Report(records)):
        (row,) = section.rows
        assert [records[p].dataset["name"] for p in details.of(latency, row)] == [row["dataset"]]
    assert len(settings_of_cases([replace(r, settings=r.settings | {"x": r.dataset["name"]})
                                  for r in records])) == 2  # fmt: skip


def test_a_certificate_opens_to_a_record_that_has_it():
    records = [
        make_record(execution=execution, parity={**PARITY, "key": execution})
        for execution in ("eager", "compiled")
    ]
    (parity,) = (table for table in TABLES if table.name == "parity")
    rows = [row for section in sections(parity, Report(records)) for row in section.rows]
    found = {row["key"]: Details(records, {}).of(parity, row) for row in rows}
    assert found == {"eager": [0], "compiled": [1]}


def test_thinned_samples_say_how_many_each_stands_for():
    (found,) = Details([make_record(samples=(1.0,) * 700)], {}).to_json()["records"]
    assert found["each"] == 3
    (whole,) = Details([make_record(samples=(1.0,) * 10)], {}).to_json()["records"]
    assert "each" not in whole
