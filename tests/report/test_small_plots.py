"""The small plots of the answers: what they show, and that a page may have many of them."""

import re
from xml.etree import ElementTree

import pytest

from bench.report.first_screen.answers import answers
from bench.report.first_screen.small_plots import ACCURACY, POINTS, SPEED, Mark, small_plot
from bench.report.html import write_results
from tests.report.test_answers import learned, pretrained, timed
from tests.support.synthetic_records.synthetic_normalisation import (
    make_normalisations,
    make_trained,
)

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*marks: Mark) -> ElementTree.Element:
    return ElementTree.fromstring(str(small_plot(marks, "Who?")))


def places(svg: ElementTree.Element) -> list[float]:
    return [float(circle.attrib["cx"]) for circle in svg.iter("circle")]


def lines(svg: ElementTree.Element) -> list[tuple[float, float]]:
    found = [re.fullmatch(r"M([\d.]+) [\d.]+H([\d.]+)", p.attrib["d"]) for p in svg.iter("path")]
    return [(float(m[1]), float(m[2])) for m in found if m]


def test_a_mark_and_its_interval_stand_where_their_values_are() -> None:
    svg = drawn(Mark("a", SPEED, 0.10, 0.05, 0.15), Mark("b", SPEED, -0.10, -0.2, 0.0))
    (first, second), ((low, high), _) = places(svg), lines(svg)
    middle = (first + second) / 2
    assert low < first < high
    assert first - low == pytest.approx(high - first, abs=0.2)
    assert lines(svg)[1][1] == pytest.approx(middle, abs=0.2)
    band = next(svg.iter("rect"))
    left, width = float(band.attrib["x"]), float(band.attrib["width"])
    assert left + width == pytest.approx(first, abs=0.2)  # the margin of a tie is 10 %
    assert left == pytest.approx(second, abs=0.2)


@pytest.mark.parametrize("ratio", [5, 12, 100])
def test_large_ratios_are_on_a_logarithmic_axis_that_holds_them(ratio: float) -> None:
    faster = Mark("a", SPEED, ratio - 1, 0.8 * ratio - 1, 1.25 * ratio - 1)
    svg = drawn(faster, Mark("b", SPEED, 1 / ratio - 1, 0.8 / ratio - 1, 1.25 / ratio - 1))
    (one, other), ((low, high), _) = places(svg), lines(svg)
    (even,) = [m for p in svg.iter("path") if (m := re.fullmatch(r"M([\d.]+) 0V.*", p.attrib["d"]))]
    assert one - float(even[1]) == pytest.approx(float(even[1]) - other, abs=0.3)
    assert one - low == pytest.approx(high - one, abs=0.3)
    assert 220 < other < one < 450
    assert f"a  {ratio}x" in " ".join("".join(svg.itertext()).split("\n")).replace(".0x", "x")


def test_a_change_of_a_thousand_points_has_a_plot() -> None:
    svg = drawn(Mark("a", SPEED, 12.0), Mark("b", POINTS, 0.1))
    assert "+1,200" in "".join(svg.itertext())


def test_an_undecided_mark_is_hollow_and_an_end_beyond_the_axis_is_an_arrow() -> None:
    svg = drawn(Mark("a", SPEED, 0.1, -0.9, 9.0, decided=False), Mark("b", SPEED, 0.2))
    hollow, filled = [circle.attrib["style"] for circle in svg.iter("circle")]
    assert ("--paper" in hollow, "--paper" in filled) == (True, False)
    assert sum(path.attrib["d"].endswith("z") for path in svg.iter("path")) == 2
    assert "[0.1x, 10x]" in "".join(svg.itertext())


def test_accuracies_are_on_an_axis_from_0_to_100() -> None:
    svg = drawn(*(Mark(str(value), ACCURACY, value) for value in (0.0, 0.5, 1.0)))
    first, half, last = places(svg)
    assert half == pytest.approx((first + last) / 2, abs=0.2)
    assert not list(svg.iter("rect"))
    assert "% test accuracy" in "".join(svg.itertext())


def test_a_very_wide_interval_ends_at_the_axis_and_leaves_the_values_apart() -> None:
    svg = drawn(Mark("wide", SPEED, 0.1, -0.9, 9.0), Mark("other", SPEED, -0.2, -0.3, -0.1))
    ends = [end for line in lines(svg) for end in line]
    assert max(ends) <= 460
    assert min(ends) >= 220
    one, other = places(svg)
    assert one - other > 20


def test_names_are_escaped_and_there_is_nothing_without_marks() -> None:
    assert small_plot([], "Who?") == ""
    assert small_plot([Mark("a", POINTS, float("nan"))], "Who?") == ""
    text = str(small_plot([Mark("<b>&", POINTS, 0.1)], '"><script>'))
    assert "<script>" not in text
    assert "<b>" not in text
    ElementTree.fromstring(text)


def test_every_answer_with_a_comparison_has_a_picture_without_ids_or_fixed_colours() -> None:
    scratch = make_trained("torchvision", (0.50, 0.51, 0.52), track="tuned")
    cases = {
        0: timed([1.1, 1.12, 1.14]),
        1: timed([1.2] * 3, kind="inference"),
        2: learned((0.60, 0.61), (0.59, 0.60)),
        3: make_normalisations(),
        4: [*scratch, *pretrained((0.80, 0.81, 0.82))],
    }
    for place, records in cases.items():
        text = str(answers(records)[place].plot)
        svg = ElementTree.fromstring(text)
        assert places(svg)
        assert svg.attrib["aria-label"].endswith("?")
        assert " id=" not in text
        assert set(re.findall(r"(?:fill|stroke):([^;\"]+)", text)) <= {
            "var(--ink, #1f2328)", "var(--soft, #59636e)", "var(--line, #d0d7de)",
            "var(--plot-shade, #8c959f)", "var(--paper, #ffffff)",
        }  # fmt: skip


def test_the_page_has_the_pictures(tmp_path) -> None:  # type: ignore[no-untyped-def]
    page = write_results(timed([1.1, 1.12, 1.14]), tmp_path).read_text("utf-8")
    assert '<svg class="small-plot"' in page
