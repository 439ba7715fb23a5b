"""Footnotes of a row: published figures, shortened recipes, provenance of weights."""

import pytest

from bench.analysis.experiments import labels, start_of
from bench.analysis.provenance import COLUMNS
from bench.analysis.published import MEAN_OF_CLASSES, published_figure
from bench.core.case import Case
from bench.report.summary import headlines
from bench.report.tables import TABLES, frame, sections
from tests.support.synthetic_records.synthetic import OTHER_DATASET, SETTINGS, make_record
from tests.support.synthetic_records.synthetic_pretrained import bvlc, make_transfer

TABLE = {table.name: table for table in TABLES}
TRANSFER = make_transfer().case


def notes(table, records):
    return [note for section in sections(TABLE[table], records) for note in section.notes]


def cells(table, records):
    """Rows of all sections as dicts from header to text."""
    return [
        dict(zip(section.headers, row, strict=True))
        for section in sections(TABLE[table], records)
        for row in section.cells
    ]


def value(kind, **case):
    figure = published_figure(kind, Case(framework="pytorch", **case))
    return figure and figure.value


TORCHVISION = {"variant": "torchvision", "init": "pretrained", "weights": "torchvision@01"}


@pytest.mark.parametrize("recipe", ["tutorial-transfer", "tutorial-transfer@0.01", "standard"])
def test_the_articles_figures_stand_beside_its_recipe_and_beside_the_same_network(recipe):
    assert value("accuracy", recipe=recipe, **TORCHVISION) == 0.8441
    assert value(MEAN_OF_CLASSES, recipe=recipe, **TORCHVISION) == 0.83


@pytest.mark.parametrize("recipe", ["tutorial-replace-last", "tutorial-replace-last@0.5"])
def test_no_tutorial_stands_beside_anothers_figure(recipe):
    assert value("accuracy", recipe=recipe, **TORCHVISION) is None


def test_a_figure_belongs_to_its_network_and_to_where_it_started_from():
    assert value("accuracy", variant="cifar-bn", recipe="tutorial-keras-bn") == 0.648
    assert value("accuracy", variant="cifar-bn", recipe="standard") == 0.648
    assert value("accuracy", variant="cifar-lrn", recipe="standard") is None
    assert value("accuracy", variant="torchvision", recipe="standard") is None
    assert value("latency", variant="cifar-bn", recipe="standard") is None


def test_the_accuracy_table_names_the_figure_and_its_source():
    (row,) = cells("accuracy", [make_transfer()])
    assert row["published †"] == "84.41 % †"
    (line,) = [note for note in notes("accuracy", [make_transfer()]) if note.startswith("†")]
    assert "84.41 %, PyTorch AlexNet transfer-learning article" in line
    assert "all test images" in line


def test_the_table_by_class_has_the_articles_mean_of_classes():
    record = make_transfer()
    (row,) = cells("per_class", [record])
    mean = sum(record.metrics["per_class"].values()) / 10
    assert row["mean"] == f"{100 * mean:.1f} %"
    assert row["published mean †"] == "83 % †"
    (line,) = [note for note in notes("per_class", [record]) if note.startswith("†")]
    assert "83 %, PyTorch AlexNet transfer-learning article" in line
    assert "mean of the accuracies by class" in line


def test_other_pictures_and_networks_without_a_figure_have_no_mean_beside_them():
    for record in (make_transfer(dataset=OTHER_DATASET), make_record(kind="accuracy")):
        (row,) = cells("per_class", [record])
        assert "published mean †" not in row
        assert not any("†" in note for note in notes("per_class", [record]))


@pytest.mark.parametrize("table", ["accuracy", "time_to_accuracy", "per_class"])
def test_a_shortened_recipe_says_so_below(table):
    short = make_transfer(recipe="tutorial-transfer@0.01")
    lines = notes(table, [short, make_transfer(framework="keras-jax")])
    (line,) = (line for line in lines if "shortened" in line)
    assert line.startswith("tutorial-transfer@0.01: shortened to 1 % of its epochs, 0.1 of 10")
    assert not any("shortened" in line for line in notes(table, [make_transfer()]))


def test_a_figure_never_stands_beside_a_shortened_row_without_a_word():
    short = make_transfer(recipe="tutorial-transfer@0.01")
    (row,) = cells("accuracy", [short])
    assert "†" in row["published †"]
    assert any("published figure is of a whole training" in n for n in notes("accuracy", [short]))
    plain = make_record(kind="accuracy", variant="cifar-lrn", recipe="standard@0.25")
    (line,) = [n for n in notes("accuracy", [plain]) if "shortened" in n]
    assert line == "standard@0.25: shortened to 25 % of its epochs, 4 of 16"


def test_a_shortened_recipe_that_is_not_known_here_is_named_all_the_same():
    record = make_record(kind="accuracy", recipe="theirs@0.5", variant="cifar-lrn")
    assert notes("accuracy", [record])[0] == "theirs@0.5: shortened to 50 % of its epochs"


def test_headlines_say_what_was_shortened_and_what_was_pretrained():
    (found,) = headlines([make_transfer(recipe="tutorial-transfer@0.01")])
    assert any("tutorial-transfer@0.01" in line for line in found.lines)
    assert any("pretrained torchvision" in line for line in found.lines)


def test_where_the_weights_came_from_stands_below_once_for_both_frameworks():
    records = [make_transfer(), make_transfer(framework="keras-tensorflow")]
    (line,) = [note for note in notes("accuracy", records) if "initialised" in note]
    assert (
        "conv1, conv2, conv3, conv4, conv5, dense1 from torchvision (sha256 0123456789ab)" in line
    )
    assert "initialised: dense2, dense3" in line
    assert "RGB in 0 to 1, minus (0.485, 0.456, 0.406), over (0.229, 0.224, 0.225)" in line
    assert "resized to 224 px" in line
    assert line.endswith("(in pytorch and keras-tensorflow)")


def test_sources_keep_their_own_words_and_preprocessing():
    settings = {**SETTINGS, "weights": bvlc()}
    (line,) = [n for n in notes("accuracy", [make_transfer(settings=settings)]) if "initial" in n]
    assert "conv5 from bvlc (sha256 0123456789ab), for non-commercial use" in line
    assert "initialised: head;" in line
    assert "RGB (published in BGR) in 0 to 255, minus (122.679, 116.669, 104.007)" in line


def test_frozen_and_fine_tuned_rows_have_lines_of_their_own():
    records = [make_transfer(), make_transfer(frozen=True)]
    lines = [note for note in notes("accuracy", records) if "initialised" in note]
    assert len(lines) == 2
    assert sum("trunk frozen" in line for line in lines) == 1
    assert sum("fine-tuned" in line for line in lines) == 1


def test_rows_from_scratch_and_records_that_do_not_say_have_no_such_line():
    for record in (make_record(kind="accuracy"), make_transfer(settings=SETTINGS)):
        assert not any("initialised" in note for note in notes("accuracy", [record]))
        row = frame(TABLE["accuracy"], [record]).iloc[0]
        assert row[list(COLUMNS)].isna().all()


def test_a_case_says_whether_its_trunk_learns_too():
    assert start_of(TRANSFER).endswith("head narrow, fine-tuned")
    assert start_of(make_transfer(frozen=True).case).endswith("head narrow, trunk frozen")
    assert start_of(Case("cifar-bn", "pytorch")) == "scratch"


def test_labels_always_say_pretrained_and_shortened():
    scratch = Case("torchvision", "pytorch")
    assert labels([scratch]) == {scratch: "torchvision"}
    assert labels([TRANSFER])[TRANSFER] == f"torchvision · {start_of(TRANSFER)}"
    short = make_record(recipe="standard@0.1").case
    assert labels([short])[short] == "cifar-bn · standard@0.1"
