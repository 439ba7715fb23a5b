"""The sentence that a chapter of the page begins with, made from the rows of its table.

Nothing is computed here: the numbers are those of the table, and a row with a caveat keeps its
sign.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from bench.analysis.experiments import labels
from bench.analysis.rows import Row
from bench.core.kinds import kind
from bench.core.text import many
from bench.report.columns import case_of, framework_of
from bench.report.footnotes import has_caveat, signed
from bench.report.format import joined, known
from bench.stats.verdicts import ACCURACY, INCONCLUSIVE, SPEED, TIE
from bench.training.tracks import peers_of

Lead = Callable[[Sequence[Row]], str]
"""The sentence about the rows of one section; empty where they say nothing."""

_LAST = (TIE, INCONCLUSIVE, "not comparable")
"""Words of verdicts that are listed after those that decide."""
_MORE_OR_LESS = (SPEED.above, SPEED.below, ACCURACY.above, ACCURACY.below)
_COMPARISON, _NAMED = "comparison", 3
"""What a row is most often, and how many are named and not counted."""


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
        named = zip(ends, _told_apart(ends, seconds), strict=True)
        shown = " to ".join(
            f"{show(row[key])} ({', '.join(filter(None, name))})" for row, name in named
        )
        return f"{what} {shown}{after}.{never}"

    return lead


def _told_apart(rows: Sequence[Row], seconds: bool) -> list[tuple[str, str]]:
    """The network and framework of each row, and what tells it from the others of that name."""
    names = [who(row, seconds=seconds) for row in rows]
    if len(set(names)) == len(names):
        return [(name, "") for name in names]
    found = labels(dict.fromkeys(peers_of(case_of(row)) for row in rows))
    apart = []
    for row, name, of in zip(rows, names, _kinds(rows), strict=True):
        what = found[peers_of(case_of(row))].removeprefix(str(row["variant"])).strip(" ·")
        apart.append((name, ", ".join(filter(None, (what, of)))))
    return apart


def _kinds(rows: Sequence[Row]) -> list[str]:
    """What each row measures, where that is not the same in all."""
    found = [kind(row["kind"]).label if row.get("kind") else "" for row in rows]
    return found if len(set(found)) > 1 else [""] * len(found)


def compared(key: str, *, before: str = "") -> Lead:
    """The sentence of `counted` for what each of the rows is compared with: ``All 4 comparisons
    with pytorch: faster.``

    Args:
        key: The rows' key of the verdict.
        before: Words before each sentence.
    """

    def lead(rows: Sequence[Row]) -> str:
        groups: dict[str, list[Row]] = {}
        for row in rows:
            against = str(row.get("reference") or "").replace("its own", "their own")
            groups.setdefault(against, []).append(row)
        leads = (counted(key, before=before, against=name)(some) for name, some in groups.items())
        return " ".join(filter(None, leads))

    return lead


def counted(key: str, what: str = _COMPARISON, *, before: str = "", against: str = "") -> Lead:
    """How often each word is in a column: ``Of 9 comparisons: 3 faster, 4 tie and 2 inconclusive.``
    One word that all rows have is not counted again: ``All 4 certificates: pass.`` Up to three
    comparisons are named: ``Faster: cifar-bn in keras-jax.``

    Args:
        key: The rows' key of the word; rows without one, and the reference's, are left out.
        what: What a row is.
        before: Words before the sentence.
        against: What all rows are compared with, where the sentence says it.
    """

    def lead(rows: Sequence[Row]) -> str:
        mine = [row for row in rows if row.get(key) and row[key] not in ("reference", "—")]
        words = Counter(str(row[key]) for row in mine)
        if not words:
            return ""
        if what == _COMPARISON and len(mine) <= _NAMED:
            return f"{before}{_named(mine, key, against, upper=not before)}."
        order = [*sorted(words.keys() - {*_LAST}), *(word for word in _LAST if word in words)]
        number = sum(words.values())
        some = many(number, what) + (f" with {against}" if against else "")
        if len(words) == 1:
            every = {1: some, 2: f"Both {some[2:]}"}.get(number, f"All {some}")
            every = every[0].lower() + every[1:] if before else every
            return f"{before}{every}: {order[0]}."
        named = joined([f"{words[word]} {word}" for word in order])
        of = "of" if before else "Of"
        return f"{before}{of} {some}: {named}."

    return lead


def _named(rows: Sequence[Row], key: str, against: str, *, upper: bool) -> str:
    """The words, each with the rows that have it."""
    named: dict[str, dict[str, list[str]]] = {}
    for row, (name, what) in zip(rows, _told_apart(rows, seconds=True), strict=True):
        named.setdefault(str(row[key]), {}).setdefault(name, []).append(what)
    found = "; ".join(
        f"{word}{_to(word, against)}: {joined([_with_details(*one) for one in names.items()])}"
        for word, names in named.items()
    )
    return found[0].upper() + found[1:] if upper else found


def _to(word: str, against: str) -> str:
    """``than pytorch``, or ``compared with pytorch`` after a verdict that finds no difference."""
    if not against:
        return ""
    return f" {'than' if word in _MORE_OR_LESS else 'compared with'} {against}"


def _with_details(name: str, details: Sequence[str]) -> str:
    shown = [what for what in details if what]
    return f"{name} ({joined(shown)})" if shown else name


def both(*leads: Lead) -> Lead:
    """Several sentences, one after the other."""
    return lambda rows: " ".join(words for lead in leads if (words := lead(rows)))


def who(row: Row, *, seconds: bool = True) -> str:
    """The network and framework of a row, with the sign of a caveat."""
    name = f"{row['variant']} in {framework_of(row)}"
    return signed(name, on=has_caveat(row, seconds=seconds))
