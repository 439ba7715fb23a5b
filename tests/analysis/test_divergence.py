"""From which step on two trainings of one seed are different runs: rows, words and the plot."""

import json
from dataclasses import replace

import pytest

from bench.analysis.experiments import Data
from bench.core.records import Record
from bench.report.chapters.learning.divergence import divergence
from bench.report.plot_style import style
from bench.report.tables import TABLES, as_markdown, frame, sections
from tests.support.parts import part_of
from tests.support.synthetic_records.synthetic import (
    FAILED_PARITY,
    FRAMEWORKS,
    SETTINGS,
    make_failure,
    make_record,
    make_run,
)

TABLE = next(table for table in TABLES if table.name == "divergence")
DATA = Data("cifar10", "0a1b2c3d4e5f")


def training(losses, framework="keras-jax", **changes):
    """A training whose first losses are given."""
    record = make_record(framework=framework, kind="accuracy", **changes)
    return replace(record, metrics={**record.metrics, "step_losses": list(losses)})


def reference(losses, **changes):
    return training(losses, "pytorch", **changes)


def only(records):
    (row,) = frame(TABLE, records).to_dict("records")
    (section,) = sections(TABLE, records)
    (cells,) = section.cells
    return row, dict(zip(section.headers, cells, strict=True))


def test_the_difference_is_relative_to_the_reference_and_steps_count_from_one():
    theirs = [2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    mine = [2.0 + 2e-7, 2.0, 2.0 - 3e-3, 2.0, 2.1, 2.0]
    row, shown = only([training(mine), reference(theirs)])
    assert (row["framework"], row["reference"], row["seed"]) == ("keras-jax", "pytorch", 0)
    assert row["first_difference"] == pytest.approx(1e-7)
    assert (row["divergence_step_0.001"], row["divergence_step_0.01"], row["steps"]) == (3, 5, 6)
    assert shown["difference at step 1"] == "1.0e-07"
    assert shown["first above 0.1 %"] == "at step 3"
    assert shown["first above 1 %"] == "at step 5"


def test_trainings_that_stay_together_say_for_how_long():
    row, shown = only([training([1.0] * 500), reference([1.0005] * 500)])
    assert row["divergence_step_0.01"] is None
    assert shown["first above 1 %"] == "not within 500 steps"
    assert shown["first above 0.1 %"] == "not within 500 steps"


def test_equal_losses_differ_by_nothing():
    _, shown = only([training([1.0, 0.5]), reference([1.0, 0.5])])
    assert shown["difference at step 1"] == "0"


def test_a_loss_that_is_no_number_parts_at_its_step():
    row, shown = only([training([1.0, 1.0, None]), reference([1.0, 1.0, 1.0, 1.0])])
    assert (row["divergence_step_0.01"], row["steps"]) == (3, 3)
    assert shown["first above 1 %"] == "at step 3"


def test_two_trainings_that_diverge_together_have_not_diverged_from_each_other():
    losses = [1.0, 9.0, None, None]
    row, shown = only([training(losses), reference(losses)])
    assert row["steps"] == 2
    assert shown["first above 1 %"] == "not within 2 steps"


def test_losses_that_were_never_numbers_break_nothing():
    records = [training([None, None]), reference([None, None])]
    _, shown = only(records)
    assert shown["first above 1 %"] == "—"
    assert draw(records) is None


def test_rows_are_by_network_framework_and_seed():
    rows = frame(TABLE, make_run(seeds=2))
    named = list(zip(rows["variant"], rows["framework"], rows["seed"], strict=True))
    assert named == [
        (variant, framework, seed)
        for variant in ("cifar-bn", "cifar-lrn")
        for framework in FRAMEWORKS[1:]
        for seed in (0, 1)
    ]
    assert set(rows["reference"]) == {"pytorch"}


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"recipe": "short"},
        {"variant": "cifar-lrn"},
        {"parity": FAILED_PARITY},
        {"parity": {"status": "unchecked"}},
        {"track": "idiomatic"},
    ],
)
def test_only_certified_trainings_of_one_seed_and_recipe_are_compared(other):
    losses = [1.0, 0.5]
    changed = {"variant": "cifar-bn", **other}
    record = make_record(framework="keras-jax", kind="accuracy", **changed)
    record = replace(record, metrics={**record.metrics, "step_losses": losses})
    assert frame(TABLE, [record, reference(losses)]).empty


def test_trainings_that_kept_no_losses_and_failures_are_passed_over():
    old = make_record(framework="keras-jax", kind="accuracy")
    metrics = {key: value for key, value in old.metrics.items() if key != "step_losses"}
    failed = make_failure(framework="keras-torch")
    records = [replace(old, metrics=metrics), failed, reference([1.0])]
    assert frame(TABLE, records).empty
    assert draw(records) is None


def test_without_pytorch_the_next_framework_is_the_reference():
    row, _ = only([training([1.0]), training([1.0], "keras-tensorflow")])
    assert (row["framework"], row["reference"]) == ("keras-jax", "keras-tensorflow")


def test_trainings_with_other_settings_are_not_compared_and_named():
    settings = {**SETTINGS, "recipe": {**SETTINGS["recipe"], "momentum": 0.5}}
    records = [training([1.0, 1.0], settings=settings), reference([1.0, 2.0])]
    _, shown = only(records)
    assert shown["first above 1 %"] == "not comparable"
    assert "pytorch on cifar-bn: recipe.momentum 0.5 against 0.9" in as_markdown(TABLE, records)
    assert draw(records) is None


def test_records_with_lost_losses_are_json():
    record = training([1.0, None])
    line = json.dumps(record.to_json(), allow_nan=False)
    assert Record.from_json(json.loads(line)) == record


def draw(records):
    with style():
        return divergence(part_of(records))


def said(axes):
    return [text.get_text() for text in axes.texts]


def test_the_plot_has_the_losses_above_and_their_difference_below():
    theirs, mine = [2.0, 1.5, 1.0], [2.0, 1.5 + 1.5e-4, 1.1]
    above, below = draw([training(mine), reference(theirs)]).figure.axes
    curves = [list(line.get_ydata()) for line in above.lines if len(line.get_xdata()) == 3]
    assert curves == [theirs, mine]
    assert sorted(said(above)) == ["keras-jax", "pytorch"]
    assert below.get_yscale() == "log"
    curve = next(line for line in below.lines if len(line.get_xdata()) == 3)
    assert curve.get_xdata().tolist() == [1, 2, 3]
    assert curve.get_ydata() == pytest.approx([1e-9, 1e-4, 0.1])  # zero has no place on a log axis
    assert "keras-jax first differs by more than 1 %: at step 3" in said(below)
    marks = [line for line in below.lines if list(line.get_xdata()) == [3, 3]]
    assert len(marks) == 1


def test_the_plot_says_so_where_trainings_do_not_part():
    _, below = draw([training([1.0] * 5), reference([1.0] * 5)]).figure.axes
    assert "keras-jax first differs by more than 1 %: not within 5 steps" in said(below)
    assert not any(line.get_linestyle() == ":" for line in below.lines)


def test_the_plot_survives_losses_that_are_no_numbers():
    drawing = draw([training([1.0, None]), reference([1.0, 1.0, 1.0])])
    _, below = drawing.figure.axes
    assert "keras-jax first differs by more than 1 %: at step 2" in said(below)
    with style():
        drawing.figure.canvas.draw()


def test_a_network_is_drawn_once_whatever_its_seeds():
    records = [r for r in make_run(seeds=2) if r.case.track == "closed" and r.kind == "accuracy"]
    axes = draw(records).figure.axes
    titles = [a.get_title("left") for a in axes if a.get_title("left")]
    assert titles == ["cifar-bn, seed 0", "cifar-lrn, seed 0"]


def test_no_word_of_the_plot_is_cut_or_lies_on_another():
    records = [r for r in make_run(seeds=1) if r.case.track == "closed" and r.kind == "accuracy"]
    with style():
        figure = divergence(part_of(records)).figure
        figure.canvas.draw()
        page = figure.bbox
        boxes = [t.get_window_extent() for axes in figure.axes for t in axes.texts]
    assert len(boxes) == 2 * (4 + 2 + 3)
    for box in boxes:
        assert box.x0 >= 0
        assert box.x1 <= page.width
        assert sum(box.overlaps(other) for other in boxes) == 1  # itself
