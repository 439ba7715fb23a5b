"""The small plots next to the answers of the first screen: a mark per comparison, as SVG.

Drawn by hand and not with matplotlib: the page has several in one document, so that ids, styles and
colours must be the page's own. Colours are its CSS variables and follow its light and dark themes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from bench.report.format import fixed, known
from bench.stats.verdicts import EQUIVALENT_SPEED

SPEED, POINTS, ACCURACY = "speed", "points", "accuracy"

_ROWS = 6
"""Marks of a plot at most; the tables have all."""
_WIDTH, _ROW, _LABELS, _AXIS = 460, 18, 220, 16
_INK, _SOFT, _LINE, _SHADE = (
    "var(--ink, #1f2328)",
    "var(--soft, #59636e)",
    "var(--line, #d0d7de)",
    "var(--plot-shade, #8c959f)",
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
    """

    label: str
    unit: str
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> tuple[float, ...]:
        """What is known of value and ends, in percent."""
        found = (self.value, self.low, self.high)
        return tuple(100 * end for end in found if end is not None and known(end))


def small_plot(marks: Sequence[Mark], title: str) -> Markup:
    """The marks as one inline SVG; empty where there are none.

    Changes are on an axis around 0, with the margin of a tie where they are changes of speed;
    accuracies on one from 0 to 100 %.

    Args:
        marks: In their order from the top.
        title: What the plot says, for readers that do not see it.
    """
    shown = [mark for mark in marks if mark.ends][:_ROWS]
    if not shown:
        return Markup("")
    axis = _Axis.of(shown)
    height = len(shown) * _ROW + _AXIS
    parts = [
        f'<svg class="small-plot" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" aria-label="{escape(title)}" '
        'style="max-width:100%;height:auto;font:11px sans-serif">',
        *axis.below(len(shown) * _ROW),
    ]
    for place, mark in enumerate(shown):
        parts += _row(mark, axis, place * _ROW + _ROW / 2)
    return Markup("".join([*parts, "</svg>"]))  # labels are escaped


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    unit: str
    margin: float = 0.0
    """Half the width of the band around 0 that counts as a tie."""

    @classmethod
    def of(cls, marks: Sequence[Mark]) -> _Axis:
        units = {mark.unit for mark in marks}
        if units == {ACCURACY}:
            return cls(0.0, 100.0, "% test accuracy")
        reach = max(abs(end) for mark in marks for end in mark.ends)
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
        inside = min(max(value, self.low), self.high)
        width = _WIDTH - _LABELS - 10
        return round(_LABELS + width * (inside - self.low) / (self.high - self.low), 1)

    def below(self, y: float) -> list[str]:
        """Band, zero line, ends of the axis and its unit."""
        parts = []
        if self.margin:
            left, right = self.x(-self.margin), self.x(self.margin)
            parts.append(
                f'<rect x="{left}" y="0" width="{right - left:.1f}" height="{y}" '
                f'style="fill:{_SHADE}" fill-opacity="0.2"/>'
            )
        zero = self.x(0.0)
        parts.append(f'<path d="M{zero} 0V{y}" style="stroke:{_LINE}"/>')
        middle = (self.x(self.low) + self.x(self.high)) / 2
        texts = [(self.x(self.low), "start", _number(self.low, self.low < 0))]
        texts += [(middle, "middle", self.unit)]
        texts += [(self.x(self.high), "end", _number(self.high, self.low < 0))]
        for x, anchor, text in texts:
            parts.append(
                f'<text x="{x:.1f}" y="{y + 11}" text-anchor="{anchor}" '
                f'style="fill:{_SOFT};font-size:9px">{escape(text)}</text>'
            )
        return parts


def _row(mark: Mark, axis: _Axis, y: float) -> list[str]:
    value = 100 * mark.value
    shown = f"{mark.label}  {_number(value, mark.unit != ACCURACY)}"
    parts = [
        f'<text x="{_LABELS - 8}" y="{y + 4}" text-anchor="end" style="fill:{_INK}">'
        f"{escape(shown)}</text>"
    ]
    if mark.low is not None and mark.high is not None:
        ends = f"M{axis.x(100 * mark.low)} {y}H{axis.x(100 * mark.high)}"
        parts.append(f'<path d="{ends}" style="stroke:{_INK}" stroke-width="2"/>')
    filled = _SHADE if mark.unit == POINTS else _INK
    parts.append(f'<circle cx="{axis.x(value)}" cy="{y}" r="4" style="fill:{filled}"/>')
    return parts


def _number(value: float, signed: bool) -> str:
    digits = 0 if abs(value) >= 10 or value == 0 else 1
    text = fixed(abs(value), digits)
    sign = ("−" if value < 0 else "+") if signed and float(text) else ""
    return f"{sign}{text}"


def _round(reach: float) -> float:
    """Up to one of 1, 2, 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(max(reach, 1.0)))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= reach - 1e-9))
