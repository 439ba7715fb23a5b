"""Layers that the suite writes itself, beside the framework's own: the same, and timed in turns."""

import importlib
from types import SimpleNamespace
from typing import Any

import pytest

from bench.core.limits import Limits
from bench.report.chapters.speed.baselines import layer_rows
from bench.report.tables import TABLES
from bench.training.interfaces import LayerPair
from bench.worker.measurements import layers as measure_layers
from bench.worker.measurements.layers import layer_pairs
from tests.support.parts import results_of
from tests.support.synthetic_records.synthetic import make_record


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> tuple[list[dict[str, Any]], list[str]]:
    """What is told of a layer of 0.1 s beside one of 0.4 s, and the order of the calls."""
    clock, order = Clock(), list[str]()
    monkeypatch.setattr(measure_layers, "perf_counter", clock)

    def side(name: str, seconds: float) -> Any:
        def run() -> None:
            order.append(name)
            clock.now += seconds

        return run

    pair = LayerPair("lrn", (2, 3), "own", side("ours", 0.1), side("theirs", 0.4), lambda: 3e-7)
    module = SimpleNamespace(made=lambda setup: [pair])
    monkeypatch.setattr(importlib, "import_module", lambda name: module)
    row = SimpleNamespace(layer_pairs="somewhere:made")
    monkeypatch.setattr(measure_layers, "framework", lambda name: row)
    return layer_pairs(bench(Limits(layer_pairs=True, blocks=4, block_seconds=1.6))), order


def bench(limits: Limits, *, extras: bool = True) -> Any:
    return SimpleNamespace(
        setup=SimpleNamespace(case=SimpleNamespace(framework="some")),
        limits=limits,
        schedule=SimpleNamespace(extras=extras),
        progress=lambda done, note: None,
    )


def test_a_block_is_filled_and_the_sides_take_turns(
    measured: tuple[list[dict[str, Any]], list[str]],
) -> None:
    (told,), order = measured
    assert told["our_seconds"] == pytest.approx([0.1] * 4)
    assert told["their_seconds"] == pytest.approx([0.4] * 4)
    assert (told["layer"], told["shape"], told["theirs"]) == ("lrn", [2, 3], "own")
    assert told["largest_difference"] == 3e-7
    ours, theirs = ["ours"] * 4, ["theirs"]  # as many calls as fill a quarter of 1.6 s
    assert order[4:] == [*ours, *theirs, *theirs, *ours] * 2


@pytest.mark.parametrize(
    ("asked", "extras", "where"),
    [(False, True, "a:b"), (True, False, "a:b"), (True, True, None)],
)
def test_nothing_is_timed_unless_asked(
    monkeypatch: pytest.MonkeyPatch, asked: bool, extras: bool, where: str | None
) -> None:
    row = SimpleNamespace(layer_pairs=where)
    monkeypatch.setattr(measure_layers, "framework", lambda name: row)
    monkeypatch.setattr(importlib, "import_module", lambda name: pytest.fail(name))
    assert layer_pairs(bench(Limits(layer_pairs=asked), extras=extras)) == []


@pytest.mark.parametrize("track", ["closed", "idiomatic"])
def test_the_table_says_how_many_times_faster(track: str) -> None:
    layer = {
        "layer": "conv1_lrn",
        "shape": [64, 96, 55, 55],
        "theirs": "torch.nn.LocalResponseNorm",
        "our_seconds": [0.1, 0.1, 0.1],
        "their_seconds": [0.4, 0.5, 0.6],
        "largest_difference": 1e-7,
    }
    record = make_record(kind="train_throughput", track=track, metrics={"layers": [layer]})
    table = next(table for table in TABLES if table.name == "layers")
    assert table.rows is layer_rows
    (row,) = layer_rows(results_of([record, make_record(kind="latency")]))
    assert row["ratio"] == pytest.approx(5)
    assert row["shape"] == "64x96x55x55"
    cells = {column.header: column.show(row) for column in table.columns([row])}
    assert (cells["ours (ms)"], cells["theirs (ms)"]) == ("100", "500")
    assert cells["theirs / ours"] == "5.00x"
    assert ("parity" in cells) == (track == "closed")
