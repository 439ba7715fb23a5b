"""The small plots next to the answers of the first screen: a mark per comparison, as SVG.

Drawn by hand and not with matplotlib: the page has several in one document, so that ids, styles and
colours must be the page's own. Colours are its CSS variables and follow its light and dark themes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from bench.report.format import fixed, known, significant
from bench.stats.verdicts import EQUIVALENT_SPEED

SPEED, POINTS, ACCURACY = "speed", "points", "accuracy"

_ROWS = 6
"""Marks of a plot at most; the tables have all."""
_WIDTH, _ROW, _LABELS, _AXIS = 460, 18, 220, 16
_SIZE, _LETTER = 11, 0.54
"""Size of a letter, and its mean width over its size."""
_DOUBLED = 100.0
"""Change of speed in percent from which on a plot has ratios."""
_TWICE = 2.0
_LEAST, _BEYOND, _FARTHEST = 5.0, 4.0, 1000.0
"""Ratios: as far as the axis reaches for intervals, beyond values by this factor, and at most."""
_INK, _SOFT, _LINE, _SHADE, _PAPER = (
    "var(--ink, #1f2328)",
    "var(--soft, #59636e)",
    "var(--line, #d0d7de)",
    "var(--plot-shade, #8c959f)",
    "var(--paper, #ffffff)",
)


@dataclass(frozen=True)
class Mark:
    """One value of a plot, with its interval.

    Attributes:
        label: What it is of, in a few words.
        unit: `SPEED` (change of speed, a fraction), `POINTS` (change of accuracy, a fraction) or
            `ACCURACY` (a fraction).
        value: The value.
        low: Lower end of its 95 % interval; None where it is unknown.
        high: Upper end.
        decided: Whether the comparison has a verdict: else the mark is hollow.
    """

    label: str
    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    decided: bool = True

    @property
    def ends(self) -> tuple[float, ...]:
        """What is known of value and ends, in percent."""
        found = (self.value, self.low, self.high)
        return tuple(100 * end for end in found if end is not None and known(end))


def small_plot(marks: Sequence[Mark], title: str) -> Markup:
    """The marks as one inline SVG; empty where there are none.

    Changes are on an axis around 0, with the margin of a tie where they are changes of speed;
    speeds of which one is at least doubled are ratios on a logarithmic axis around 1x; accuracies
    are on an axis from 0 to 100 %. An end beyond the axis is an arrow.

    Args:
        marks: In their order from the top.
        title: What the plot says, for readers that do not see it.
    """
    # What several comparisons share has one mark.
    shown = [mark for mark in dict.fromkeys(marks) if mark.ends][:_ROWS]
    if not shown:
        return Markup("")
    axis = _Axis.of(shown)
    height = len(shown) * _ROW + _AXIS
    parts = [
        f'<svg class="small-plot" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" aria-label="{escape(title)}" '
        f'style="max-width:100%;height:auto;font:{_SIZE}px sans-serif">',
        *axis.below(len(shown) * _ROW),
    ]
    for place, mark in enumerate(shown):
        parts += _row(mark, axis, place * _ROW + _ROW / 2)
    return Markup("".join([*parts, "</svg>"]))  # labels are escaped


@dataclass(frozen=True)
class _Axis:
    """Where values stand, in percent.

    Attributes:
        low: Its left end.
        high: Its right end.
        unit: What it says below.
        margin: Half the width of the band around 0 that counts as a tie.
        ratio: Whether changes are drawn and written as ratios.
    """

    low: float
    high: float
    unit: str
    margin: float = 0.0
    ratio: bool = False

    @classmethod
    def of(cls, marks: Sequence[Mark]) -> _Axis:
        units = {mark.unit for mark in marks}
        if units == {ACCURACY}:
            return cls(0.0, 100.0, "% test accuracy")
        ends = [end for mark in marks for end in mark.ends]
        if units == {SPEED} and max(ends) >= _DOUBLED:
            values = max(_factor(100 * mark.value) for mark in marks)
            farthest = min(max(map(_factor, ends)), max(_BEYOND * values, _LEAST))
            reach = 100 * (_round(min(farthest, _FARTHEST)) - 1)
            words = "times as fast; shaded: margin of a tie"
            return cls(_inverse(reach), reach, words, 100 * EQUIVALENT_SPEED, ratio=True)
        reach = max(map(abs, ends))
        values = max(abs(100 * mark.value) for mark in marks)
        # An interval that is many times as wide as all values would press them into one point.
        reach = _round(min(reach, max(5 * values, 50.0)))
        margin = 100 * EQUIVALENT_SPEED if SPEED in units else 0.0
        reach = max(reach, 1.5 * margin)
        unit = {
            frozenset({SPEED}): "% speed; shaded: margin of a tie",
            frozenset({POINTS}): "points of test accuracy",
        }.get(frozenset(units), "% speed, or points; shaded: a tie")
        return cls(-reach, reach, unit, margin)

    def x(self, value: float) -> float:
        inside = self._place(min(max(value, self.low), self.high))
        low, high = self._place(self.low), self._place(self.high)
        width = _WIDTH - _LABELS - 10
        return round(_LABELS + width * (inside - low) / (high - low), 1)

    def _place(self, value: float) -> float:
        return math.log(_of_change(value)) if self.ratio else value

    def show(self, value: float, *, signed: bool) -> str:
        """A value in figures: ``+12``, ``3.4x`` on an axis of ratios."""
        return f"{_figures(_of_change(value))}x" if self.ratio else _number(value, signed)

    def below(self, y: float) -> list[str]:
        """Band, zero line, ends of the axis and its unit."""
        parts = []
        if self.margin:
            least = _inverse(self.margin) if self.ratio else -self.margin
            left, right = self.x(least), self.x(self.margin)
            parts.append(
                f'<rect x="{left}" y="0" width="{right - left:.1f}" height="{y}" '
                f'style="fill:{_SHADE}" fill-opacity="0.2"/>'
            )
        zero = self.x(0.0)
        parts.append(f'<path d="M{zero} 0V{y}" style="stroke:{_LINE}"/>')
        middle = (self.x(self.low) + self.x(self.high)) / 2
        signed = self.low < 0
        texts = [(self.x(self.low), "start", self.show(self.low, signed=signed))]
        texts += [(middle, "middle", self.unit)]
        texts += [(self.x(self.high), "end", self.show(self.high, signed=signed))]
        for x, anchor, text in texts:
            parts.append(
                f'<text x="{x:.1f}" y="{y + 11}" text-anchor="{anchor}" '
                f'style="fill:{_SOFT};font-size:9px">{escape(text)}</text>'
            )
        return parts


def _row(mark: Mark, axis: _Axis, y: float) -> list[str]:
    value = 100 * mark.value
    signed = mark.unit != ACCURACY
    shown = f"{mark.label}  {axis.show(value, signed=signed)}"
    room = _LABELS - 8
    size = min(_SIZE, room / (_LETTER * len(shown)))  # a long label in smaller letters, not cut
    parts = [
        f'<text x="{room}" y="{y + 4}" text-anchor="end" '
        f'style="fill:{_INK};font-size:{size:.3g}px">'
        f"{escape(shown)}</text>"
    ]
    if mark.low is not None and mark.high is not None and known(mark.low) and known(mark.high):
        low, high = 100 * mark.low, 100 * mark.high
        words = ", ".join(axis.show(end, signed=signed) for end in (low, high))
        parts.insert(0, f"<title>{escape(shown)} [{words}]</title>")
        ends = f"M{axis.x(low)} {y}H{axis.x(high)}"
        parts.append(f'<path d="{ends}" style="stroke:{_INK}" stroke-width="2"/>')
        parts += [_arrow(axis.x(low), y, 1)] if low < axis.low else []
        parts += [_arrow(axis.x(high), y, -1)] if high > axis.high else []
    filled = _SHADE if mark.unit == POINTS else _INK
    inside = filled if mark.decided else _PAPER
    parts.append(
        f'<circle cx="{axis.x(value)}" cy="{y}" r="4" '
        f'style="fill:{inside};stroke:{filled}" stroke-width="1.5"/>'
    )
    return ["<g>", *parts, "</g>"]


def _arrow(x: float, y: float, inward: int) -> str:
    """The head of an arrow at an end that lies beyond the axis."""
    return f'<path d="M{x} {y}l{7 * inward} -4v8z" style="fill:{_INK}"/>'


def _of_change(percent: float) -> float:
    """The ratio of a change in percent; the smallest that is drawn where nothing is left."""
    return max(1 + percent / 100, 1 / _FARTHEST)


def _factor(percent: float) -> float:
    """How far a change is from none, faster or slower: 2 for half and double the speed."""
    return max(_of_change(percent), 1 / _of_change(percent))


def _inverse(percent: float) -> float:
    """The change that undoes another one: -50 % of +100 %."""
    return 100 * (1 / _of_change(percent) - 1)


def _number(value: float, signed: bool) -> str:
    digits = 0 if abs(value) >= 10 or value == 0 else 1
    shown = abs(value) >= 0.5 * 10**-digits
    sign = ("−" if value < 0 else "+") if signed and shown else ""
    return f"{sign}{fixed(abs(value), digits)}"


def _figures(ratio: float) -> str:
    """A ratio with two digits, and whole from 10 on: ``0.2``, ``1.02``, ``12``."""
    digits = 2 if ratio < 1 or ratio >= _TWICE else 3
    return f"{float(significant(ratio, digits).replace(',', '')):,g}"


def _round(reach: float) -> float:
    """Up to one of 1, 2, 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(max(reach, 1.0)))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= reach - 1e-9))
