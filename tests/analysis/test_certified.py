"""Rows of the closed track without a passed certificate stand apart, everywhere, with why."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pandas as pd
import pytest

from bench.analysis.experiments import Data, experiments
from bench.report.html import write_results
from bench.report.plot_style import new_figure, retitle, style
from bench.report.plots import write_plots
from bench.report.readme import overview
from bench.report.summary import headlines
from bench.report.tables import TABLES, as_markdown, frame, sections
from tests.support.synthetic_records.synthetic import (
    FAILED_PARITY,
    FRAMEWORKS,
    PARITY,
    make_failure,
    make_record,
    make_run,
)

TABLE = {table.name: table for table in TABLES}
SPLIT = ("accuracy", "time_to_accuracy", "throughput", "latency", "startup", "per_class")
UNCHECKED = {"status": "unchecked"}
WHY = "float64 gradients part at conv3.weight: 2.0e-03, bound 1e-10"


def without(records, framework, parity):
    """The records, those of one framework in the closed track with another certificate."""
    return [
        replace(record, parity=parity)
        if record.case.framework == framework and record.case.track == "closed"
        else record
        for record in records
    ]


def uncertified(records, parity=UNCHECKED):
    for framework in FRAMEWORKS:
        records = without(records, framework, parity)
    return records


@pytest.fixture(scope="module")
def mixed():
    return without(make_run(seeds=1), "pytorch", FAILED_PARITY)


@pytest.mark.parametrize("name", SPLIT)
def test_uncertified_rows_have_a_section_of_their_own_with_why(name, mixed):
    found = sections(TABLE[name], mixed)
    assert [(s.track, s.certified) for s in found] == [
        ("closed", True),
        ("closed", False),
        ("idiomatic", True),
    ]
    together, apart, _ = found
    place = together.headers.index("framework")
    assert "pytorch" not in {row[place] for row in together.cells}
    assert {row[apart.headers.index("framework")] for row in apart.cells} == {"pytorch"}
    assert apart.title.startswith("Closed track, uncertified")
    assert f"cifar-bn and cifar-lrn in pytorch: {WHY}" in apart.notes
    assert not any(WHY in note for note in together.notes)


@pytest.mark.parametrize("name", ["throughput", "latency"])
def test_an_uncertified_row_is_no_reference_and_gets_no_ratio(name, mixed):
    rows = frame(TABLE[name], mixed)
    closed = rows[rows["track"] == "closed"].set_index("framework")
    assert closed.loc["pytorch", ["ratio", "ratio_low", "reference"]].isna().all().all()
    assert (closed.loc["pytorch", "verdict"] == "").all()
    assert set(closed["reference"].dropna()) == {"keras-tensorflow"}
    assert (closed.loc["keras-jax", "ratio"] > 0).all()
    assert set(rows[rows["track"] == "idiomatic"]["reference"]) == {"pytorch"}


def test_two_uncertified_rows_get_no_ratio_between_them_either():
    records = uncertified(make_run(seeds=1), FAILED_PARITY)
    rows = frame(TABLE["throughput"], records)
    assert rows[rows["track"] == "closed"]["ratio"].isna().all()
    apart, _ = sections(TABLE["throughput"], records)
    assert not apart.certified
    assert not {"verdict", "x pytorch", "x reference"} & set(apart.headers)


@pytest.mark.parametrize("name", SPLIT)
def test_csv_has_all_rows_with_the_certificate_and_the_problem(name, mixed):
    rows = frame(TABLE[name], mixed)
    closed = rows[rows["track"] == "closed"].set_index("framework")
    assert set(closed.loc["pytorch", "parity"]) == {"fail"}
    assert set(closed.loc["pytorch", "parity_problem"]) == {WHY}
    assert set(closed.loc["keras-jax", "parity"]) == {"pass"}
    assert closed.loc["keras-jax", "parity_problem"].isna().all()
    assert len(rows) == len(frame(TABLE[name], make_run(seeds=1)))


@pytest.mark.parametrize(
    ("parity", "why"),
    [
        ({}, "no certificate was made"),
        (UNCHECKED, "no certificate was made"),
        ({**UNCHECKED, "problem": "timeout\n in  /home/me/x.py"}, "timeout in …/x.py"),
        ({"status": "fail"}, "its certificate says 'fail', and not why"),
    ],
)
def test_there_is_always_a_why(parity, why):
    record = make_record(parity=parity)
    text = as_markdown(TABLE["latency"], [record])
    assert f"cifar-bn in pytorch: {why}" in text
    assert "/home" not in text


@pytest.mark.parametrize("changes", [{}, {"track": "idiomatic", "parity": {"status": "unchecked"}}])
def test_certified_and_idiomatic_rows_stand_with_the_others(changes):
    text = as_markdown(TABLE["latency"], [make_record(**changes)])
    assert "certificate" not in text
    assert "ncertified" not in text


def test_seeds_with_and_without_proof_are_rows_apart():
    records = [make_record(kind="accuracy", seed=seed) for seed in range(3)]
    records[1] = replace(records[1], parity=FAILED_PARITY)
    certificate_done, apart = experiments(records, ("accuracy",))
    assert [r.case.seed for r in certificate_done.records] == [0, 2]
    assert [r.case.seed for r in apart.records] == [1]
    assert (certificate_done.parity, apart.parity) == ("pass", "fail")
    assert frame(TABLE["accuracy"], records)["seeds"].tolist() == [2, 1]


def test_headlines_hold_no_number_of_an_uncertified_row(mixed):
    closed = next(part for part in headlines(mixed) if part.title.startswith("Closed"))
    numbers = [line for line in closed.lines if "Uncertified" not in line]
    assert len(numbers) == 4
    assert all("pytorch" not in line for line in numbers)
    assert closed.lines[-1] == (
        f"Uncertified and shown apart: cifar-bn and cifar-lrn in pytorch: {WHY}."
    )


def test_headlines_of_a_run_without_a_certificate_say_only_that():
    closed, _ = headlines(uncertified(make_run(seeds=1)))
    (line,) = closed.lines
    assert "no certificate was made" in line
    assert not any(digit in line for digit in "0123456789")


def test_readme_leaves_uncertified_rows_out_and_says_so(mixed):
    closed, idiomatic = ("\n".join(overview(mixed, (name,))) for name in ("closed", "idiomatic"))
    assert "| pytorch" not in closed
    assert "| keras-jax" in closed
    assert f"Left out as uncertified: cifar-bn and cifar-lrn in pytorch: {WHY}." in closed
    assert "| pytorch" in idiomatic
    assert "ncertified" not in idiomatic


def test_readme_of_a_run_without_a_certificate_has_no_closed_table():
    closed = "\n".join(overview(uncertified(make_run(seeds=1)), ("closed",)))
    assert "|" not in closed
    assert "Left out as uncertified: cifar-bn and cifar-lrn in pytorch, keras-tensorflow" in closed


def words(plot):
    """The text that is drawn, and the caption."""
    tree = ET.parse(plot.svg).iter("{http://www.w3.org/2000/svg}text")
    return " ".join(element.text or "" for element in tree)


def test_plots_of_uncertified_rows_are_drawings_of_their_own(tmp_path):
    records = without(
        [make_record(framework=name) for name in FRAMEWORKS], "keras-jax", FAILED_PARITY
    )
    found = write_plots(records, tmp_path)
    together, apart = (plot for plot in found if plot.table == "latency")
    assert together.name == "latency_closed"
    assert apart.name == "latency_closed_uncertified"
    assert "keras-jax" not in words(together)
    assert "1 row is not in this plot, for want of a passed parity certificate." in together.how
    assert "keras-jax" in words(apart)
    assert "pytorch" not in words(apart)
    assert "closed track, uncertified" in words(apart)
    assert WHY in apart.how


def test_captions_count_what_is_left_out_of_their_own_plot(tmp_path):
    records = [
        *(make_record(framework=name) for name in FRAMEWORKS),
        *(make_record(framework=name, kind="startup", parity=UNCHECKED) for name in FRAMEWORKS),
        *(make_record(framework=name, kind="accuracy") for name in FRAMEWORKS[:3]),
        make_record(framework="keras-torch", kind="accuracy", parity=UNCHECKED),
    ]
    captions = {plot.name: plot.how for plot in write_plots(records, tmp_path)}
    assert "not in this plot" not in captions["latency_closed"]
    assert "1 row is not in this plot" in captions["accuracy_curves_closed"]
    assert "1 row is not in this plot" in captions["divergence_closed"]
    assert "no certificate was made" in captions["startup_closed_uncertified"]
    assert "divergence_closed_uncertified" not in captions


@pytest.mark.parametrize("width", [4, 5, 12])
def test_the_longer_title_is_not_cut(width):
    with style():
        figure = new_figure(width, 3, "short", Data("cifar10", "0a"))
        retitle(figure, "Latency of one image, closed track, uncertified")
        (title,) = [text for text in figure.texts if "Latency" in text.get_text()]
        assert title.get_window_extent().x1 <= figure.bbox.width
        assert title.get_fontsize() == 12 or width < 12


@pytest.mark.slow
def test_a_report_without_a_certificate_is_complete(tmp_path):
    page = write_results(uncertified(make_run(seeds=1)), tmp_path).read_text(encoding="utf-8")
    for name in ("accuracy", "throughput", "latency", "startup", "per_class", "parity"):
        assert f'<section id="{name}">' in page
    names = {path.stem for path in (tmp_path / "plots").glob("*.svg")}
    assert page.count("<figure") == len(names) > 19
    # All but the divergence of trainings and the closed ratios.
    assert not any(name.startswith(("divergence", "speed_ratios_closed")) for name in names)
    assert "0 of 40 results of the closed track have a passed certificate." in page
    # What the track is, next to the answers and in the list of tracks; no section of it.
    assert page.count("Closed track (same weights") == 2


@pytest.mark.usefixtures("undrawn")
def test_the_report_counts_certificates(tmp_path):
    records = [make_record(), make_record(framework="keras-jax", parity=FAILED_PARITY)]
    page = write_results(records, tmp_path).read_text(encoding="utf-8")
    assert "1 of 2 results of the closed track has a passed certificate." in page
    assert f"cifar-bn in keras-jax: {WHY}" in page


def certificates(records):
    (section,) = sections(TABLE["parity"], records)
    return [dict(zip(section.headers, row, strict=True)) for row in section.cells], section


def test_the_parity_table_has_a_line_for_each_network_head_and_framework():
    records = [*make_run(seeds=2), make_record(head="narrow"), make_failure(parity=UNCHECKED)]
    shown, section = certificates(records)
    named = [(row["network"], row["head"], row["framework"]) for row in shown]
    assert named == [
        *(("cifar-bn", "source", framework) for framework in FRAMEWORKS),
        ("cifar-bn", "narrow", "pytorch"),
        *(("cifar-lrn", "source", framework) for framework in FRAMEWORKS),
    ]
    assert section.title == "Certificates of the closed track"


def test_each_figure_of_a_certificate_stands_beside_its_bound():
    records = [make_record(), make_record(framework="keras-jax", parity=FAILED_PARITY)]
    (good, bad), section = certificates(records)
    assert good["float32 logits"] == "2.1e-07 ≤ 1e-05"
    assert good["float64 gradients"] == "3.2e-13 ≤ 1e-10"
    assert good["float64 SGD weights"] == "4.3e-12 ≤ 1e-09"
    assert good["float64 Adam weights"] == "5.4e-11 ≤ 1e-08"
    assert good["weights sha256"] == "abcdef012345"
    assert good["versions"] == "torch 2.9.0"
    assert bad["certificate"] == "fail"
    assert bad["float64 gradients"] == "2.0e-03 > 1e-10"
    assert section.notes == (f"cifar-bn in keras-jax: {WHY}",)


def test_the_csv_of_certificates_has_every_figure():
    (row,) = frame(TABLE["parity"], [make_record()]).to_dict("records")
    for name, figure in PARITY["figures"].items():
        for part, value in figure.items():
            assert row[f"{name}: {part}"] == value
    assert row["weights_sha256"] == PARITY["weights_sha256"]


def test_certificates_that_differ_are_lines_of_their_own():
    other = {**PARITY, "key": "other", "versions": {"torch": "3.0.0"}}
    records = [make_record(), make_record(kind="accuracy", parity=other)]
    shown, _ = certificates(records)
    assert [row["versions"] for row in shown] == ["torch 2.9.0", "torch 3.0.0"]


def test_certificates_that_were_never_made_leave_a_readable_table():
    records = uncertified(make_run(seeds=1))
    shown, section = certificates(records)
    assert set(section.headers) == {"network", "framework", "certificate"}
    assert {row["certificate"] for row in shown} == {"unchecked"}
    assert pd.isna(frame(TABLE["parity"], records)["weights_sha256"]).all()
