"""The table of classes that are confused most."""

from __future__ import annotations

import dataclasses

import numpy as np

from bench.core.records import Record
from bench.report.chapters import per_class
from bench.report.tables import frame
from tests.support.synthetic import make_record

NAMES = ["cat", "dog", "ship"]


def record(counts: list[list[int]], seed: int = 0) -> Record:
    made = make_record(kind="accuracy", seed=seed)
    metrics = made.metrics | {"confusion": counts, "classes": NAMES}
    return dataclasses.replace(made, metrics=metrics)


def rows(*records: Record) -> list[dict[str, object]]:
    found: list[dict[str, object]] = frame(per_class.CONFUSIONS, records).to_dict("records")
    return found


def test_both_directions_count_and_seeds_are_added_up() -> None:
    found = rows(
        record([[6, 3, 1], [2, 8, 0], [0, 1, 9]]), record([[5, 5, 0], [0, 10, 0], [0, 0, 10]], 1)
    )
    first, second, *rest = found
    assert (first["rank"], first["one"], first["other"], first["images"]) == (1, "cat", "dog", 10)
    assert (first["one_as_other"], first["other_as_one"]) == (8 / 20, 2 / 20)
    assert {(row["one"], row["other"]) for row in (second, *rest)} == {
        ("cat", "ship"),
        ("dog", "ship"),
    }


def test_pairs_without_an_error_are_left_out() -> None:
    assert rows(record([[10, 0, 0], [0, 10, 0], [0, 1, 9]]))[0]["images"] == 1
    assert len(rows(record([[10, 0, 0], [0, 10, 0], [0, 1, 9]]))) == 1
    assert rows(record(np.diag([10, 10, 10]).tolist())) == []


def test_no_more_than_five_of_a_training() -> None:
    made = make_record(kind="accuracy")
    counts = (np.ones((10, 10), int) + 9 * np.eye(10, dtype=int)).tolist()
    metrics = made.metrics | {"confusion": counts, "classes": [f"c{i}" for i in range(10)]}
    found = rows(dataclasses.replace(made, metrics=metrics))
    assert [row["rank"] for row in found] == [1, 2, 3, 4, 5]
