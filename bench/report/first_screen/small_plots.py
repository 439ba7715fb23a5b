"""The small plots next to the answers of the first screen: a mark per comparison, as SVG.

Drawn by hand and not with matplotlib: the page has several in one document, so that ids, styles and
colours must be the page's own. Colours are its CSS variables and follow its light and dark themes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from markupsafe import Markup, escape

from bench.report.first_screen.wording import percents
from bench.report.format import fixed, known, significant
from bench.stats.verdicts import EQUIVALENT_ACCURACY, EQUIVALENT_SPEED

SPEED, POINTS, ACCURACY = "speed", "points", "accuracy"
_MARGIN = {SPEED: 100 * EQUIVALENT_SPEED, POINTS: 100 * EQUIVALENT_ACCURACY, ACCURACY: 0.0}
"""Half the width of what counts as a tie, in percent and points."""

_ROWS = 6
"""Marks of a plot at most; the tables have all."""
_WIDTH, _EDGE = 330, 8
"""Pixels: as wide as a phone has room for, so that letters keep their size there."""
_SIZE, _SMALL, _LETTER = 12, 10, 0.56
"""Sizes of letters in pixels, and their mean width over their size."""
_LINE_OF_TEXT, _MARK, _AXIS, _GAP = 14, 12, 14, 6
"""Heights of a line of a label, of a mark, of a line below, and between a mark and the next label,
so that a label is nearer to its own."""
_DESCENDERS = 2
_DOUBLED = 100.0
"""Change of speed in percent from which on a plot has ratios."""
_TWICE = 2.0
_LEAST, _BEYOND, _FARTHEST = 5.0, 4.0, 1000.0
"""Ratios: as far as the axis reaches for intervals, beyond values by this factor, and at most."""
_INK, _SOFT, _SHADE, _PAPER, _BACK = (
    "var(--ink, #1f2328)",
    "var(--soft, #59636e)",
    "var(--plot-shade, #8c959f)",
    "var(--paper, #ffffff)",
    "var(--shade, #f4f6f9)",
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
        decided: Whether there is a difference, by the verdict: else the mark is hollow.
        detail: What the label gets where another mark of the plot has the same.
    """

    label: str
    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    decided: bool = True
    detail: str = ""

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
    found = [mark for mark in dict.fromkeys(marks) if mark.ends]
    shown = found[:_ROWS]
    if not shown:
        return Markup("")
    axis = _Axis.of(shown)
    parts: list[str] = []
    height = 0
    for mark, label in zip(shown, _labels(shown), strict=True):
        lines = wrap(label, _letters(mark, axis), break_on_hyphens=False) or [""]
        parts += _row(mark, lines, axis, height)
        height += _LINE_OF_TEXT * len(lines) + _MARK + _GAP
    below = axis.below(height)
    height += _AXIS
    notes = [axis.unit]
    notes += ["hollow: no verdict of a difference"] * any(not mark.decided for mark in shown)
    if len(found) > len(shown):
        notes.append(f"{len(shown)} of {len(found)} values; the chapters below have all")
    for words in notes:
        below.append(_text(0, height + _SMALL, words, "start", small=True))
        height += _AXIS
    head = (
        f'<svg class="small-plot" viewBox="0 0 {_WIDTH} {height + 2}" width="{_WIDTH}" '
        f'height="{height + 2}" role="img" aria-label="{escape(title)}" '
        f'style="max-width:100%;height:auto;font:{_SIZE}px sans-serif">'
    )
    return Markup("".join([head, *below, *parts, "</svg>"]))  # labels are escaped


def _labels(marks: Sequence[Mark]) -> list[str]:
    """The labels without the parts that all of them have, where each keeps one."""
    number = Counter(mark.label for mark in marks)
    full = [
        f"{m.label}, {m.detail}" if number[m.label] > 1 and m.detail else m.label for m in marks
    ]
    parts = [label.replace(" · ", ", ").split(", ") for label in full]
    shared = set.intersection(*map(set, parts)) if len(parts) > 1 else set()
    kept = [[part for part in some if part not in shared] for some in parts]
    return [", ".join(some) for some in (kept if all(kept) else parts)]


def _letters(mark: Mark, axis: _Axis) -> int:
    """Letters of a line of a mark's label: beside its value there is this much room."""
    value = len(_value(mark, axis)) + 2
    return max(12, int(_WIDTH / (_LETTER * _SIZE)) - value)


def _value(mark: Mark, axis: _Axis) -> str:
    return axis.show(100 * mark.value, mark.unit)


def _text(x: float, y: float, words: str, anchor: str, *, small: bool = False) -> str:
    # The edge of its letters keeps the line at the reference out of them.
    edge = f"stroke:{_BACK};stroke-width:4px;paint-order:stroke"
    style = f"fill:{_SOFT};font-size:{_SMALL}px" if small else f"fill:{_INK};{edge}"
    return (
        f'<text x="{x:.1f}" y="{y:g}" text-anchor="{anchor}" style="{style}">{escape(words)}</text>'
    )


@dataclass(frozen=True)
class _Axis:
    """Where values stand, in percent.

    Attributes:
        low: Its left end.
        high: Its right end.
        unit: What it says below.
        ratio: Whether changes are drawn and written as ratios.
    """

    low: float
    high: float
    unit: str
    ratio: bool = False

    @classmethod
    def of(cls, marks: Sequence[Mark]) -> _Axis:
        units = {mark.unit for mark in marks}
        if units == {ACCURACY}:
            return cls(0.0, 100.0, "test accuracy (%)")
        ends = [end for mark in marks for end in mark.ends]
        if units == {SPEED} and max(ends) >= _DOUBLED:
            values = max(_factor(100 * mark.value) for mark in marks)
            farthest = min(max(map(_factor, ends)), max(_BEYOND * values, _LEAST))
            reach = 100 * (_round(min(farthest, _FARTHEST)) - 1)
            words = "times as fast (x); shaded: margin of a tie"
            return cls(_inverse(reach), reach, words, ratio=True)
        reach = max(map(abs, ends))
        values = max(abs(100 * mark.value) for mark in marks)
        # An interval that is many times as wide as all values would press them into one point.
        reach = _round(min(reach, max(5 * values, 50.0)))
        reach = max(reach, 1.5 * max(_MARGIN[unit] for unit in units))
        unit = {
            frozenset({SPEED}): "change of speed (%); shaded: margin of a tie",
            frozenset({POINTS}): "change of test accuracy (points); shaded: margin of a tie",
        }.get(frozenset(units), "change of speed (%) or accuracy (points); shaded: margin of a tie")
        return cls(-reach, reach, unit)

    def x(self, value: float) -> float:
        inside = self._place(min(max(value, self.low), self.high))
        low, high = self._place(self.low), self._place(self.high)
        width = _WIDTH - 2 * _EDGE
        return round(_EDGE + width * (inside - low) / (high - low), 1)

    def _place(self, value: float) -> float:
        return math.log(_of_change(value)) if self.ratio else value

    def show(self, value: float, unit: str) -> str:
        """A value with its unit and the digits that its sentence has: ``+12 %``, ``+0.4 pt``,
        ``3.4x`` on an axis of ratios."""
        if self.ratio:
            return f"{_figures(_of_change(value))}x"
        return f"{_number(value, unit)} {'pt' if unit == POINTS else '%'}"

    def end(self, value: float) -> str:
        """An end or the reference of the axis, which are round numbers."""
        if self.ratio:
            return f"{float(significant(_of_change(value), 2).replace(',', '')):,g}x"
        sign = "" if not value or self.low == 0 else "−" if value < 0 else "+"
        return f"{sign}{abs(value):g}"

    def below(self, y: float) -> list[str]:
        """The line at the reference (0, or 1x) through the whole plot; its value and the ends."""
        zero = self.x(0.0)
        ends = [
            _text(0, y + _SMALL, self.end(self.low), "start", small=True),
            _text(_WIDTH - 2, y + _SMALL, self.end(self.high), "end", small=True),
        ]
        line = f'<path d="M{zero} 0V{y}" style="stroke:{_SOFT}" stroke-opacity="0.6"/>'
        if self.low == 0:  # which is the left end
            return [line, *ends]
        return [line, *ends, _text(zero, y + _SMALL, self.end(0.0), "middle", small=True)]

    def band(self, unit: str, y: float) -> list[str]:
        """The values that count as a tie, behind a mark."""
        margin = _MARGIN[unit]
        if not margin:
            return []
        left = self.x(_inverse(margin) if self.ratio else -margin)
        width = self.x(margin) - left
        return [
            f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{_MARK}" '
            f'style="fill:{_SHADE}" fill-opacity="0.2"/>'
        ]


def _row(mark: Mark, lines: Sequence[str], axis: _Axis, top: float) -> list[str]:
    """A mark below its label, with its value at the right."""
    value = 100 * mark.value
    shown = _value(mark, axis)
    below = top + _LINE_OF_TEXT * len(lines) + _DESCENDERS
    y = below + _MARK / 2
    parts = axis.band(mark.unit, below)
    for place, line in enumerate(lines):
        parts.append(_text(0, top + _SIZE + _LINE_OF_TEXT * place, line, "start"))
    parts.append(_text(_WIDTH - 2, top + _SIZE, shown, "end"))
    if mark.low is not None and mark.high is not None and known(mark.low) and known(mark.high):
        low, high = 100 * mark.low, 100 * mark.high
        words = ", ".join(axis.show(end, mark.unit) for end in (low, high))
        label = ", ".join(filter(None, [mark.label, mark.detail]))
        parts.insert(0, f"<title>{escape(label)}  {escape(shown)} [{words}]</title>")
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


def _number(value: float, unit: str) -> str:
    shown = percents(abs(value) / 100) if unit == SPEED else fixed(abs(value), 1)
    nothing = not float(shown.replace(",", ""))
    sign = "" if nothing or unit == ACCURACY else "−" if value < 0 else "+"
    return f"{sign}{shown}"


def _figures(ratio: float) -> str:
    """A ratio as sentences have it: ``0.70``, ``1.02``, ``3.4``, ``12``."""
    return significant(ratio, 2) if ratio >= _TWICE else fixed(ratio, 2)


def _round(reach: float) -> float:
    """Up to one of 1, 2, 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(max(reach, 1.0)))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= reach - 1e-9))
