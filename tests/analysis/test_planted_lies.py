"""Twelve kinds of false figures, each planted into a run: audit, table or plot refuses it.

The kinds are those that published pages once had. A test plants the lie into records and asks for
what a reader would see. Edits of published records are in `test_planted_lies_published.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.audit.checks import audit
from bench.core.errors import UserError
from bench.core.records import Record, RecordStore
from bench.report.blocks import stale
from bench.report.chapters.learning.accuracy import accuracy_curves
from bench.report.chapters.speed.interleaved import SPEEDS
from bench.report.format import RATIO
from bench.report.html import write_results
from bench.report.plot_style import Drawing, style
from bench.report.plots import write_plots
from bench.report.summary import headlines, warnings
from bench.report.tables import TABLES, as_markdown, frame
from tests.support.parts import part_of
from tests.support.synthetic_records.synthetic import (
    FAILED_PARITY,
    OTHER_DATASET,
    make_record,
)

TABLE = {table.name: table for table in TABLES}
KERAS = "keras-tensorflow"


def timed(framework: str, processes: Sequence[Sequence[float]], **changes: Any) -> Record:
    """Training blocks by process, interleaved with the other records that this function makes."""
    record = make_record(framework=framework, kind="train_throughput", **changes)
    blocks = [[p, turn, 1] for p, some in enumerate(processes) for turn in range(len(some))]
    turns = {"group": "one", "blocks": blocks, "stopped": "precision", "precision_goal": 0.03}
    metrics = {**record.metrics, "interleaving": turns, "machine": {"load": [0.0]}}
    samples = tuple(seconds for some in processes for seconds in some)
    return replace(record, samples=samples, images_per_sample=100, metrics=metrics)


def trained(framework: str, accuracy: float, seed: int = 0, **changes: Any) -> Record:
    record = make_record(framework=framework, kind="accuracy", seed=seed, **changes)
    return replace(record, samples=(accuracy,))


def findings(records: Sequence[Record]) -> dict[str, str]:
    lines: dict[str, str] = {}
    for finding in audit(records):
        lines[finding.check] = lines.get(finding.check, "") + finding.line
    return lines


def rows(table: str, records: Sequence[Record]) -> list[dict[str, Any]]:
    return frame(TABLE[table], records).to_dict("records")  # type: ignore[return-value]


def text(records: Sequence[Record], *names: str) -> str:
    return "\n".join(as_markdown(TABLE[name], records) for name in names or TABLE)


def drawn(function: Any, records: Sequence[Record]) -> Drawing:
    with style():
        drawing: Drawing = function(part_of(records))
    return drawing


SPREAD = (0.9, 1.0, 1.1)
"""Blocks of a process on a machine that is not quiet."""


def test_1_epochs_that_last_a_sleep_are_found_and_their_speed_leaves_all_tables() -> None:
    """`fit` slept until 20.49 s had passed; "487 images/s" was the length of a sleep."""
    slept = []
    for number, (variant, seed) in enumerate(
        (variant, seed) for variant in ("cifar-bn", "cifar-lrn", "cifar-plain") for seed in range(3)
    ):
        record = trained(KERAS, 0.5, seed, variant=variant)
        second = 14.6 + 0.3 * number if seed == 2 else 20.49 + 0.0001 * number
        curve = [
            {"epoch": float(e), "images": 9984 * e, "seconds": s, "test_accuracy": 0.4}
            for e, s in enumerate((0.0, 23.1 + number, 23.1 + number + second))
        ]
        slept.append(replace(record, metrics={**record.metrics, "curve": curve}))
    assert "a sleep or a quantised clock" in findings(slept)["durations"]
    caveat = {"on": "seconds", "why": "fit slept"}
    told = [replace(record, caveats=(caveat,)) for record in slept]
    hidden = [replace(r, caveats=({"on": "speed", "why": "slow"},)) for r in slept]
    assert "durations" in findings(hidden)  # a footnote does not make a sleep a measurement
    assert "durations" not in findings(told)
    assert {row["timed"] for row in rows("time_to_accuracy", slept)} == {3}
    assert {row["timed"] for row in rows("time_to_accuracy", told)} == {0}  # images alone
    assert "fit slept" in text(told, "time_to_accuracy")


def test_2_a_busy_machine_gives_no_verdict_from_one_process() -> None:
    """One process, three pairs: "4.06x (faster)" where a quiet machine ties."""
    busy = [timed("pytorch", [[4.0, 4.1, 4.2]]), timed(KERAS, [[1.0, 1.01, 1.02]])]
    for table in ("throughput", "interleaved"):
        (row,) = (r for r in rows(table, busy) if r["framework"] == KERAS)
        assert row["ratio"] == pytest.approx(4.06, rel=0.02)
        assert row["verdict"] == "inconclusive"
    assert "one process" in findings(busy)["interval"]
    unknown = [replace(r, metrics={**r.metrics, "machine": None}) for r in busy]
    assert "do not say what else ran" in findings(unknown)["load"]
    (lines,) = headlines(busy)
    assert not re.search(r"\((faster|slower)\)", " ".join(lines.lines))


def test_3_a_tie_is_not_called_where_nothing_is_known() -> None:
    """[0.36x, 3.5x] was a tie."""
    wide = [timed("pytorch", [SPREAD, SPREAD]), timed(KERAS, [(0.3, 1.0, 3.0), (2.6, 1.1, 0.4)])]
    (row,) = rows("interleaved", wide)
    assert row["ratio_low"] < 1 / 1.1 < 1.1 < row["ratio_high"]
    assert row["verdict"] == "inconclusive"
    assert row["detectable"] > 0.5
    assert "detectable ±" in findings(wide)["interval"]


@pytest.mark.parametrize("factor", [1.1, 3.0, 40.0])
def test_4_no_interval_is_cut_without_a_sign(factor: float) -> None:
    """Ends at 1.49, 1.41 and 1.29 were all drawn at 1.265."""
    apart = [(1.0, 1.0, 1.0), (factor, factor, factor)]
    records = [timed("pytorch", [(1.0, 1.0, 1.0)] * 2), timed(KERAS, apart)]
    (row,) = rows("interleaved", records)
    (axes,) = drawn(SPEEDS.draw, records).figure.axes
    left, right = axes.get_xlim()
    line = next(
        x for line in axes.lines if len(x := list(line.get_xdata())) == 2 and x[0] != x[1] != 1
    )
    said = [label.get_text() for label in axes.texts]
    arrows = {line.get_marker() for line in axes.lines}
    ends = zip(line, (row["ratio_low"], row["ratio_high"]), "<>", strict=True)
    for drawn_end, end, arrow in ends:
        assert left <= drawn_end <= right
        if drawn_end != pytest.approx(end):
            assert arrow in arrows
            assert RATIO.end_with_unit(end) in said
    if row["ratio_high"] / row["ratio_low"] > 4:
        assert axes.get_xscale() == "log"


def test_5_never_is_not_said_of_what_was_not_asked() -> None:
    """A training that ended at 85 % was listed as never having reached 30 %."""
    record = trained("pytorch", 0.85)
    other = trained(KERAS, 0.84)
    metrics = {**record.metrics, "thresholds": [{"accuracy": 0.5, "seconds": 1.0, "images": 9}]}
    asked = [{"accuracy": a, "seconds": 2.0, "images": 9} for a in (0.3, 0.5)]
    records = [
        replace(record, metrics=metrics),
        replace(other, metrics={**other.metrics, "thresholds": asked}),
    ]
    found = {(r["framework"], r["threshold"]) for r in rows("time_to_accuracy", records)}
    assert found == {("pytorch", 0.5), (KERAS, 0.5), (KERAS, 0.3)}
    assert "never" not in text(records, "time_to_accuracy").partition("###")[2]


def test_6_seeds_that_share_nothing_are_no_pairs() -> None:
    """17.6 points [16.1, 19.1] paired seeds of other batches; Welch's interval is far wider."""
    ours, theirs = (0.60, 0.62, 0.64), (0.42, 0.44, 0.47)
    records = [
        *(trained("pytorch", a, seed) for seed, a in enumerate(ours)),
        *(trained(KERAS, a, seed) for seed, a in enumerate(theirs)),
    ]
    (paired,) = rows("accuracy_differences", records)
    assert paired["method"] == "paired by seed"
    alone = [
        replace(r, settings={**r.settings, "batch_plan_sha256": f"{r.case.framework} {i}" * 8})
        for i, r in enumerate(records)
    ]
    assert "share no batches" in findings(alone)["seeds"]
    idiomatic = [
        replace(r, case=replace(r.case, track="idiomatic"), parity={"status": "not applicable"})
        for r in alone
    ]
    (row,) = rows("accuracy_differences", idiomatic)
    assert row["method"] == "Welch"
    assert row["high"] - row["low"] > 2 * (paired["high"] - paired["low"])


def test_7_another_network_under_the_same_name_gets_no_ratio() -> None:
    """tanh for ReLU was "verified". What did not pass stands apart, and no speed is compared."""
    honest, other = timed("pytorch", [SPREAD] * 2), timed(KERAS, [SPREAD] * 2, parity=FAILED_PARITY)
    assert findings([honest, other])["certificate"].startswith("certificate: cifar-bn/keras")
    (row,) = (r for r in rows("throughput", [honest, other]) if r["framework"] == KERAS)
    assert row["ratio"] != row["ratio"]  # not a number
    assert rows("interleaved", [honest, other]) == []
    assert "Uncertified" in text([honest, other], "throughput")


def test_8_one_comparison_has_one_ratio() -> None:
    """1.11x in one table and 1.24x in another, of the same two rows."""
    records = [
        timed("pytorch", [(1.0, 2.0, 3.0), (1.5, 2.5, 3.5)]),
        timed(KERAS, [(0.7, 1.7, 2.4), (1.1, 2.1, 2.8)]),  # the ratio of medians is another one
        *(make_record(framework=name, kind="startup") for name in ("pytorch", KERAS)),
    ]
    ratios = {
        table: row["ratio"]
        for table in ("throughput", "interleaved", "break_even")
        for row in rows(table, records)
        if row["framework"] == KERAS
    }
    assert len(ratios) == 3
    assert len(set(ratios.values())) == 1
    shown = re.findall(rf"{KERAS} .*?(\d\.\d\dx)", text(records, *ratios))
    assert len(shown) == 3
    assert set(shown) == {f"{ratios['throughput']:.2f}x"}


def test_9_rows_of_unlike_conditions_are_not_compared() -> None:
    """Signs turned round between runs, since what was compared had not the same machine."""
    pytorch, keras = timed("pytorch", [SPREAD] * 2), timed(KERAS, [SPREAD] * 2)
    threads = {**keras.settings, "threads": {"intra_op": 1, "inter_op": 1}}
    unlike = [pytorch, replace(keras, settings=threads)]
    assert "threads.intra_op" in findings(unlike)["comparability"]
    (row,) = rows("interleaved", unlike)
    assert row["verdict"] == "not comparable"
    assert drawn(SPEEDS.draw, unlike) is None
    other = {**keras.environment, "versions": {"keras": "3.0.0"}}
    assert (
        "versions.keras differs"
        in findings([pytorch, replace(keras, environment=other)])["environment"]
    )


@pytest.mark.usefixtures("undrawn")
def test_10_seconds_that_say_nothing_are_in_no_table_and_no_plot(tmp_path: Path) -> None:
    """7,320 s of a training that had been stopped stood next to 737 s."""
    caveat = {"on": "seconds", "why": "stopped and continued"}
    records = [
        trained("pytorch", 0.8),
        replace(trained(KERAS, 0.8), caveats=(caveat,)),
        timed("pytorch", [SPREAD] * 2),
        replace(timed(KERAS, [SPREAD] * 2), caveats=(caveat,)),
    ]
    shown = {name: [r["framework"] for r in rows(name, records)] for name in TABLE}
    for table in ("throughput", "clock"):
        assert set(shown[table]) == {"pytorch"}
        assert "stopped and continued" in text(records, table)
    assert {r["framework"] for r in rows("time_to_accuracy", records) if r["timed"]} == {"pytorch"}
    assert "stopped and continued" in text(records, "time_to_accuracy")
    assert KERAS in shown["accuracy"]  # the accuracy stands
    (row,) = (r for r in rows("accuracy", records) if r["framework"] == KERAS)
    assert row["train_seconds"] != row["train_seconds"]
    assert f"| {KERAS} ‡" in text(records, "accuracy")
    epochs, seconds = drawn(accuracy_curves, records).figure.axes
    assert (len(epochs.lines), len(seconds.lines)) == (2, 1)
    other = replace(records[1], case=replace(records[1].case, variant="cifar-lrn"))
    *_, nothing = drawn(accuracy_curves, [records[0], other]).figure.axes
    assert [label.get_text() for label in nothing.texts] == [
        "removed: the seconds are no measurement"
    ]
    alone = drawn(accuracy_curves, [records[1]])
    assert [axes.get_xlabel() for axes in alone.figure.axes] == ["epochs"]
    assert "seconds of these trainings are no measurement" in alone.how
    page = write_results(records, tmp_path).read_text(encoding="utf-8")
    assert "Read this first" in page
    assert "stopped and continued" in page.partition("</header>")[0]


@pytest.mark.parametrize("on", ["all", "speed"])
def test_10_a_caveat_is_on_the_mark_and_below_the_plot(tmp_path: Path, on: str) -> None:
    caveat = {"on": on, "why": "other work ran"}
    records = [
        timed("pytorch", [SPREAD] * 2),
        replace(timed(KERAS, [SPREAD] * 2), caveats=(caveat,)),
    ]
    plots = {plot.name: plot for plot in write_plots(records, tmp_path)}
    assert {"throughput_closed", "speed_ratios_closed", "blocks_closed"} <= plots.keys()
    del plots["parity_closed"]  # a certificate is no result
    del plots["overhead_closed"]  # of the other framework alone
    if on == "speed":
        memory = plots.pop("memory_closed").svg.read_text(encoding="utf-8")
        assert "‡" not in memory
    for plot in plots.values():
        svg = plot.svg.read_text(encoding="utf-8")
        assert svg.count("‡") >= 2
        assert "other work ran" in svg
    (lines,) = headlines(records)
    assert f"{KERAS} ‡" in lines.lines[0]
    assert lines.lines[-1] == f"‡ cifar-bn in {KERAS}: other work ran."
    assert any("other work ran" in line for line in warnings(records))


def test_10_a_caveat_on_speed_is_no_footnote_of_an_accuracy(tmp_path: Path) -> None:
    caveat = {"on": "speed", "why": "other work ran"}
    records = [replace(trained("pytorch", 0.5), caveats=(caveat,)), trained(KERAS, 0.5)]
    assert "‡ cifar-bn in pytorch: other work ran" in text(records, "accuracy")  # it has seconds
    assert "‡" not in text(records, "accuracy_differences", "per_class", "divergence")
    plots = {plot.name: plot.svg.read_text("utf-8") for plot in write_plots(records, tmp_path)}
    assert {name for name, svg in plots.items() if "‡" in svg} == {"accuracy_curves_closed"}
    (lines,) = headlines(records)
    assert "‡" not in " ".join(lines.lines)


def test_11_a_headline_says_what_it_compares() -> None:
    """ "pytorch 86.8; pytorch 0.57x (slower)" was bfloat16 against float32."""
    records = [
        timed("pytorch", [SPREAD] * 2, track="tuned", precision=precision, parity={})
        for precision in ("bfloat16", "float32")
    ]
    (lines,) = headlines(records)
    assert re.search(r"pytorch in bfloat16 trains at .*; pytorch in float32 1\.00x", lines.lines[0])


@pytest.mark.usefixtures("undrawn")
def test_11_synthetic_images_are_said_first(tmp_path: Path) -> None:
    """ "test accuracy pytorch 12.8 %", of images that were drawn."""
    records = [trained("pytorch", 0.128, dataset=OTHER_DATASET)]
    page = write_results(records, tmp_path).read_text(encoding="utf-8")
    head = page.partition("</header>")[0]
    assert "Accuracies on them say nothing about CIFAR-10" in " ".join(head.split())
    assert "test accuracy on synthetic images pytorch 12.8\u00a0%" in head
    assert "trained on synthetic images" in findings(records)["synthetic"]


def test_11_a_published_figure_says_that_ours_is_shortened() -> None:
    """64.8 % stood next to two epochs of 4,000 images without a word."""
    record = trained("pytorch", 0.35, recipe="short")
    record = replace(record, metrics={**record.metrics, "train_images": 7_936})
    assert "shortened: 7,936 training images instead of some 3,500,000" in text([record])
    (lines,) = headlines([record])
    assert "recipe short" in lines.lines[0]


@pytest.mark.parametrize("accuracy", [0.2555, 0.3485, 0.2615])
def test_11_one_figure_is_rounded_one_way(accuracy: float) -> None:
    """25.55 was printed as 25.6, 25.5 and 25.55."""
    record = trained("pytorch", accuracy)
    classes = dict.fromkeys(("cat", "dog"), accuracy)
    record = replace(record, metrics={**record.metrics, "per_class": classes})
    (lines,) = headlines([record])
    shown = text([record], "accuracy", "per_class") + " ".join(lines.lines)
    start = f"{100 * accuracy:.10g}"[:3]
    assert len(set(re.findall(rf"{re.escape(start)}\d+ %", shown))) == 1


def test_11_no_asterisk_of_markdown_is_on_the_page(tmp_path: Path) -> None:
    records = [
        *(timed(name, [SPREAD] * 2) for name in ("pytorch", KERAS)),
        make_record(kind="startup"),
    ]
    page = write_results(records, tmp_path).read_text(encoding="utf-8")
    assert "<em>Detectable</em>" in page
    body = re.sub(r"<script.*?</script>", "", page.partition("<body>")[2], flags=re.DOTALL)
    assert not re.search(r"(?<![\w/*])\*\w", body)


def test_12_a_claim_that_its_records_deny_is_stale(tmp_path: Path) -> None:
    """ "Enough for differences of some 8 %", where 22 of 23 rows could not show 8 %."""
    for record in (timed("pytorch", [SPREAD] * 2), timed(KERAS, [SPREAD, (1.0, 1.3, 1.1)])):
        RecordStore(tmp_path / "results" / "one").append(record)
    block = f"value: run=one name=interleaved framework={KERAS} column=detectable"
    page = tmp_path / "README.md"
    page.write_text(f"Enough for <!-- {block} -->8.0 %<!-- /value -->.\n", encoding="utf-8")
    assert stale(page, write=False) == [block]


def test_12_a_value_with_a_caveat_needs_it_on_the_page(tmp_path: Path) -> None:
    caveat = {"on": "all", "why": "other work ran"}
    for name in ("pytorch", KERAS):
        record = replace(timed(name, [SPREAD] * 2), caveats=(caveat,))
        RecordStore(tmp_path / "results" / "one").append(record)
    value = f"<!-- value: run=one name=interleaved framework={KERAS} column=ratio -->"
    page = tmp_path / "README.md"
    page.write_text(f"It is {value}?<!-- /value --> as fast.\n", encoding="utf-8")
    with pytest.raises(UserError, match="add the block table: run=one name=caveats"):
        stale(page, write=True)
    with page.open("a", encoding="utf-8") as file:
        file.write("\n<!-- table: run=one name=caveats --><!-- /table -->\n")
    stale(page, write=True)
    written = page.read_text(encoding="utf-8")
    assert re.search(r"\] ‡<!-- /value --> as fast", written)
    assert "‡ All of one: other work ran." in written
