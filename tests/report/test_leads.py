"""The sentences that chapters begin with."""

from __future__ import annotations

import pytest

from bench.report.leads import counted


@pytest.mark.parametrize(
    ("words", "before", "sentence"),
    [
        ([], "", ""),
        (["faster"], "", "1 comparison: faster."),
        (["faster"] * 2, "", "Both comparisons: faster."),
        (["faster"] * 2, "BN: ", "BN: both comparisons: faster."),
        (["faster"] * 3, "", "All 3 comparisons: faster."),
        (["faster", "tie", "reference"], "", "Of 2 comparisons: 1 faster and 1 tie."),
    ],
)
def test_verdicts_are_counted(words: list[str], before: str, sentence: str) -> None:
    assert counted("verdict", before=before)([{"verdict": word} for word in words]) == sentence
