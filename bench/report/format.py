"""How numbers look to a reader, and Markdown tables that line up."""

from __future__ import annotations

import math
from collections.abc import Sequence
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


def percent_interval(low: float | None, high: float | None) -> str:
    """The interval of a fraction that lies between 0 and 1, in percent: ``[62.1, 67.5] %``.

    Cut at 0 and 100 %, of which a t interval knows nothing.
    """
    if low is None or high is None or not known(low) or not known(high):
        return NOTHING
    return f"[{fixed(100 * max(low, 0), 1)}, {fixed(100 * min(high, 1), 1)}] %"


def share(value: float | None) -> str:
    """A published fraction as it was published, no digit added: 0.648 -> ``64.8 %``."""
    return f"{100 * value:.4g} %" if value is not None and known(value) else NOTHING


def count(value: float | None) -> str:
    """A whole number, thousands apart."""
    return f"{value:,.0f}" if value is not None and known(value) else NOTHING


def ratio(value: float | None, low: float | None, high: float | None) -> str:
    """``0.80 [0.78, 0.82]``, without the brackets where there is no interval."""
    if value is None or not known(value):
        return NOTHING
    shown = f"{fixed(value, 2)}x"
    if low is None or high is None:
        return shown
    return f"{shown} [{fixed(low, 2)}, {fixed(high, 2)}]"


def factor(value: float, low: float | None, high: float | None) -> str:
    """``0.80x [0.78, 0.82]``; two seeds give intervals of which only the size is worth saying."""
    if low is None or high is None or not known(value):
        return ratio(value, low, high)
    end = ">100" if high > 100 else fixed(high, 2)
    return f"{fixed(value, 2)}x [{fixed(low, 2)}, {end}]"


def points(value: float, low: float | None, high: float | None) -> str:
    """A difference of fractions in percentage points: ``+1.3 [+0.4, +2.1]``."""
    if not known(value):
        return NOTHING
    shown = plus(100 * value)
    if low is None or high is None or math.isnan(low):
        return shown
    return f"{shown} [{plus(100 * low)}, {plus(100 * high)}]"


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
    cells = [[_escaped(cell) for cell in row] for row in (headers, *rows)]
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


def _escaped(cell: str) -> str:
    """One line, and no character that would end the cell or begin HTML."""
    flat = " ".join(cell.split())
    return flat.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
