"""The sentences that chapters begin with."""

from __future__ import annotations

import dataclasses

import pytest

from bench.analysis.rows import Row
from bench.report.leads import compared, counted, extremes
from tests.support.synthetic_records.synthetic import make_record


def rows_of(words: list[str], kinds: list[str] | None = None) -> list[Row]:
    case = dataclasses.asdict(make_record(kind="inference").case)
    some = kinds or ["inference"] * len(words)
    return [{**case, "verdict": word, "kind": of} for word, of in zip(words, some, strict=True)]


@pytest.mark.parametrize(
    ("words", "before", "sentence"),
    [
        ([], "", ""),
        (["faster"] * 4, "", "All 4 comparisons: faster."),
        (["faster"] * 4, "BN: ", "BN: all 4 comparisons: faster."),
        (["faster"] * 3 + ["tie", "reference"], "", "Of 4 comparisons: 3 faster and 1 tie."),
    ],
)
def test_verdicts_are_counted(words: list[str], before: str, sentence: str) -> None:
    assert counted("verdict", before=before)(rows_of(words)) == sentence


def test_few_comparisons_are_named_with_what_tells_them_apart() -> None:
    rows = rows_of(["faster", "faster", "tie"], ["train_throughput", "inference", "latency"])
    name = f"{rows[0]['variant']} in {rows[0]['framework']}"
    assert counted("verdict")(rows) == (
        f"Faster: {name} (training and inference); tie: {name} (latency)."
    )
    assert counted("verdict", before="Speed: ")(rows[:1]) == f"Speed: faster: {name}."


def test_comparisons_say_with_what() -> None:
    rows = rows_of(["faster"] * 4 + ["tie"])
    against = [*["pytorch"] * 4, "its own cifar-plain"]
    rows = [{**row, "reference": name} for row, name in zip(rows, against, strict=True)]
    name = f"{rows[0]['variant']} in {rows[0]['framework']}"
    assert compared("verdict")(rows) == (
        f"All 4 comparisons with pytorch: faster. Tie compared with their own cifar-plain: {name}."
    )


def test_the_ends_of_a_range_are_told_apart() -> None:
    first, last = rows_of(["", ""], ["train_throughput", "inference"])
    sentence = extremes("From", "value", str)([{**first, "value": 1}, {**last, "value": 2}])
    name = f"{first['variant']} in {first['framework']}"
    assert sentence == f"From 1 ({name}, training) to 2 ({name}, inference)."
