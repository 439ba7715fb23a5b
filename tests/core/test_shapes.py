"""A record is taken only where its parts are what its readers take them for."""

import json
from typing import Any

import pytest

from bench.core.errors import UserError
from bench.core.records import record_of_line
from tests.support.synthetic_records.synthetic import make_record


def line(**changes: Any) -> bytes:
    record = make_record(kind="accuracy").to_json()
    metrics = {**record["metrics"], **changes.pop("metrics", {})}
    return json.dumps({**record, **changes, "metrics": metrics}).encode()


@pytest.mark.parametrize(
    ("metrics", "place"),
    [
        ({"thresholds": ["a"]}, "thresholds[0]"),
        ({"confusion": [[1], [1, 2]]}, "confusion"),
        ({"confusion": [[1, "x"], [1, 2]]}, "confusion"),
        ({"ceiling": {"flops_per_second": "x"}}, "ceiling"),
        ({"overhead": {"harness": ["x"], "loop": [1.0]}}, "overhead"),
        ({"energy": {"joules": "x"}}, "energy"),
    ],
)
def test_a_metric_is_checked_within(metrics: dict[str, Any], place: str) -> None:
    record_of_line(line(), "here")
    with pytest.raises(UserError) as raised:
        record_of_line(line(metrics=metrics), "here")
    assert place in str(raised.value)
    assert "must be" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"started_at": "/"},
        {"started_at": "2026-13-01"},
        {"parity": {"figures": 3}},
        {"environment": {"versions": [1]}},
        {"summary": {"images_per_second": "fast"}},
    ],
)
def test_a_field_is_checked_within(changes: dict[str, Any]) -> None:
    (name,) = changes
    with pytest.raises(UserError, match=name):
        record_of_line(line(**changes), "here")
