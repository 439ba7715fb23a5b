"""The sentence that a chapter of the page begins with, made from the rows of its table.

Nothing is computed here: the numbers are those of the table, and a row with a caveat keeps its
sign.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from bench.analysis.rows import Row
from bench.report.columns import framework_of
from bench.report.footnotes import has_caveat, signed
from bench.report.format import joined, known
from bench.stats.verdicts import INCONCLUSIVE, TIE

Lead = Callable[[Sequence[Row]], str]
"""The sentence about the rows of one section; empty where they say nothing."""

_LAST = (TIE, INCONCLUSIVE, "not comparable")
"""Words of verdicts that are listed after those that decide."""


def no_lead(_: Sequence[Row]) -> str:
    """No sentence."""
    return ""


def extremes(
    what: str,
    key: str,
    show: Callable[[float], str],
    *,
    of: str | None = None,
    after: str = "",
    missing: str = "",
    seconds: bool = True,
) -> Lead:
    """The lowest and the highest value of a column, each with its row.

    Args:
        what: The words before the values.
        key: The rows' key of the value; rows without one are left out.
        show: The words for a value, with its unit.
        of: The kind of measurement of the rows that count; None: all rows.
        after: The words after the values.
        missing: What a row without a value means, where that is worth saying: ``never``.
        seconds: Whether caveats on speeds and times are caveats of the value.
    """

    def lead(rows: Sequence[Row]) -> str:
        mine = [row for row in rows if of is None or row.get("kind") == of]
        found = sorted((row for row in mine if known(row.get(key))), key=lambda row: row[key])
        without = len(mine) - len(found)
        never = f" {without} of {len(mine)}: {missing}." if missing and without else ""
        if not found:
            return never.strip()
        ends = [found[0], found[-1]] if found[0][key] != found[-1][key] else [found[0]]
        shown = " to ".join(f"{show(row[key])} ({who(row, seconds=seconds)})" for row in ends)
        return f"{what} {shown}{after}.{never}"

    return lead


def counted(key: str, what: str = "comparison", *, before: str = "") -> Lead:
    """How often each word is in a column: ``Of 9 comparisons: 3 faster, 4 tie and 2 inconclusive.``
    One word that all rows have is not counted again: ``All 4 certificates: pass.``

    Args:
        key: The rows' key of the word; rows without one, and the reference's, are left out.
        what: What a row is.
        before: Words before the sentence.
    """

    def lead(rows: Sequence[Row]) -> str:
        words = Counter(
            str(row[key]) for row in rows if row.get(key) and row[key] not in ("reference", "—")
        )
        if not words:
            return ""
        order = [*sorted(words.keys() - {*_LAST}), *(word for word in _LAST if word in words)]
        number = sum(words.values())
        some = f"{number} {what}" + ("" if number == 1 else "s")
        if len(words) == 1:
            every = {1: some, 2: f"Both {what}s"}.get(number, f"All {some}")
            every = every[0].lower() + every[1:] if before else every
            return f"{before}{every}: {order[0]}."
        named = joined([f"{words[word]} {word}" for word in order])
        of = "of" if before else "Of"
        return f"{before}{of} {some}: {named}."

    return lead


def both(*leads: Lead) -> Lead:
    """Several sentences, one after the other."""
    return lambda rows: " ".join(words for lead in leads if (words := lead(rows)))


def who(row: Row, *, seconds: bool = True) -> str:
    """The network and framework of a row, with the sign of a caveat."""
    name = f"{row['variant']} in {framework_of(row)}"
    return signed(name, on=has_caveat(row, seconds=seconds))
