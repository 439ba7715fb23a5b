"""How numbers look to a reader, and Markdown tables that line up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

NOTHING = "—"


def known(value: float | None) -> bool:
    """Whether there is a number to show."""
    return value is not None and not math.isnan(value)


def significant(value: float | None, digits: int = 3) -> str:
    """``digits`` significant digits, thousands apart and no exponent: 1234.5 -> ``1,230``."""
    if value is None or not known(value):
        return NOTHING
    if value == 0 or math.isinf(value):
        return f"{value:g}"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = _rounded(value, places)
    if rounded and math.floor(math.log10(abs(rounded))) > math.floor(math.log10(abs(value))):
        places -= 1  # 99.96 has become 100.0: one digit fewer after the point
    return f"{rounded:,.{max(places, 0)}f}"


def _rounded(value: float, places: int) -> float:
    if abs(value) >= 1e15:  # no figure: a bootstrap of two samples that share nothing
        return value
    exact = Decimal(repr(round(float(value), places + 8)))
    return float(exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


def fixed(value: float, digits: int) -> str:
    """A number with `digits` after the point, halves away from zero, never ``-0.0``.

    Of the shortest decimal number that the value stands for: 34.85 is 34.9 as on paper, though the
    float is a little less. Every figure of a report is rounded here, so that one figure never reads
    25.5 in one place and 25.6 in another.
    """
    if not math.isfinite(value):
        return f"{value}"
    return f"{_rounded(value, digits) + 0.0:,.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage: 0.648 -> ``64.8 %``."""
    return f"{fixed(100 * value, digits)} %" if value is not None and known(value) else NOTHING


def share(value: float | None) -> str:
    """A published fraction as it was published, no digit added: 0.648 -> ``64.8 %``."""
    return f"{100 * value:.4g} %" if value is not None and known(value) else NOTHING


def count(value: float | None) -> str:
    """A whole number, thousands apart."""
    return f"{value:,.0f}" if value is not None and known(value) else NOTHING


@dataclass(frozen=True)
class Quantity:
    """How values of one quantity look, and the ends of their intervals: in every table, plot and
    sentence the same.

    Attributes:
        digits: After the point.
        even: The value that says that there is no difference; an end that is not it never reads as
            it, so that an interval shows whether it contains it. None: there is no such value.
        factor: What values are multiplied with.
        unit: After a value.
        signed: Whether a plus stands before positive values.
        least: The smallest possible value: an end below it, of which a t interval knows nothing, is
            cut there.
        most: The largest possible value.
        figures: Significant digits of values from 10 on; None: as many as `digits` gives.
        largest: The largest end that is worth saying of an interval that contains `even`: few seeds
            give huge ones. None: all are.
    """

    digits: int
    even: float | None = None
    factor: float = 1.0
    unit: str = ""
    signed: bool = False
    least: float = -math.inf
    most: float = math.inf
    figures: int | None = None
    largest: float = math.inf

    def value(self, value: float | None) -> str:
        """``1.25x``; the unit is there where the number is."""
        if value is None or not known(value):
            return NOTHING
        return f"{self._number(self.factor * value, self.digits)}{self.unit}"

    def end(self, end: float | None) -> str:
        """An end of an interval without its unit: ``1.20``, and ``0.997`` rather than ``1.00``."""
        if end is None or not known(end):
            return NOTHING
        inside = min(max(end, self.least), self.most)
        digits = self.digits
        if self.even is not None and inside != self.even:
            even = fixed(self.factor * self.even, digits)
            while digits < _MOST_DIGITS and fixed(self.factor * inside, digits) == even:
                digits += 1
                even = fixed(self.factor * self.even, digits)
        return self._number(self.factor * inside, digits)

    def end_with_unit(self, end: float | None) -> str:
        """``0.997x``."""
        shown = self.end(end)
        return shown if shown == NOTHING else f"{shown}{self.unit}"

    def interval(self, low: float | None, high: float | None) -> str:
        """``[0.997, 1.20]``, or nothing when an end is unknown."""
        return interval(*self.ends(low, high))

    def ends(self, low: float | None, high: float | None) -> tuple[str, str]:
        """Both ends, as `interval` has them."""
        shown = self.end(low), self.end(high)
        if NOTHING in shown or self.even is None or low is None or high is None:
            return shown
        huge = low < self.even and high > self.largest
        return (shown[0], f">{self.largest:g}") if huge else shown

    def estimate(self, value: float | None, low: float | None, high: float | None) -> str:
        """``1.09x [0.997, 1.20]``, without the brackets where there is no interval.

        A value in an interval without `even` never reads as `even`: ``1.002x [1.001, 1.004]``.
        """
        ends = self.interval(low, high)
        shown = self.value(value)
        if self._excludes_even(low, high):
            shown = self.end_with_unit(value)
        return shown if NOTHING in (shown, ends) else f"{shown} {ends}"

    def _excludes_even(self, low: float | None, high: float | None) -> bool:
        if self.even is None or low is None or high is None:
            return False
        return self.even < low or high < self.even

    def _number(self, value: float, digits: int) -> str:
        if self.figures is not None and abs(value) >= 10:
            return significant(value, self.figures)
        return plus(value, digits) if self.signed else fixed(value, digits)


_MOST_DIGITS = 6

RATIO = Quantity(2, even=1.0, unit="x", figures=3, largest=100.0)
"""A ratio of two speeds or times: ``0.80x [0.78, 0.82]``."""
POINTS = Quantity(1, even=0.0, factor=100, signed=True)
"""A difference of fractions in percentage points: ``+1.3 [+0.4, +2.1]``."""
CHANGE = Quantity(1, even=0.0, signed=True)
"""A change in percent or points: ``-20.0 [-26.6, -12.8]``."""
SHARE = Quantity(1, factor=100, unit=" %", least=0.0, most=1.0)
"""A fraction between 0 and 1 in percent: ``64.8 % [62.1, 67.5]``."""
LEVEL = Quantity(1, even=1.0, factor=100, unit=" %", least=0.0)
"""A share of something that may also be exceeded: ``99.6 % [98.1, 101.2]``."""

ratio, points = RATIO.estimate, POINTS.estimate


def percent_interval(low: float | None, high: float | None) -> str:
    """The interval of a fraction that lies between 0 and 1, in percent: ``[62.1, 67.5] %``."""
    shown = SHARE.interval(low, high)
    return shown if shown == NOTHING else f"{shown} %"


def plus(value: float, digits: int = 1) -> str:
    """A change with its sign: ``+1.3``, ``-0.4``, ``+0.0``."""
    shown = fixed(value, digits)
    return shown if shown.startswith("-") else f"+{shown}"


def power(value: float | None) -> str:
    """A small number with its power of ten: ``2.1e-07``."""
    if value is None or not known(value):
        return NOTHING
    return "0" if value == 0 else f"{value:.1e}"


def joined(words: Sequence[str]) -> str:
    """``one``, ``one and two``, ``one, two and three``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def interval(low: str, high: str) -> str:
    """``[low, high]``, or nothing when either is unknown."""
    return NOTHING if NOTHING in (low, high) else f"[{low}, {high}]"


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """A Markdown table with its columns lined up; ``right`` says which hold numbers.

    Raises ValueError when a row has another number of cells than there are headers.
    """
    cells = [[escaped_cell(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = [
        "-" * (width - 1) + ":" if numeric else "-" * width
        for width, numeric in zip(widths, right, strict=True)
    ]
    lines = [_line(row, widths, right) for row in cells]
    lines.insert(1, "| " + " | ".join(rule) + " |")
    return "\n".join(lines)


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [
        cell.rjust(width) if numeric else cell.ljust(width)
        for cell, width, numeric in zip(row, widths, right, strict=True)
    ]
    return "| " + " | ".join(padded) + " |"


def escaped_cell(cell: str) -> str:
    """One line, and no character that would end the cell or begin HTML."""
    flat = " ".join(cell.split())
    return flat.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
