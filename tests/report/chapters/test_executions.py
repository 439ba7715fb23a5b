"""What an execution costs and gains, next to the eager one of the same framework."""

from dataclasses import replace

import pytest

from bench.report.plot_style import style
from bench.report.tables import TABLES, frame, sections
from tests.support.parts import part_of, row_names
from tests.support.synthetic_records.synthetic import make_record

TABLE = {table.name: table for table in TABLES}["executions"]
TURNS = [[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]]


def measured(framework, asked, rate, first_step, **settings):
    """Training at exactly `rate` images/s after a first step of so many seconds."""
    record = make_record(framework=framework, kind="train_throughput", execution=asked)
    return replace(
        record,
        samples=(1.0,) * 4,
        images_per_sample=rate,
        metrics={
            "first_step_seconds": first_step,
            "interleaving": {"group": f"{framework} {asked}", "blocks": TURNS},
        },
        settings=record.settings | settings,
    )


EAGER = measured("pytorch", "eager", 1000, 2.0, execution="eager", jit_compile=False)
COUNTS = {"graphs": 2, "graph_breaks": 7, "recompilations": 1}
COMPILED = measured(
    *("pytorch", "compiled", 2000, 32.0),
    execution="torch.compile",
    jit_compile=True,
    compilation=COUNTS,
    compute_dtype="float16",
    loss_scale=32768.0,
)


def rows(records):
    return frame(TABLE, records).set_index("execution")


def cells(records):
    found = sections(TABLE, records)
    return [dict(zip(s.headers, row, strict=True)) for s in found for row in s.cells]


def test_a_longer_first_step_pays_after_the_images_that_win_it_back():
    found = rows([EAGER, COMPILED])
    assert list(found.index) == ["eager", "compiled"]
    compiled = found.loc["compiled"]
    # 30 s later, and 1/1000 - 1/2000 s won with every image.
    assert compiled["pays_images"] == pytest.approx(60_000)
    assert compiled["pays_epochs"] == pytest.approx(1.2)
    assert compiled["ratio"] == pytest.approx(2)
    assert compiled["verdict"] == "faster"
    assert found.loc["eager"][["ratio", "pays_images"]].isna().all()


def test_what_is_in_force_and_counted_is_shown():
    eager, compiled = cells([EAGER, COMPILED])
    assert (eager["execution"], eager["in force"]) == ("eager", "eager")
    assert (compiled["execution"], compiled["in force"]) == ("compiled", "torch.compile")
    assert (eager["XLA or Inductor"], compiled["XLA or Inductor"]) == ("no", "yes")
    shown = (compiled["graphs"], compiled["graph breaks"], compiled["recompilations"])
    assert shown == ("2", "7", "1")
    assert (compiled["computes in"], compiled["loss scale"]) == ("float16", "32,800")
    assert compiled["pays after images"] == "60,000"
    assert eager["graph breaks"] == eager["pays after images"] == "—"


def test_a_first_step_that_is_no_longer_pays_from_the_start():
    quick = replace(COMPILED, metrics=COMPILED.metrics | {"first_step_seconds": 1.0})
    assert rows([EAGER, quick]).loc["compiled"]["pays_images"] == 0


def test_an_execution_that_is_not_shown_to_be_faster_never_pays():
    slow = replace(COMPILED, images_per_sample=1000)
    assert rows([EAGER, slow]).loc["compiled"][["pays_images", "pays_epochs"]].isna().all()


def test_frameworks_with_one_execution_have_no_row():
    assert frame(TABLE, [EAGER]).empty
    other = measured("keras-jax", "compiled", 3000, 5.0)
    assert frame(TABLE, [EAGER, other]).empty
    found = frame(TABLE, [EAGER, COMPILED, other])
    assert list(found["framework"]) == ["pytorch", "pytorch"]


def test_without_the_eager_one_nothing_is_compared():
    graphs = measured("pytorch", "graphs", 2500, 40.0)
    found = rows([COMPILED, graphs])
    assert list(found.index) == ["compiled", "graphs"]
    assert found["ratio"].isna().all()


def test_what_the_eager_one_was_measured_with_counts_for_both():
    doubted = replace(EAGER, caveats=({"on": "speed", "why": "it rained"},))
    assert rows([doubted, COMPILED]).loc["compiled", "speed_caveats"] == "it rained"
    elsewhere = replace(EAGER, environment={**EAGER.environment, "cpu": "Another CPU"})
    assert rows([elsewhere, COMPILED])["ratio"].isna().all()
    (section,) = sections(TABLE, [elsewhere, COMPILED])
    told = "pytorch compiled is not compared with its eager execution on cifar-bn: cpu "
    assert any(note.startswith(told) for note in section.notes)


def test_it_pays_as_the_ratio_of_neighbouring_blocks_says():
    """Both slow down: the quotient of their medians is not the median of their quotients."""
    turns = {"group": "one", "blocks": [[p, turn, 1] for p in (0, 1) for turn in range(7)]}
    seconds, faster = (1, 1, 1, 2, 3, 3, 3) * 2, (2, 2, 2, 4, 2, 2, 2) * 2
    eager = replace(EAGER, samples=seconds, metrics={**EAGER.metrics, "interleaving": turns})
    compiled = replace(
        COMPILED,
        samples=tuple(s / f for s, f in zip(seconds, faster, strict=True)),
        images_per_sample=1000,
        metrics={**COMPILED.metrics, "interleaving": turns},
    )
    found = rows([eager, compiled])
    row, rate = found.loc["compiled"], found.loc["eager", "images_per_second"]
    assert row["ratio"] == pytest.approx(2)
    assert row["images_per_second"] / rate == pytest.approx(4)
    assert row["pays_images"] == pytest.approx(30 * rate * 2)


def test_the_plot_has_the_ratio_and_when_it_pays():
    with style():
        drawing = TABLE.charts[0].draw(part_of([EAGER, COMPILED]))
        assert TABLE.charts[0].draw(part_of([EAGER])) is None
    (axes,) = drawing.figure.axes
    (name,) = row_names(axes)
    assert name == "cifar-bn · pytorch compiled"
    words = axes.texts[0].get_text()
    assert words.startswith("2.00x [")
    assert words.endswith("], pays after 60,000 images")


def test_the_chapter_begins_with_the_ratios_and_their_verdicts():
    (section,) = sections(TABLE, [EAGER, COMPILED])
    assert section.lead == (
        "Images/s over the eager execution: 2.00x (cifar-bn in pytorch compiled). "
        "Faster than the eager execution: cifar-bn in pytorch compiled."
    )
