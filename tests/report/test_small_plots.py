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


def drawn(*marks: Mark) -> ElementTree.Element:
    return ElementTree.fromstring(str(small_plot(marks, "Who?")))


def places(svg: ElementTree.Element) -> list[float]:
    return [float(circle.attrib["cx"]) for circle in svg.iter("circle")]


def lines(svg: ElementTree.Element) -> list[tuple[float, float]]:
    found = [re.fullmatch(r"M([\d.]+) [\d.]+H([\d.]+)", p.attrib["d"]) for p in svg.iter("path")]
    return [(float(m[1]), float(m[2])) for m in found if m]


def reference(svg: ElementTree.Element) -> float:
    """The place of the one line at 0 or 1x, which passes all marks."""
    paths = [path.attrib["d"] for path in svg.iter("path")]
    ((place, end),) = [m.groups() for d in paths if (m := re.fullmatch(r"M([\d.]+) 0V(\d+)", d))]
    assert float(end) > max(float(circle.attrib["cy"]) for circle in svg.iter("circle"))
    return float(place)


def test_a_mark_and_its_interval_stand_where_their_values_are() -> None:
    svg = drawn(Mark("a", SPEED, 0.10, 0.05, 0.15), Mark("b", SPEED, -0.10, -0.2, 0.0))
    (first, second), ((low, high), _) = places(svg), lines(svg)
    middle = (first + second) / 2
    assert reference(svg) == pytest.approx(middle, abs=0.2)
    assert "0" in [text.text for text in svg.iter("text")]
    assert low < first < high
    assert first - low == pytest.approx(high - first, abs=0.2)
    assert lines(svg)[1][1] == pytest.approx(middle, abs=0.2)
    band = next(svg.iter("rect"))
    left, width = float(band.attrib["x"]), float(band.attrib["width"])
    assert left + width == pytest.approx(first, abs=0.2)  # the margin of a tie is 10 %
    assert left == pytest.approx(second, abs=0.2)


def test_marks_of_one_label_are_told_by_their_detail() -> None:
    some = [Mark("a", ACCURACY, 0.1, detail="short"), Mark("a", ACCURACY, 0.2, detail="long")]
    svg = drawn(*some, Mark("b", ACCURACY, 0.3, detail="unsaid"))
    told = [text.text for text in svg.iter("text")]
    assert {"a, short", "a, long", "b"} <= set(told)


@pytest.mark.parametrize("ratio", [5, 12, 100])
def test_large_ratios_are_on_a_logarithmic_axis_that_holds_them(ratio: float) -> None:
    faster = Mark("a", SPEED, ratio - 1, 0.8 * ratio - 1, 1.25 * ratio - 1)
    svg = drawn(faster, Mark("b", SPEED, 1 / ratio - 1, 0.8 / ratio - 1, 1.25 / ratio - 1))
    (one, other), ((low, high), _) = places(svg), lines(svg)
    even = reference(svg)
    assert one - even == pytest.approx(even - other, abs=0.3)
    assert one - low == pytest.approx(high - one, abs=0.3)
    assert 0 < other < one < 330
    assert f"{ratio}x" in {text.text.replace(".0x", "x") for text in svg.iter("text")}


def test_a_change_of_a_thousand_points_has_a_plot() -> None:
    svg = drawn(Mark("a", SPEED, 12.0), Mark("b", POINTS, 0.1))
    assert "+1,200" in "".join(svg.itertext())


def test_values_have_the_digits_of_their_sentences() -> None:
    """46.7 and 47.4 % are not 47 and 47."""
    texts = [
        text.text for text in drawn(Mark("a", ACCURACY, 0.467), Mark("b", ACCURACY, 0.474)).iter()
    ]
    assert {"46.7 %", "47.4 %"} < set(texts)
    texts = [t.text for t in drawn(Mark("a", POINTS, 0.1234), Mark("b", SPEED, -0.125)).iter()]
    assert {"+12.3 pt", "−13 %"} < set(texts)


def test_an_undecided_mark_is_hollow_and_an_end_beyond_the_axis_is_an_arrow() -> None:
    svg = drawn(Mark("a", SPEED, 0.1, -0.9, 9.0, decided=False), Mark("b", SPEED, 0.2))
    hollow, filled = [circle.attrib["style"] for circle in svg.iter("circle")]
    assert ("--paper" in hollow, "--paper" in filled) == (True, False)
    assert "hollow: no verdict" in "".join(svg.itertext())
    assert "hollow" not in "".join(drawn(Mark("b", SPEED, 0.2)).itertext())
    assert sum(path.attrib["d"].endswith("z") for path in svg.iter("path")) == 2
    assert "[0.10x, 10x]" in "".join(svg.itertext())


def test_a_tie_is_as_wide_as_the_unit_of_its_mark_says() -> None:
    """5.9 points are no tie, though 5.9 % of speed are one."""
    svg = drawn(Mark("a", POINTS, 0.059), Mark("a", SPEED, 0.059))
    (points, speed), bands = places(svg), list(svg.iter("rect"))
    ends = [float(band.attrib["x"]) + float(band.attrib["width"]) for band in bands]
    assert ends[0] < points == speed < ends[1]


def test_labels_have_only_what_differs_and_say_how_many_values_are_left_out() -> None:
    svg = drawn(*(Mark(f"a network · batch {n}, closed", SPEED, n / 100) for n in range(1, 8)))
    texts = [text.text for text in svg.iter("text")]
    assert [text for text in texts if "batch" in text] == [f"batch {n}" for n in range(1, 7)]
    assert "6 of 7 values; the chapters below have all" in texts


def test_no_label_is_wider_than_the_plot() -> None:
    long = "imagenet-lrn · pretrained bvlc, head pool-narrow, trunk frozen · transfer-frozen@0.5"
    svg = drawn(Mark(long, ACCURACY, 0.5))
    texts = [str(text.text) for text in svg.iter("text")]
    lines_of = [text for text in texts if len(text) > 3 and text[:5] in long]
    assert " ".join(lines_of) == long.replace(" · ", ", ")
    assert max(map(len, lines_of)) < 50


def test_accuracies_are_on_an_axis_from_0_to_100() -> None:
    svg = drawn(*(Mark(str(value), ACCURACY, value) for value in (0.0, 0.5, 1.0)))
    first, half, last = places(svg)
    assert half == pytest.approx((first + last) / 2, abs=0.2)
    assert not list(svg.iter("rect"))
    assert "test accuracy (%)" in "".join(svg.itertext())
    assert reference(svg) == first


def test_a_very_wide_interval_ends_at_the_axis_and_leaves_the_values_apart() -> None:
    svg = drawn(Mark("wide", SPEED, 0.1, -0.9, 9.0), Mark("other", SPEED, -0.2, -0.3, -0.1))
    ends = [end for line in lines(svg) for end in line]
    assert max(ends) <= 330
    assert min(ends) >= 0
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
            "var(--ink, #1f2328)", "var(--soft, #59636e)", "var(--shade, #f4f6f9)",
            "var(--plot-shade, #8c959f)", "var(--paper, #ffffff)",
        }  # fmt: skip


def test_the_page_has_the_pictures(tmp_path) -> None:  # type: ignore[no-untyped-def]
    page = write_results(timed([1.1, 1.12, 1.14]), tmp_path).read_text("utf-8")
    assert '<svg class="small-plot"' in page
