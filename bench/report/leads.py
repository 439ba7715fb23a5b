"""The sentence that a chapter of the page begins with, made from the rows of its table.

Nothing is computed here: the numbers are those of the table, and a row with a caveat keeps its
sign.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from bench.analysis.experiments import labels
from bench.analysis.rows import Row
from bench.core.case import Case
from bench.core.kinds import kind
from bench.core.text import many
from bench.report.columns import case_of, framework_of
from bench.report.footnotes import has_caveat, signed
from bench.report.format import joined, known
from bench.stats.verdicts import ACCURACY, INCONCLUSIVE, SPEED, TIE

Lead = Callable[[Sequence[Row]], str]
"""The sentence about the rows of one section; empty where they say nothing."""

_LAST = (TIE, INCONCLUSIVE, "not comparable")
"""Words of verdicts that are listed after those that decide."""
_MORE_OR_LESS = (SPEED.above, SPEED.below, ACCURACY.above, ACCURACY.below)
_NAMED, _FRAMEWORKS = 3, 6
"""How many rows or networks, and how many frameworks, are named and not counted."""


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
        return [(name, _start(row)) for name, row in zip(names, rows, strict=True)]
    kinds = _kinds(rows)
    if len(set(zip(names, kinds, strict=True))) == len(names):
        return list(zip(names, kinds, strict=True))
    cases = [_subject(row) for row in rows]
    found = labels(dict.fromkeys(cases))
    apart = []
    for row, case, name, of in zip(rows, cases, names, kinds, strict=True):
        what = found[case].removeprefix(str(row["variant"])).strip(" ·")
        apart.append((name, ", ".join(filter(None, (what, of)))))
    return apart


def _subject(row: Row) -> Case:
    """What a row is about, but for its framework."""
    return replace(case_of(row), framework="", seed=0)


def _start(row: Row) -> str:
    """The weights that a training starts from, where that is not from scratch."""
    if row.get("init") != "pretrained":
        return ""
    return f"from {str(row.get('weights') or 'unknown').partition('@')[0]} weights"


def _kinds(rows: Sequence[Row]) -> list[str]:
    """What each row measures, where that is not the same in all."""
    found = [kind(row["kind"]).label if row.get("kind") else "" for row in rows]
    return found if len(set(found)) > 1 else [""] * len(found)


def compared(key: str, *, before: str = "", against: str = "") -> Lead:
    """What rows are compared with, and with which result.

    Up to three results are named: ``Faster than pytorch: cifar-bn in keras-jax (latency).`` More
    are counted: ``cifar-bn and cifar-lrn in keras-jax compared with pytorch: 4 faster and 2 tie.``

    Args:
        key: The rows' key of the verdict; rows without one, and the reference's, are left out.
        before: Words before each sentence.
        against: What all rows are compared with; else the rows' ``reference`` says it.
    """

    def lead(rows: Sequence[Row]) -> str:
        groups: dict[str, list[Row]] = {}
        for row in _decided(rows, key):
            name = against or str(row.get("reference") or "").replace("its own", "their own")
            groups.setdefault(name, []).append(row)
        return " ".join(_compared(some, key, before, name) for name, some in groups.items())

    return lead


def _decided(rows: Sequence[Row], key: str) -> list[Row]:
    """The rows that have a word, without those of the reference."""
    return [row for row in rows if row.get(key) and row[key] not in ("reference", "—")]


def _compared(rows: Sequence[Row], key: str, before: str, against: str) -> str:
    if len({(row[key], who(row)) for row in rows}) <= _NAMED:
        return f"{before}{_named(rows, key, against, upper=not before)}."
    of = f" compared with {against}" if against else ""
    words = _counts(rows, key)
    found = f"{next(iter(words))} in all {len(rows)} comparisons"
    if len(words) > 1:
        found = joined([f"{number} {word}" for word, number in words.items()])
    return f"{before}{names_of(rows)}{of}: {found}."


def names_of(rows: Sequence[Row], others: Iterable[str] = ()) -> str:
    """The networks and frameworks of rows, and others: ``cifar-bn in keras-jax and keras-torch``,
    with the sign of a caveat."""
    networks = dict.fromkeys(str(row["variant"]) for row in rows)
    frameworks = dict.fromkeys([*map(framework_of, rows), *others])
    caveat = any(has_caveat(row) for row in rows)
    few = _few(networks, "network", _NAMED), _few(frameworks, "framework", _FRAMEWORKS)
    return signed(" in ".join(few), on=caveat)


def _few(names: Iterable[str], what: str, most: int) -> str:
    every = list(names)
    return joined(every) if len(every) <= most else many(len(every), what)


def _counts(rows: Sequence[Row], key: str) -> dict[str, int]:
    """How many rows have each word, those that decide first."""
    words = Counter(str(row[key]) for row in rows)
    order = [*sorted(words.keys() - {*_LAST}), *(word for word in _LAST if word in words)]
    return {word: words[word] for word in order}


def counted(key: str, what: str) -> Lead:
    """How often each word is in a column: ``All 4 certificates: pass.`` Up to three rows that do
    not have the most frequent word are named: ``Of 9 certificates: 8 pass and 1 fail (cifar-bn in
    keras-jax).``

    Args:
        key: The rows' key of the word; rows without one, and the reference's, are left out.
        what: What a row is.
    """

    def lead(rows: Sequence[Row]) -> str:
        mine = _decided(rows, key)
        words, number = _counts(mine, key), len(mine)
        if not words:
            return ""
        some = many(number, what)
        if len(words) == 1:
            every = {1: some, 2: f"Both {some[2:]}"}.get(number, f"All {some}")
            return f"{every}: {next(iter(words))}."
        shown, most = [], max(words.values())
        for word, times in words.items():
            names = list(dict.fromkeys(who(row) for row in mine if row[key] == word))
            few = len(names) <= _NAMED and (times < most or most * len(words) == number)
            shown.append(f"{times} {word}" + (f" ({joined(names)})" if few else ""))
        return f"Of {some}: {joined(shown)}."

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


def who_among(row: Row, rows: Sequence[Row], *, seconds: bool = True) -> str:
    """The same, with what tells the row's case from others of that name among some rows."""
    alike = {_subject(other): other for other in rows if who(other) == who(row)}
    alike[_subject(row)] = row
    told = _told_apart(list(alike.values()), seconds)
    name = told[list(alike).index(_subject(row))]
    return ", ".join(filter(None, name))


def who(row: Row, *, seconds: bool = True) -> str:
    """The network and framework of a row, with the sign of a caveat."""
    name = f"{row['variant']} in {framework_of(row)}"
    return signed(name, on=has_caveat(row, seconds=seconds))
