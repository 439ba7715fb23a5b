import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import product
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.text import Text
from PIL import Image

from bench.analysis.experiments import Data
from bench.core.records import RecordStore
from bench.report import plots as report_plots
from bench.report.chapters import TABLES
from bench.report.chapters.learning.accuracy import accuracy_curves, accuracy_vs_throughput
from bench.report.chapters.learning.accuracy_differences import DIFFERENCES, difference_rows
from bench.report.chapters.learning.per_class import _DARK, _LIGHT, confusion, per_class
from bench.report.chapters.speed.interleaved import SPEEDS
from bench.report.chapters.speed.latency import latency
from bench.report.chapters.speed.memory import memory
from bench.report.chapters.speed.startup import startup
from bench.report.chapters.speed.throughput import throughput
from bench.report.charts.accuracy_seeds import seeds
from bench.report.page.chapters import inline_svg
from bench.report.plot_axes import accuracy_axis, ratio_axis
from bench.report.plot_style import (
    ALONE,
    INK,
    PHONE,
    SOFT,
    Drawing,
    Plot,
    colour,
    contrast,
    dash,
    hover,
    marker,
    new_figure,
    save,
    style,
)
from bench.report.plots import CHARTS, write_plots
from bench.report.report import Part, Report
from bench.training.tracks import TRACKS
from tests.support.parts import part_of, results_of, row_names
from tests.support.synthetic_records.synthetic import (
    FRAMEWORKS,
    OTHER_DATASET,
    STARTUP,
    make_failure,
    make_record,
)
from tests.support.synthetic_records.synthetic_pretrained import make_transfer

SVG = "{http://www.w3.org/2000/svg}"


def texts(path):
    """Every piece of text of an SVG file."""
    return [element.text for element in ET.parse(path).iter(f"{SVG}text") if element.text]


def shown(figure):
    """Axes of a figure that are drawn at all."""
    return [axes for axes in figure.axes if axes.axison]


@pytest.fixture(scope="module")
def plots(whole_report):
    """The SVG files of a report on two tracks."""
    return sorted((whole_report / "plots").glob("*.svg"))


def test_every_plot_is_there_for_both_tracks(plots):
    # The ablation's own, and that of a network with and without its normalisation.
    # Layers, tutorial loops, features and the article's loop are measured by profiles of their own,
    # executions and several devices where they are asked for.
    others = {"defaults", "normalisation", "layers", "tutorial_loops", "features", "article"}
    others |= {"executions", "scaling"}
    # One seed has no spread.
    others |= {"seeds", "time_to_accuracy"}
    shared = CHARTS.keys() - others
    names = {f"{name}_{track}" for name in shared for track in ("closed", "idiomatic")}
    # Only the closed track has the same trainings twice, and certificates.
    names -= {"divergence_idiomatic", "parity_idiomatic"}
    assert {plot.stem for plot in plots} == names


def test_every_plot_names_its_data_and_track(plots):
    for plot in plots:
        words = texts(plot)
        assert "Data: cifar10, fingerprint 0a1b2c3d4e5f" in words
        track = plot.stem.rsplit("_", 1)[1]
        assert any(f"{track} track" in word for word in words)


def test_png_and_svg_are_the_same_drawing(plots):
    for plot in plots:
        with Image.open(plot.with_suffix(".png")) as picture:
            width, height = picture.size
        _, _, wide, high = map(float, ET.parse(plot).getroot().get("viewBox").split())
        assert width / height == pytest.approx(wide / high, rel=0.01)
        assert width == pytest.approx(wide * 150 / 72, rel=0.01)  # 150 dots an inch


def test_svg_says_nothing_of_when_or_by_what_it_was_made(plots):
    for plot in plots:
        text = plot.read_text(encoding="utf-8")
        assert "<dc:date>" not in text
        assert "Matplotlib v" not in text


def test_the_same_records_give_the_same_bytes(tmp_path):
    records = [make_record(framework=name) for name in FRAMEWORKS]
    files = [write_plots(records, tmp_path / side)[0] for side in ("a", "b")]
    assert files[0].svg.read_bytes() == files[1].svg.read_bytes()
    assert files[0].png.read_bytes() == files[1].png.read_bytes()


def test_no_plot_without_data(tmp_path):
    assert write_plots([], tmp_path) == []
    assert (
        write_plots([make_failure(kind=kind) for kind in ("accuracy", "latency")], tmp_path) == []
    )
    assert list((tmp_path / "plots").iterdir()) == []


def test_plots_of_an_earlier_report_go_and_other_files_stay(tmp_path):
    write_plots([make_record()], tmp_path)
    mine = tmp_path / "plots/notes.svg"
    mine.write_text("mine", encoding="utf-8")
    write_plots([], tmp_path)
    assert list((tmp_path / "plots").iterdir()) == [mine]


def test_two_datasets_have_files_of_their_own(tmp_path):
    plots = write_plots([make_record(), make_record(dataset=OTHER_DATASET)], tmp_path)
    names = [plot.name for plot in plots]
    suffixes = ("cifar10_0a1b2c3d4e5f", "generated_ffffffffffff")
    expected = [f"{name}_closed_{end}" for end in suffixes for name in ("latency", "parity")]
    assert names == expected
    for plot in plots:
        other = any("ffffffffffff" in word for word in texts(plot.svg))
        assert other == plot.name.endswith("ffffffffffff")


def draw(function, records):
    with style():
        return function(part_of(records))


def test_curves_are_drawn_against_epochs_and_against_seconds():
    records = [make_record(kind="accuracy", seed=seed) for seed in range(3)]
    left, right = draw(accuracy_curves, records).figure.axes
    assert left.get_xlabel() == "epochs"
    assert right.get_xlabel() == "seconds with start-up"
    assert len(left.lines) == 4  # three seeds and their mean
    curve = records[0].metrics["curve"]
    before = STARTUP["import_seconds"] + STARTUP["build_seconds"]  # as in time to accuracy
    assert right.lines[0].get_xdata().tolist() == [before + point["seconds"] for point in curve]
    records[0].metrics["startup"] = None
    _, right = draw(accuracy_curves, records).figure.axes
    assert right.get_xlabel() == "seconds of training"
    assert right.lines[0].get_xdata().tolist() == [point["seconds"] for point in curve]
    mean = sum(r.metrics["curve"][-1]["test_accuracy"] for r in records) / 3
    assert left.lines[-1].get_ydata()[-1] == pytest.approx(mean)


def test_curves_of_all_panels_have_one_scale():
    high, low = (make_record(kind="accuracy", variant=name) for name in ("cifar-bn", "cifar-lrn"))
    halved = [{**p, "test_accuracy": p["test_accuracy"] / 2} for p in low.metrics["curve"]]
    low = replace(low, metrics={**low.metrics, "curve": halved})
    axes = draw(accuracy_curves, [high, low]).figure.axes
    best = max(point["test_accuracy"] for point in high.metrics["curve"])
    assert len(axes) == 4
    assert [one.get_ylim() for one in axes] == 4 * [pytest.approx((0, 1.08 * best))]


def titles_of(drawing):
    """What stands above the axes, each once, in one line."""
    places = (axes.get_title(loc) for axes in drawing.figure.axes for loc in ("left", "center"))
    return {" ".join(title.split()) for title in places if title}


FOUR_STARTS = [
    make_transfer(init="scratch", weights=None, head="source", recipe="tutorial-torch-scratch"),
    make_transfer(),
    make_transfer(frozen=True),
    make_transfer(recipe="tutorial-transfer@0.01"),
]


@pytest.mark.parametrize("function", [accuracy_curves, per_class, confusion])
def test_scratch_frozen_fine_tuned_and_shortened_have_panels_that_say_so(function):
    titles = titles_of(draw(function, FOUR_STARTS))
    assert len(titles) == 4
    for words in (
        ("scratch", "tutorial-torch-scratch"),
        ("pretrained torchvision@01234567", "fine-tuned", "tutorial-transfer"),
        ("pretrained torchvision@01234567", "trunk frozen"),
        ("fine-tuned", "tutorial-transfer@0.01"),
    ):
        assert any(all(word in title for word in words) for title in titles), words


@pytest.mark.parametrize("function", [accuracy_curves, per_class, confusion])
def test_a_pretrained_network_alone_says_so_too(function):
    (title,) = titles_of(draw(function, [make_transfer(frozen=True)]))
    assert "pretrained torchvision@01234567, head narrow, trunk frozen" in title


def test_a_seed_that_stopped_early_does_not_stop_the_plot():
    whole, stopped = (make_record(kind="accuracy", seed=seed) for seed in range(2))
    metrics = {**stopped.metrics, "curve": stopped.metrics["curve"][:2]}
    left, _ = draw(accuracy_curves, [whole, replace(stopped, metrics=metrics)]).figure.axes
    assert [len(line.get_xdata()) for line in left.lines] == [9, 2, 2]


def test_a_bar_for_each_framework_as_long_as_its_rate():
    records = [make_record(framework=name, kind="inference") for name in FRAMEWORKS]
    (axes,) = draw(throughput, records).figure.axes
    rates = [bar.get_width() for bar in axes.patches]
    expected = sorted(r.summary["images_per_second"] for r in records)
    assert sorted(rates) == pytest.approx(expected)
    assert axes.get_xlim()[0] == 0


def test_a_panel_for_each_kind_and_network():
    records = [
        make_record(variant, kind=kind)
        for variant in ("cifar-bn", "cifar-lrn")
        for kind in ("train_throughput", "inference")
    ]
    titles = [axes.get_title("left") for axes in draw(throughput, records).figure.axes]
    assert titles == [
        "cifar-bn: training",
        "cifar-bn: inference",
        "cifar-lrn: training",
        "cifar-lrn: inference",
    ]


def test_latency_marks_its_percentiles_in_milliseconds():
    record = make_record()
    (axes,) = draw(latency, [record]).figure.axes
    marks = axes.lines[-1]
    summary = record.summary
    expected = [1000 * summary[p] for p in ("p50", "p90", "p99")]
    assert list(marks.get_xdata()) == pytest.approx(expected)
    assert list(marks.get_ydata()) == [50, 90, 99]


def test_latency_of_two_precisions_of_a_framework_has_two_lines_and_names():
    records = [
        make_record(framework=framework, precision=precision, track="tuned")
        for framework, precision in (
            ("pytorch", "float32"),
            ("pytorch", "bfloat16"),
            ("keras-jax", "float32"),
        )
    ]
    figure = draw(latency, records).figure
    (axes,), (legend,) = figure.axes, figure.legends
    named = [h.get_label() for h in legend.legend_handles if h.get_linestyle() != "None"]
    assert named == ["pytorch bfloat16", "pytorch float32", "keras-jax"]
    assert len({str(h._dash_pattern) for h in legend.legend_handles[:3]}) == 3
    assert len({str(line._dash_pattern) for line in axes.lines if len(line.get_xdata()) > 3}) == 3


def test_an_odd_number_of_panels_leaves_no_empty_axes():
    records = [make_record(variant) for variant in ("cifar-bn", "cifar-lrn", "cifar-plain")]
    assert len(shown(draw(latency, records).figure)) == 3


def test_startup_stacks_its_three_parts():
    record = make_record(kind="startup")
    (axes,) = draw(startup, [record]).figure.axes
    assert len(axes.patches) == 3
    last = axes.patches[-1]
    assert last.get_x() + last.get_width() == pytest.approx(record.samples[0])


def test_startup_without_its_parts_is_not_drawn():
    assert draw(startup, [make_record(kind="startup", metrics={})]) is None


def of_many_classes(number):
    """A training on so many classes with long names, of which the first are learned worst."""
    names = [f"golden-winged warbler, a bird of the family {i:03}" for i in range(number)]
    right = [10 + 80 * i // number for i in range(number)]
    counts = [
        [
            right[i] if i == k else 100 - right[i] if k == (i + 1) % number else 0
            for k in range(number)
        ]
        for i in range(number)
    ]
    shares = {name: good / 100 for name, good in zip(names, right, strict=True)}
    metrics = {"confusion": counts, "classes": names, "per_class": shares}
    record = make_record(kind="accuracy")
    return replace(record, metrics={**record.metrics, **metrics})


def test_of_many_classes_the_hardest_are_drawn_and_long_names_keep_both_ends():
    drawing = draw(confusion, [of_many_classes(100)])
    (axes,) = drawing.figure.axes
    figures = [t.get_text() for t in axes.texts if t.get_text().isdigit()]
    assert figures == [str(10 + 80 * i // 100) for i in range(20)]  # of all that was in the row
    assert "Only the 20 hardest of 100 classes are drawn; tables/per_class.csv" in drawing.how
    shown = [label.get_text() for label in axes.get_xticklabels()]
    assert (shown[0], shown[-1]) == ("golden-wi…000", "golden-wi…019")

    dots = draw(per_class, [of_many_classes(100)])
    (axes,) = dots.figure.axes
    assert len(axes.lines) == 40
    assert "Only the 40 hardest of 100 classes are drawn" in dots.how
    assert max(len(label.get_text()) for label in axes.get_yticklabels()) <= 22
    assert "hardest" not in draw(per_class, [of_many_classes(40)]).how


def test_confusion_is_a_share_of_each_true_class():
    record = make_record(kind="accuracy")
    metrics = {"confusion": [[8, 2], [5, 15]], "classes": ["cat", "dog"], "per_class": None}
    (axes,) = draw(confusion, [replace(record, metrics=metrics)]).figure.axes
    assert row_names(axes) == ["cat", "dog"]
    assert [text.get_text() for text in axes.texts] == ["cat", "dog", "80", "75"]
    assert axes.yaxis_inverted()


def numbers(text):
    """All numbers in a text."""
    return [float(found) for found in re.findall(r"[\d.]+", text)]


def fill(element):
    """The colour of an element of an SVG file."""
    return re.search(r"fill: ([^;]+)", element.get("style"))[1]


def test_figures_on_a_matrix_can_be_read_on_a_light_and_on_a_dark_page(plots):
    """In the SVG of the page, where some colours follow the page's."""
    (path,) = [plot for plot in plots if plot.stem == "confusion_closed"]
    svg = ET.fromstring(inline_svg(Plot("confusions", path.stem, "title", "how", path, None), 0))
    cells = [g.find("path") for g in svg.iter("g") if " taken for " in (g.findtext("title") or "")]
    assert not any("var(" in cell.get("style") for cell in cells)
    places = [(numbers(cell.get("d")), fill(cell)) for cell in cells]
    figures = [text for text in svg.iter("text") if (text.text or "").isdigit()]
    for figure in figures:
        x, y = (float(figure.get(axis)) for axis in "xy")
        (under,) = [
            tint
            for d, tint in places
            if min(d[::2]) < x < max(d[::2]) and min(d[1::2]) < y < max(d[1::2])
        ]
        assert contrast(fill(figure), under) >= 4.5, (figure.text, under)
    assert len(figures) == len(cells) / 10 > 0


def test_no_text_has_the_colour_of_a_framework(plots):
    """Which is too pale to be read on a light or on a dark page."""
    colours = {fill(text) for path in plots for text in ET.parse(path).iter(f"{SVG}text")}
    assert colours - {_LIGHT, _DARK} == {INK, SOFT}
    assert any(path.stem == "divergence_closed" for path in plots)


def test_a_cell_says_what_it_counts():
    record = make_record(kind="accuracy")
    metrics = {"confusion": [[8, 2], [5, 15]], "classes": ["cat", "dog"], "per_class": None}
    again = make_record(kind="accuracy", seed=1)
    (axes,) = draw(confusion, [replace(r, metrics=metrics) for r in (record, again)]).figure.axes
    words = [cell.get_gid().removeprefix("hover: ") for cell in axes.patches]
    assert "cat taken for dog: 4 of 20" in words
    assert "dog taken for dog: 30 of 40" in words
    assert len(words) == 4


def test_matrices_of_several_networks_are_side_by_side():
    names = ("cifar-bn", "cifar-lrn", "cifar-plain")
    records = [make_record(name, kind="accuracy") for name in names]
    figure = draw(confusion, records).figure
    assert len(shown(figure)) == len(figure.axes) == 3
    assert len({axes.get_subplotspec().rowspan.start for axes in figure.axes}) == 1


def test_panels_close_up_where_networks_were_not_measured_alike():
    """Planted: a diagonal of panels, which would leave half of the figure empty."""
    records = [
        make_record(kind="train_throughput"),
        make_record(kind="inference"),
        make_record("cifar-lrn", kind="accuracy"),
        make_record("cifar-plain", kind="accuracy"),
    ]
    figure = draw(memory, records).figure
    titles = [" ".join(axes.get_title("left").split()) for axes in shown(figure)]
    assert titles == [
        "cifar-bn: training", "cifar-bn: inference", "cifar-lrn: accuracy", "cifar-plain: accuracy",
    ]  # fmt: skip
    assert {axes.get_subplotspec().rowspan.start for axes in shown(figure)[:3]} == {0}


@pytest.mark.parametrize("ends", [(0.36, 1.6), (0.9, 0.97), (0.1, 0.95), (1.1, 3.5), (0.001, 900)])
def test_ratios_have_ticks_on_both_sides_of_1(ends):
    with style():
        axes = new_figure(6, 2, "title", Data("cifar10", "0a")).subplots()
        ratio_axis(axes, [(end, None, None) for end in ends] + [(ends[0], *ends)])
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert 3 <= len(ticks) <= 10
    assert min(ticks) < 1 < max(ticks)
    assert 1 in [round(tick, 9) for tick in ticks]
    assert low <= ends[0]
    assert high >= ends[1]


@pytest.mark.parametrize("ratio", [0.8, 1.02, 20])
def test_the_band_of_a_tie_is_whole_on_either_side(ratio):
    """Planted: intervals so narrow that an axis for them and 1x ends within the band."""
    interval = (ratio, 0.99 * ratio, 1.01 * ratio)
    rows = [{**row, **dict(zip(SPEEDS.keys, interval, strict=True))} for row in _row_of_speed()]
    with style():
        axes = new_figure(6, 2, "title", Data("cifar10", "0a")).subplots()
        SPEEDS.lines(axes, {"": rows}, ["keras-jax"])
    low, high = axes.get_xlim()
    assert low < SPEEDS.even[0] < SPEEDS.even[1] < high


def _row_of_speed():
    records = [make_record(framework=name, kind="train_throughput") for name in FRAMEWORKS[:2]]
    rows = part_of(records).rows(SPEEDS.rows)
    assert len(rows) == 1
    return rows


@pytest.mark.parametrize(
    "ends", [(0.41, 0.411), (0.2, 0.8), (0.0, 0.001), (0.999, 1.0), (-0.3, 1.4)]
)
def test_an_axis_of_accuracies_spans_two_points_and_nothing_impossible(ends):
    low, high = accuracy_axis(ends)
    within = [min(max(end, 0), 1) for end in ends]
    assert low < within[0] < within[1] < high
    assert high - low >= 0.02
    assert low >= -0.1 * (high - low)
    assert high <= 1 + 0.1 * (high - low)


def test_the_marks_of_a_curve_that_begins_late_are_whole():
    """Planted: two evaluations after nine seconds of cached features."""
    curve = [{"epoch": n, "seconds": 9 + n / 10, "test_accuracy": 0.5} for n in (1, 2)]
    figure = draw(accuracy_curves, [make_record(kind="accuracy", metrics={"curve": curve})]).figure
    for axes, last in zip(figure.axes, (2, 9.2), strict=True):
        assert axes.get_xlim()[1] > 1.02 * last


def test_seeds_are_drawn_where_a_row_has_two_and_the_legend_has_what_is_there():
    first, second = (make_record(kind="accuracy", seed=seed) for seed in range(2))
    assert draw(seeds, [first, make_record("cifar-lrn", kind="accuracy")]) is None
    (legend,) = draw(seeds, [first, second]).figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a seed", "mean, 95 % interval"]
    gone = replace(second, metrics={**second.metrics, "diverged": True})
    (legend,) = draw(seeds, [first, gone]).figure.legends
    assert "one that diverged" in [text.get_text() for text in legend.get_texts()]


def test_certificates_of_two_executions_have_names_of_their_own_and_percent():
    (drawing,) = [d for d in drawings("executions") if d.name == "parity_closed"]
    (axes,) = drawing.figure.axes
    names = row_names(axes)
    assert len(names) == len(set(names)) == 6
    assert "cifar-bn · pytorch compiled · float32 logits" in names
    figures = [text.get_text() for text in axes.texts if text.get_text() not in names]
    assert "7.9 % of the bound" in figures
    assert all(re.fullmatch(r"[\d.]+ % of the bound", figure) for figure in figures)


def test_accuracy_meets_throughput_whatever_the_recipe():
    records = [
        make_record(kind="accuracy", recipe="long"),
        make_record(kind="train_throughput"),
        make_record(framework="keras-jax", kind="accuracy"),
    ]
    (axes,) = draw(accuracy_vs_throughput, records).figure.axes
    points = [line for line in axes.lines if line.get_marker() != "None"]
    assert len(points) == 1
    rate = records[1].summary["images_per_second"]
    assert points[0].get_xdata()[0] == pytest.approx(rate)


def test_accuracy_against_throughput_is_as_wide_as_its_intervals_and_says_what_to_believe():
    """Planted: blocks whose pairs say another ratio than their medians do."""
    turns = {"group": "all", "blocks": [[p, turn, 1] for p in (0, 1) for turn in range(3)]}
    drift = {"cifar-plain": (1.0, 1.2, 1.4) * 2, "cifar-bn": (1.0, 1.12, 1.4) * 2}
    records = [
        make_record(
            variant, kind="train_throughput", samples=seconds, images_per_sample=100,
            metrics={"interleaving": turns}, caveats=[{"on": "speed", "why": "on a train"}],
        )
        for variant, seconds in drift.items()
    ]  # fmt: skip
    records += [make_record(v, kind="accuracy", seed=s) for v in drift for s in (0, 1)]
    drawing = draw(accuracy_vs_throughput, records)
    (axes,) = drawing.figure.axes
    upright = [x for x in axes.lines if len({*x.get_xdata()}) == 1 and len(x.get_xdata()) == 2]
    level = [x for x in axes.lines if len({*x.get_ydata()}) == 1 and len(x.get_ydata()) == 2]
    assert (len(upright), len(level)) == (2, 2)
    low, high = axes.get_xlim()
    results = part_of(records).results
    for e in results.experiments("train_throughput"):
        assert low < results.rate(e).low < results.rate(e).high < high
    assert {"cifar-plain ‡", "cifar-bn ‡"} == {text.get_text() for text in axes.texts}
    (note,) = drawing.notes
    assert note.startswith("cifar-plain over cifar-bn") or note.startswith("cifar-bn over cifar-p")
    assert "by the medians of their own blocks" in note
    assert note.endswith("by pairs of neighbouring blocks: the pairs hold")


RUNS = Path(__file__).parents[2] / "results"


def drawings(run, narrow=False):
    """All plots of a published run."""
    report = Report(RecordStore(RUNS / f"reference-2026-11-26-{run}").read())
    for results in report.datasets:
        for table, chart, track in product(TABLES, CHARTS.values(), TRACKS):
            if chart not in table.charts:
                continue
            with style():
                drawing = report_plots._drawing(chart, Part(results, track, narrow=narrow), table)
                if drawing is not None:
                    yield drawing


@pytest.mark.parametrize("run", ["executions", "ablation"])
def test_a_plot_with_a_footnote_has_its_sign_at_a_name(run):
    """The names that a caveat is on have its sign; the lines below the plot alone do not do."""
    found = 0
    for drawing in drawings(run):
        whole = drawing.figure.findobj(Text)
        signed = [text.get_text() for text in whole if "‡" in text.get_text()]
        notes = [text for text in signed if text.startswith("‡") or "\n‡ " in text]
        if any("‡ Removed" not in text for text in notes):
            found += 1
            assert len(signed) > len(notes), drawing.name
    assert found


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("run", ["executions", "devices", "make-bench", "ablation"])
def test_no_word_leaves_its_plot(run, narrow):
    cut = []
    for drawing in drawings(run, narrow):
        figure = drawing.figure
        figure.draw_without_rendering()
        axis = [one for axes in figure.axes for one in (axes.xaxis, axes.yaxis)]
        ticks = {text for one in axis for text in one.findobj(Text) if text is not one.label}
        for text in figure.findobj(Text):
            if text not in ticks and text.get_visible() and text.get_text().strip():
                place = text.get_window_extent()
                if place.x0 < -1 or place.x1 > figure.bbox.width + 1:
                    cut.append(f"{drawing.name}: {text.get_text()}")
    assert cut == []


def test_plots_for_a_phone_have_one_column_with_names_above_their_marks():
    found = list(drawings("make-bench", narrow=True))
    assert {drawing.figure.get_figwidth() for drawing in found} == {PHONE}
    for drawing in found:
        left = {round(axes.get_position().x0, 2) for axes in shown(drawing.figure)}
        assert len(left) == 1, drawing.name
    (differences,) = [d.figure for d in found if d.name == "accuracy_differences_closed"]
    (axes,) = differences.axes
    marks = sorted(line.get_ydata()[0] for line in axes.lines if line.get_marker() in "osD^")
    names = sorted(text.get_position()[1] for text in axes.texts if " · " in text.get_text())
    assert len(names) == len(marks) == 3
    assert all(name < mark for name, mark in zip(names, marks, strict=True))  # y grows downwards


@pytest.mark.parametrize(
    ("draw_one", "kind"),
    [(throughput, "train_throughput"), (memory, "inference"), (per_class, "accuracy")],
)
def test_panels_of_one_measurement_share_a_scale(draw_one, kind):
    """Bars of 575, 598 and 651 images/s were of equal length."""
    names = ("cifar-plain", "cifar-lrn", "cifar-bn")
    records = [make_record(name, kind=kind) for name in names]
    records = [
        replace(
            record,
            images_per_sample=factor * (record.images_per_sample or 1),
            peak_memory_bytes=factor * 2**30,
        )
        for factor, record in zip((1, 2, 3), records, strict=True)
    ]
    panels = shown(draw(draw_one, records).figure)
    assert len(panels) == 3
    assert len({axes.get_xlim() for axes in panels}) == 1


@pytest.mark.parametrize("draw_one", [latency, per_class])
def test_a_figure_of_one_panel_is_as_wide_as_its_card(draw_one):
    kinds = {latency: "latency", per_class: "accuracy"}
    drawing = draw(draw_one, [make_record(kind=kinds[draw_one])])
    assert drawing.figure.get_figwidth() == ALONE


def test_captions_tell_of_no_mark_that_is_not_drawn():
    """One seed has no interval, one break-even is no thin line, and nothing lies on a device."""
    both = ("pytorch", "keras-jax")
    one = [make_record(kind="accuracy", framework=name) for name in both]
    several = [*one, *(replace_seed(record, 1) for record in one)]
    for function, words in (
        (DIFFERENCES.draw, "Lines are 95 % intervals"),
        (accuracy_curves, "Thin lines are seeds"),
    ):
        assert words in draw(function, several).how
        assert words not in draw(function, one).how
    timed = make_record(kind="train_throughput")
    on_device = replace(timed, metrics={**timed.metrics, "device_memory_bytes": 2**30})
    assert "thin bar" in draw(memory, [on_device]).how
    assert "thin bar" not in draw(memory, [timed]).how


def replace_seed(record, seed):
    return make_record(kind=record.kind, framework=record.case.framework, seed=seed)


def test_percentages_on_axes_have_a_space():
    drawing = draw(per_class, [make_record(kind="accuracy")])
    drawing.figure.draw_without_rendering()
    labels = [text.get_text() for axes in drawing.figure.axes for text in axes.get_xticklabels()]
    assert all(label.endswith(" %") for label in labels)


def test_a_long_title_has_lines_and_the_figure_grows_for_them():
    title = "Seconds of a training with recomputed features over cached ones, idiomatic track"
    with style():
        figure = new_figure(PHONE, 3, title, Data("cifar10", "0a"))
        (above,) = [text for text in figure.texts if "recomputed" in text.get_text()]
        assert " ".join(above.get_text().split()) == title
        assert above.get_window_extent().width <= figure.bbox.width
        assert figure.get_figheight() == pytest.approx(
            3 + 0.2 * above.get_text().strip().count("\n")
        )


def test_frameworks_keep_colour_and_dash_whoever_else_is_there():
    alone = [(colour(name, [name]), dash(name, [name])) for name in FRAMEWORKS]
    together = [(colour(name, FRAMEWORKS), dash(name, FRAMEWORKS)) for name in FRAMEWORKS]
    assert alone == together
    assert len({c for c, _ in alone}) == len({d for _, d in alone}) == len(FRAMEWORKS)


def test_each_normalisation_has_a_mark_of_its_own():
    assert marker("cifar-bn") == marker("cifar-bn2") == marker("imagenet-bn")
    assert marker("cifar-lrn") == marker("imagenet-lrn")
    assert len({marker(v) for v in ("cifar-bn", "cifar-lrn", "cifar-plain", "not here")}) == 4


def test_values_are_seen_on_hover_whatever_is_in_a_name(tmp_path):
    with style():
        figure = new_figure(4, 3, "title", Data("cifar10", "0a"))
        (mark,) = figure.subplots().plot(1, 2, "o")
        hover(mark, 'a < b & "c"\nd')
        plot = save(Drawing("one", "title", "how", figure), tmp_path, "table")
    titles = [element.text for element in ET.parse(plot.svg).iter(f"{SVG}title")]
    assert titles == ["a < b & ″c″ d"]
    assert "hover:" not in plot.svg.read_text(encoding="utf-8")


def test_every_plot_shows_values_on_hover(plots):
    for plot in plots:
        titles = [element.text for element in ET.parse(plot).iter(f"{SVG}title")]
        assert titles, plot.name
        assert all(any(letter.isdigit() for letter in title) for title in titles)


def test_a_new_framework_gets_a_colour_of_its_own():
    names = [*FRAMEWORKS, "another", "newcomer"]
    assert len({colour(name, names) for name in names}) == len(names)
    assert len({dash(name, names) for name in names}) == len(names)


def test_drawing_leaves_matplotlib_as_it_was(tmp_path):
    before = dict(mpl.rcParams)
    write_plots([make_record()], tmp_path)
    assert dict(mpl.rcParams) == before


def test_settings_of_the_user_change_no_plot(tmp_path):
    plain, _ = write_plots([make_record(kind="latency")], tmp_path / "plain")
    with mpl.rc_context({"text.usetex": True, "axes.facecolor": "red", "lines.linewidth": 9}):
        again, _ = write_plots([make_record(kind="latency")], tmp_path / "again")
    assert again.svg.read_bytes() == plain.svg.read_bytes()


def test_a_plot_that_fails_is_an_error_or_a_line(tmp_path, monkeypatch):
    def fails(*_):
        raise ValueError("planted\nfailure")

    monkeypatch.setattr(report_plots, "_drawing", fails)
    with pytest.raises(RuntimeError, match=r"could not be drawn: .*: ValueError: planted failure"):
        write_plots([make_record()], tmp_path)
    failed = []
    assert write_plots([make_record()], tmp_path, failed) == []
    (line,) = failed
    assert line.endswith(": ValueError: planted failure")


@pytest.mark.parametrize("drawn", [accuracy_curves, per_class, accuracy_vs_throughput])
def test_two_precisions_of_a_framework_have_names_and_looks_of_their_own(drawn):
    records = [
        make_record(kind=kind, precision=precision, track="tuned")
        for precision in ("float32", "bfloat16")
        for kind in ("accuracy", "train_throughput")
    ]
    # Another execution takes a spare line style before them.
    records.append(make_record(execution="compiled", track="tuned"))
    figure = draw(drawn, records).figure
    (legend,) = figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    told = dict(zip(words, map(look, legend.legend_handles), strict=True))
    assert list(told)[:2] == ["pytorch bfloat16", "pytorch float32"]
    both = [told[name][drawn is accuracy_curves] for name in list(told)[:2]]
    assert len(set(both)) == 2
    there = {look(line)[drawn is accuracy_curves] for axes in figure.axes for line in axes.lines}
    assert set(both) <= there


def look(line):
    """The colour within a mark, and the dashes of a line."""
    return mpl.colors.to_hex(line.get_markerfacecolor()), str(line._dash_pattern)


def test_rows_of_two_precisions_have_names_of_their_own_in_a_forest():
    records = [
        make_record(kind="accuracy", precision=precision, track="tuned", framework=name, seed=seed)
        for precision in ("float32", "bfloat16")
        for name in ("pytorch", "keras-jax")
        for seed in range(2)
    ]
    (axes,) = draw(DIFFERENCES.draw, records).figure.axes
    names = row_names(axes)
    assert len(set(names)) == len(names) == 3
    assert any("keras-jax float32" in name for name in names)
    told = {row["reference"] for row in difference_rows(results_of(records))}
    assert told == {"pytorch bfloat16"}


def test_memory_of_two_recipes_is_one_bar_of_the_first():
    records = [make_record(kind="accuracy", recipe=recipe) for recipe in ("quick", "standard")]
    figure = draw(memory, records).figure
    words = [
        text.get_text() for axes in figure.axes for text in [*axes.texts, *axes.get_yticklabels()]
    ]
    assert words.count("pytorch") == 1
    assert not any("not comparable" in word for word in words)
