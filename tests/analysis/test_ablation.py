"""The ablation of defaults: rows, table and plot, from synthetic records."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_ind

from bench.analysis.ablation import GAP_DEFAULTS, GAP_SHARED, ablation_rows, steady_rate
from bench.analysis.experiments import Data, experiments
from bench.core.records import Record
from bench.networks.variants import variant
from bench.report import plots
from bench.report.chapters.learning.ablation import columns, defaults, gap_lines
from bench.report.html import write_results
from bench.report.plot_style import Drawing, Plot, style
from bench.report.plots import write_plots
from bench.report.summary import headlines, what_was_run
from bench.report.tables import TABLES, as_markdown, frame, sections, write_tables
from bench.training.defaults import OWN, chain
from bench.training.frameworks import framework
from bench.training.tracks import ABLATION
from tests.support.parts import part_of
from tests.support.synthetic_records.synthetic import DATASET, make_failure, make_run
from tests.support.synthetic_records.synthetic_waterfall import (
    FRAMEWORKS,
    SPEED,
    made,
    make_waterfall,
)

DATA = Data(str(DATASET["name"]), str(DATASET["fingerprint"]))
TABLE = next(table for table in TABLES if table.name == "ablation")


def row(rows: list[dict[str, Any]], name: str, stage: str) -> dict[str, Any]:
    (found,) = [r for r in rows if r["framework"] == name and r["stage"] == stage]
    return found


def shown(records: list[Record]) -> list[dict[str, str]]:
    (section,) = sections(TABLE, records)
    return [dict(zip(section.headers, cells, strict=True)) for cells in section.cells]


def test_a_change_is_to_the_stage_before_and_paired_by_seed() -> None:
    rows = ablation_rows(make_waterfall(), DATA)
    momentum = row(rows, "keras-tensorflow", "bn-momentum")
    assert momentum["accuracy"] == pytest.approx(0.66)
    # Seeds differ by far more than the change does from seed to seed.
    assert momentum["accuracy_high"] - momentum["accuracy_low"] > 0.04
    assert [momentum[k] for k in ("delta", "delta_low", "delta_high")] == pytest.approx([0.2] * 3)
    layout = row(rows, "pytorch", "layout")
    # Trainings of a seed share batches and weights, and nothing that makes them as fast.
    assert layout["ratio"] == pytest.approx(1.5)
    assert layout["ratio_low"] < 1.45
    assert layout["ratio_high"] > 1.55
    assert layout["delta"] == pytest.approx(0, abs=1e-12)


def test_each_execution_of_a_framework_has_stages_of_its_own() -> None:
    eager = [made("pytorch", OWN, seed, accuracy=0.4, rate=100) for seed in range(3)]
    compiled = [
        replace(r, case=replace(r.case, execution="compiled"), samples=(0.5,)) for r in eager
    ]
    first, second = (r for r in ablation_rows([*eager, *compiled], DATA) if r["stage"] == OWN)
    assert [(r["execution"], r["accuracy"], r["seeds"]) for r in (first, second)] == [
        ("eager", pytest.approx(0.4), 3),
        ("compiled", pytest.approx(0.5), 3),
    ]
    assert not [r for r in ablation_rows([*eager, *compiled], DATA) if r["status"] == "gap"]
    cells = [c for c in shown([*eager, *compiled]) if c["switched"] == "framework defaults"]
    assert [c["execution"] for c in cells] == ["—", "compiled"]


def test_interval_of_a_change_is_students_over_the_pairs() -> None:
    values = {OWN: (0.40, 0.50, 0.45), "initialisation": (0.42, 0.56, 0.49)}
    records = [
        made("pytorch", stage, seed, accuracy=accuracy, rate=100 * (1 + (stage != OWN)))
        for stage, accuracies in values.items()
        for seed, accuracy in enumerate(accuracies)
    ]
    found = row(ablation_rows(records, DATA), "pytorch", "initialisation")
    assert found["delta"] == pytest.approx(0.04)
    reach = 4.302653 * 0.02 / math.sqrt(3)  # t of 2 degrees of freedom, table; deviation 0.02
    assert found["delta_low"] == pytest.approx(0.04 - reach, rel=1e-6)
    assert found["delta_high"] == pytest.approx(0.04 + reach, rel=1e-6)
    assert found["ratio"] == pytest.approx(2)


def test_speed_is_taken_behind_the_first_evaluated_point() -> None:
    record = made("pytorch", OWN, 0, accuracy=0.5, rate=250)
    assert steady_rate(record) == pytest.approx(250)
    short = replace(record, metrics={**record.metrics, "curve": record.metrics["curve"][:1]})
    assert steady_rate(short) is None
    found = row(ablation_rows([short], DATA), "pytorch", OWN)
    assert math.isnan(found["images_per_second"])
    assert found["accuracy"] == pytest.approx(0.5)


def test_stages_that_are_already_default_have_a_row_and_no_figures() -> None:
    rows = ablation_rows(make_waterfall(), DATA)
    for name in FRAMEWORKS:
        measured = [
            r["stage"] for r in rows if r["framework"] == name and r["status"] == "measured"
        ]
        assert measured == chain(variant("cifar-bn").architecture(), name)
    already = row(rows, "pytorch", "bn-momentum")
    assert already["status"] == "already its default"
    assert already["seeds"] == 0
    assert all(math.isnan(already[k]) for k in ("accuracy", "delta", "images_per_second", "ratio"))
    (cells,) = [c for c in shown(make_waterfall()) if c["switched"] == "BatchNorm momentum"][:1]
    assert cells["from → to"] == "0.9"
    assert cells["seeds"] == "already its default"
    assert {cells[k] for k in ("test accuracy", "images/s", "change (x)")} == {"—"}


def test_networks_have_the_stages_of_their_layers() -> None:
    rows = ablation_rows(make_waterfall() + make_waterfall(name="cifar-lrn"), DATA)
    stages = {
        name: {r["stage"] for r in rows if r["variant"] == name}
        for name in ("cifar-bn", "cifar-lrn")
    }
    assert {"bn-eps", "bn-momentum", "bn-variance"} == stages["cifar-bn"] - stages["cifar-lrn"]
    assert {"lrn"} == stages["cifar-lrn"] - stages["cifar-bn"]


def test_gap_between_frameworks_at_both_ends() -> None:
    rows = ablation_rows(make_waterfall(), DATA)
    assert [r["stage"] for r in rows][-2:] == [GAP_DEFAULTS, GAP_SHARED]
    pair = "keras-tensorflow − pytorch"
    assert row(rows, pair, GAP_DEFAULTS)["delta"] == pytest.approx(0, abs=1e-12)
    shared = row(rows, pair, GAP_SHARED)
    assert shared["delta"] == pytest.approx(0.2 - 0.03)
    assert shared["ratio"] == pytest.approx(1 / math.prod(SPEED.values()))
    (line,) = gap_lines(rows)
    assert line.startswith("cifar-bn: gap between the frameworks (keras-tensorflow − pytorch): at")
    assert re.search(r"framework defaults [+-]0.0 \[[+-]0.0, [+-]0.0\] points and 1.00x", line)
    assert "→ at shared ones +17.0 [+17.0, +17.0] points and 0.46x" in line
    assert shared["pairs"] == 3


def test_seeds_that_share_nothing_are_no_pairs() -> None:
    """Planted: at framework defaults each framework orders its batches and draws its weights."""
    records = [
        replace(
            r, settings={**r.settings, "batch_plan_sha256": f"{r.case.framework} {r.case.seed}"}
        )
        for r in make_waterfall()
    ]
    values = {"pytorch": (0.40, 0.50, 0.45), "keras-tensorflow": (0.21, 0.32, 0.26)}
    records = [
        replace(r, samples=(values[r.case.framework][r.case.seed],))
        if r.case.defaults == OWN
        else r
        for r in records
    ]
    gap = row(ablation_rows(records, DATA), "keras-tensorflow − pytorch", GAP_DEFAULTS)
    wanted = ttest_ind(values["keras-tensorflow"], values["pytorch"], equal_var=False)
    low, high = wanted.confidence_interval(0.95)
    assert (gap["delta_low"], gap["delta_high"]) == pytest.approx((low, high))
    assert high - low > 0.2  # pairs of the same numbers: 0.03
    assert gap["pairs"] is None
    assert gap["seeds"] == 3


def test_networks_that_differ_in_a_setting_keep_gaps_of_their_own() -> None:
    other = [replace(r, case=replace(r.case, batch_size=64)) for r in make_waterfall()]
    lines = gap_lines(ablation_rows([*make_waterfall(), *other], DATA))
    assert [line.partition(":")[0] for line in lines] == [
        "cifar-bn · batch 128",
        "cifar-bn · batch 64",
    ]


def test_failed_seeds_are_counted_and_left_out_of_pairs() -> None:
    records = [
        r for r in make_waterfall() if not (r.case.defaults == "layout" and r.case.seed == 1)
    ]
    failed = make_failure(
        framework="pytorch", track=ABLATION, defaults="layout", seed=1, recipe="ablation"
    )
    rows = ablation_rows([*records, failed], DATA)
    layout = row(rows, "pytorch", "layout")
    assert (layout["seeds"], layout["failed"]) == (2, 1)
    assert layout["ratio"] == pytest.approx(1.5, rel=1e-2)
    cells = [c for c in shown([*records, failed]) if c["switched"] == "memory layout"]
    assert cells[0]["seeds"] == "2 of 3 (1 failed)"
    assert "layout" in as_markdown(next(t for t in TABLES if t.name == "failures"), [failed])


def without_shuffle() -> list[Record]:
    return [r for r in make_waterfall() if r.case.defaults != "shuffle"]


def failed_shuffle() -> Record:
    return make_failure(
        framework="pytorch", track=ABLATION, defaults="shuffle", seed=1, recipe="ablation"
    )


def test_a_stage_that_failed_breaks_the_chain_openly() -> None:
    """The next stage has nothing to be compared with: its change would hold two switches."""
    records = [*without_shuffle(), failed_shuffle()]
    rows = ablation_rows(records, DATA)
    assert row(rows, "pytorch", "shuffle")["seeds"] == 0
    assert math.isnan(row(rows, "pytorch", "layout")["ratio"])
    cells = {c["switched"]: c for c in shown(records) if c["framework"] == "pytorch"}
    assert cells["order of images"]["seeds"] == "0 of 1 (1 failed)"
    assert cells["memory layout"]["change (x)"] == "—"
    assert cells["memory layout"]["images/s"] != "—"


def test_a_stage_that_was_not_asked_for_is_passed_over() -> None:
    rows = ablation_rows(without_shuffle(), DATA)
    assert math.isnan(row(rows, "pytorch", "shuffle")["ratio"])
    assert row(rows, "pytorch", "layout")["ratio"] == pytest.approx(1.5 * 1.25)
    cells = {c["switched"]: c for c in shown(without_shuffle()) if c["framework"] == "pytorch"}
    assert cells["order of images"]["seeds"] == "not run"


def test_a_diverged_seed_counts_and_is_named() -> None:
    records = make_waterfall()
    worst = records[0]
    diverged = replace(worst, metrics={**worst.metrics, "diverged": True})
    first = shown([diverged, *records[1:]])[0]
    assert first["seeds"] == "3 (1 diverged)"


def test_one_seed_has_values_and_no_intervals() -> None:
    rows = ablation_rows(make_waterfall(seeds=1), DATA)
    found = row(rows, "keras-tensorflow", "bn-momentum")
    assert found["delta"] == pytest.approx(0.2)
    assert found["delta_low"] is found["ratio_high"] is None
    assert "[" not in "".join(shown(make_waterfall(seeds=1))[1].values())


def test_one_framework_alone_has_no_gap() -> None:
    rows = ablation_rows(make_waterfall(frameworks=("pytorch",)), DATA)
    assert rows
    assert {r["framework"] for r in rows} == {"pytorch"}
    assert gap_lines(rows) == []


def test_records_of_somebody_elses_extension_are_tabled() -> None:
    records = [
        replace(r, case=replace(r.case, framework="theirs", variant="small"))
        for r in make_waterfall(frameworks=("pytorch",))
    ]
    stages = [r["stage"] for r in ablation_rows(records, DATA)]
    assert stages == chain(variant("cifar-bn").architecture(), "pytorch")


@pytest.mark.slow
def test_the_other_tables_and_plots_know_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = make_run()
    both = [*others, *make_waterfall()]
    assert experiments(both, ("accuracy",)) == experiments(others, ("accuracy",))
    for table in TABLES:
        if table.name not in ("ablation", "failures"):
            assert as_markdown(table, both) == as_markdown(table, others)

    def named(drawing: Drawing, folder: Path, table: str, **_: object) -> Plot:
        """Drawn, and not written: names are compared, and files take longer than all else."""
        return Plot(table, drawing.name, drawing.title, drawing.how, folder / drawing.name, None)

    monkeypatch.setattr(plots, "save", named)
    plain = {p.name for p in write_plots(others, tmp_path / "a")}
    drawn = {p.name for p in write_plots(both, tmp_path / "b")}
    assert drawn - plain == {"defaults_ablation"}
    assert plain < drawn


def test_other_records_make_no_waterfall(tmp_path: Path) -> None:
    assert ablation_rows(make_run(), DATA) == []
    assert not any("ablation" in path.name for path in write_tables(make_run(), tmp_path))


def test_csv_has_the_raw_estimates_and_the_reasons() -> None:
    table = frame(TABLE, make_waterfall())
    assert {"stage", "default", "shared", "why", "delta_low", "ratio_high"} <= set(table.columns)
    assert (table["fingerprint"] == DATASET["fingerprint"]).all()
    momentum = table[(table["framework"] == "keras-tensorflow") & (table["stage"] == "bn-momentum")]
    assert momentum["delta"].item() == pytest.approx(0.2)
    assert momentum["default"].item() == framework("keras-tensorflow").defaults.words["bn-momentum"]  # type: ignore[union-attr]


def test_every_row_has_every_cell() -> None:
    rows = ablation_rows(make_waterfall(), DATA)
    for column in columns(rows):
        assert all(column.show(r) for r in rows), column.header


def test_report_shows_table_plot_and_gap(tmp_path: Path) -> None:
    page = write_results(make_waterfall(), tmp_path).read_text(encoding="utf-8")
    assert 'id="ablation"' in page
    assert page.count("<figure") == 1
    assert "gap between the frameworks (keras-tensorflow − pytorch)" in page
    assert "already its default" in page
    assert headlines(make_waterfall())[0].title.startswith("Ablation of defaults on cifar10")
    assert "ablation track" in what_was_run(make_waterfall())


def texts(svg: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]+)</text>", svg.read_text(encoding="utf-8"))


def test_plot_has_a_figure_for_every_stage_that_was_measured(tmp_path: Path) -> None:
    records = make_waterfall() + make_waterfall(name="cifar-lrn")
    (plot,) = write_plots(records, tmp_path)
    found = [text.partition(" [")[0] for text in texts(plot.svg)]
    assert found.count("+20.0") == 1  # BatchNorm's momentum, in Keras
    assert found.count("−3.0") + found.count("-3.0") == 2  # weight decay, on both networks
    assert found.count("+50.0") == 2  # layout, on both networks
    assert "memory layout" in found
    assert found.count("already its default") == 2 * sum(
        r["status"] == "already its default" for r in ablation_rows(records, DATA)
    )
    assert plot.png.stat().st_size > 10_000


def test_plot_says_where_there_is_no_result(tmp_path: Path) -> None:
    (plot,) = write_plots([*without_shuffle(), failed_shuffle()], tmp_path)
    assert texts(plot.svg).count("no result") == 2
    assert texts(plot.svg).count("no result before it") == 2
    (plot,) = write_plots(without_shuffle(), tmp_path)
    assert texts(plot.svg).count("not run") == 2
    assert "no result before it" not in texts(plot.svg)


def test_a_huge_interval_does_not_hide_the_bars(tmp_path: Path) -> None:
    """Two seeds whose speeds part give an interval of a million percent: it ends in an arrow."""
    rates = {OWN: (300, 400), "fused-update": (900, 60)}
    records = [
        made("pytorch", stage, seed, accuracy=0.5, rate=rate)
        for stage, both in rates.items()
        for seed, rate in enumerate(both)
    ]
    found = row(ablation_rows(records, DATA), "pytorch", "fused-update")
    assert found["ratio_high"] > 10
    assert shown(records)[1]["change (x)"].endswith(", >100]")
    with style():
        drawing = defaults(part_of(records))
    assert drawing is not None
    right = drawing.figure.axes[1]
    (bar,) = right.patches
    low, high = right.get_xlim()
    assert bar.get_width() == pytest.approx(100 * (found["ratio"] - 1))
    assert abs(bar.get_width()) > 0.1 * (high - low)
    assert {line.get_marker() for line in right.lines} >= {">"}  # downwards nothing is below -100 %


def test_what_one_seed_gives_is_a_hollow_mark_without_a_bar() -> None:
    with style():
        drawing = defaults(part_of(make_waterfall(seeds=1)))
        assert drawing is not None
    marks = []
    for axes in drawing.figure.axes:
        assert not axes.patches
        marks += [line for line in axes.lines if line.get_marker() == "D"]
        figures = [text.get_text() for text in axes.texts if text.get_text()[0] in "+-"]
        assert figures
        assert all(words.endswith(", one seed") for words in figures)
    assert {mark.get_markerfacecolor() for mark in marks} == {"white"}


def test_an_inconclusive_bar_is_hollow() -> None:
    with style():
        drawing = defaults(part_of(make_waterfall()))
        assert drawing is not None
        left = drawing.figure.axes[0]
        filled = [bar.get_width() for bar in left.patches if bar.get_facecolor()[:3] != (1, 1, 1)]
    assert [round(width) for width in filled if abs(width) > 1e-6]
    assert len(filled) < len(left.patches)


def test_nothing_of_the_plot_is_cut_off(tmp_path: Path) -> None:
    """Bars lie within their panels, and figures after them without touching the next panel."""
    with style():
        drawing = defaults(part_of(make_waterfall() + make_waterfall(name="cifar-lrn")))
        assert drawing is not None
        drawing.figure.canvas.draw()
        whole = drawing.figure.bbox
        for axes in drawing.figure.axes:
            low, high = axes.get_xlim()
            assert low < axes.dataLim.x0 <= axes.dataLim.x1 < high
            panel = axes.get_window_extent()
            names = [text for text in axes.texts if text.get_ha() == "right"]
            for text in set(axes.texts) - set(names):
                box = text.get_window_extent()
                assert panel.x0 - 1 <= box.x0
                others = [a.get_window_extent().x0 for a in drawing.figure.axes]
                assert box.x1 <= min([x for x in others if x > panel.x1] or [whole.x1]) + 1
            for label in (*names, axes.title, axes._left_title):
                box = label.get_window_extent()
                assert whole.x0 <= box.x0
                assert box.x1 <= whole.x1
            assert np.isfinite(axes.dataLim.get_points()).all()


def test_a_resumed_training_has_no_steady_rate() -> None:
    """Trace and compile of its second process are in a stretch between two evaluations."""
    record = next(r for r in make_waterfall() if r.ok)
    assert steady_rate(record) is not None
    assert steady_rate(replace(record, metrics={**record.metrics, "parts": 2})) is None


def test_images_per_second_of_two_machines_are_not_compared() -> None:
    records = [
        replace(record, environment={**record.environment, "cpu": "another"})
        if record.case.framework == "keras-tensorflow"
        else record
        for record in make_waterfall()
    ]
    rows = ablation_rows(records, DATA)
    gaps = [row for row in rows if row["status"] == "gap" and "tensorflow" in row["framework"]]
    assert gaps
    for gap in gaps:
        assert math.isnan(gap["ratio"])
        assert not math.isnan(gap["delta"])
        assert gap["not_compared"].startswith("in images/s: cpu another against ")
    own = row(rows, "keras-tensorflow", "bn-momentum")
    assert own["ratio"] > 0
    assert (
        "keras-tensorflow is not compared with pytorch at shared defaults on cifar-bn: in "
        "images/s: cpu another against Example CPU 9000"
    ) in as_markdown(TABLE, records)


def test_a_gap_has_the_sign_of_a_caveat_at_either_end() -> None:
    caveat = {"on": "all", "why": "elsewhere"}
    records = [
        replace(record, caveats=(caveat,)) if record.case.defaults == OWN else record
        for record in make_waterfall()
    ]
    assert all("‡" in line.partition(":")[0] for line in gap_lines(ablation_rows(records, DATA)))
