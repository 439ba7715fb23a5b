"""How numbers look to a reader, and Markdown tables that line up."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
    rounded = round(value, places)
    if rounded and math.floor(math.log10(abs(rounded))) > math.floor(math.log10(abs(value))):
        places -= 1  # 99.96 has become 100.0: one digit fewer after the point
    return f"{rounded:,.{max(places, 0)}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage: 0.648 -> ``64.8 %``."""
    return f"{100 * value:.{digits}f} %" if value is not None and known(value) else NOTHING


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
    shown = f"{value:.2f}x"
    return shown if low is None or high is None else f"{shown} [{low:.2f}, {high:.2f}]"


def factor(value: float, low: float | None, high: float | None) -> str:
    """``0.80x [0.78, 0.82]``; two seeds give intervals of which only the size is worth saying."""
    if low is None or high is None or not known(value):
        return ratio(value, low, high)
    end = ">100" if high > 100 else f"{high:.2f}"
    return f"{value:.2f}x [{low:.2f}, {end}]"


def points(value: float, low: float | None, high: float | None) -> str:
    """A difference of fractions in percentage points: ``+1.25 [+0.40, +2.10]``."""
    if not known(value):
        return NOTHING
    shown = f"{round(100 * value, 2) + 0.0:+.2f}"  # no -0.00
    if low is None or high is None or math.isnan(low):
        return shown
    return f"{shown} [{100 * low:+.2f}, {100 * high:+.2f}]"


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
