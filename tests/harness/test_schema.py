"""docs/records.md says what the code says."""

import dataclasses
from pathlib import Path

import pytest

from bench.core.case import Case
from bench.core.kinds import KINDS, Kind
from bench.core.records import Record, RecordStore
from bench.core.schema.metrics import METRICS, Metric
from bench.harness.interleaving.pooling import pooled
from bench.harness.schema import attributes, page
from bench.training.tracks import TRACKS, Track

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    written = (ROOT / "docs" / "records.md").read_text(encoding="utf-8")
    assert written == page(), "python -m bench.harness.schema > docs/records.md"


@pytest.mark.parametrize("cls", [Record, Case, Kind, Track, Metric])
def test_a_docstring_describes_every_field(cls: type) -> None:
    assert list(attributes(cls)) == [field.name for field in dataclasses.fields(cls)]


def test_every_row_is_on_the_page() -> None:
    names = {*KINDS, *TRACKS, *METRICS}
    assert names == {name for name in names if f"| `{name}` |" in page()}


RUNS = sorted((ROOT / "results").rglob("records.jsonl"))


def test_every_metric_of_the_published_records_has_a_row() -> None:
    found: dict[str, set[str]] = {}
    for path in RUNS:
        for record in RecordStore(path.parent).read():
            for name in record.metrics:
                found.setdefault(name, set()).add(record.kind)
    assert len(found) > 20
    assert {name: kinds for name, kinds in found.items() if name not in METRICS} == {}
    assert {
        name: kinds for name, kinds in found.items() if not kinds <= {*METRICS[name].kinds}
    } == {}


def test_the_kinds_of_a_metric_are_kinds() -> None:
    assert {kind for row in METRICS.values() for kind in row.kinds} <= set(KINDS)
    assert pooled([{"test_accuracy": 0.5}]) == {"test_accuracy": 0.5}
