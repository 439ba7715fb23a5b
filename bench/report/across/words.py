"""What a case, a record and a comparison are called in tables about several runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bench.analysis import values
from bench.analysis.across.changes import Change
from bench.analysis.across.entries import Entry
from bench.analysis.across.series import Point
from bench.analysis.caveats import is_removed
from bench.analysis.comparison.compare import (
    ONLY_A,
    ONLY_B,
    REFUSED,
    Comparison,
    Sides,
    only_in,
)
from bench.analysis.experiments import device_of, labels, start_of
from bench.core.case import Case
from bench.core.kinds import KINDS, kind
from bench.core.records import Record
from bench.core.text import many
from bench.report.format import NOTHING, SHARE, Quantity, percent, points, ratio, significant
from bench.stats.verdicts import ACCURACY, INCONCLUSIVE, SPEED, TIE

CaseColumn = tuple[str, Callable[[Case], str]]
"""A header, and the cell of a case."""

_ALWAYS: tuple[CaseColumn, ...] = (
    ("network", lambda case: case.variant),
    ("framework", lambda case: case.framework_label),
    ("track", lambda case: case.track),
)
_WHERE_IT_DIFFERS: tuple[CaseColumn, ...] = (
    ("weights", start_of),
    ("recipe", lambda case: " · ".join(filter(None, (case.recipe, case.defaults)))),
    ("precision", lambda case: case.precision),
    ("batch", lambda case: str(case.batch_size)),
    ("input px", lambda case: str(case.input_size)),
    ("device", device_of),
    ("seed", lambda case: str(case.seed)),
)

_TELLING = ("device", "batch", "precision", "input px", "seed", "recipe", "weights")
"""The same in the order in which they tell rows apart: the device, then by the width of cells."""

_DECIDED = (SPEED.below, ACCURACY.below, SPEED.above, ACCURACY.above)
_ORDER = (*_DECIDED, INCONCLUSIVE, TIE, REFUSED, ONLY_A, ONLY_B)

_POINTS = Quantity(2, even=0.0, unit=" pt", signed=True)
"""A difference of accuracies in points."""


class CaseCells:
    """Cells that say which case a row is about.

    Who it is about stands first, with as many conditions as tell the rows apart; then come the
    values, last the other conditions.

    Args:
        rows: Case and kind of all rows of the table; conditions that are the same in all are left
            out.
    """

    def __init__(self, rows: Iterable[tuple[Case, str]]) -> None:
        every = list(dict.fromkeys(rows))
        differs = [c for c in _WHERE_IT_DIFFERS if len({c[1](case) for case, _ in every}) > 1]
        told = [(name, *(show(case) for _, show in _ALWAYS)) for case, name in every]
        first = []
        for header, show in sorted(differs, key=lambda column: _TELLING.index(column[0])):
            more = [(*words, show(case)) for words, (case, _) in zip(told, every, strict=True)]
            if len(set(more)) > len(set(told)):
                told = more
                first.append(header)
        self._first = [column for column in differs if column[0] in first]
        self._last = [column for column in differs if column[0] not in first]

    def row(self, case: Case, name: str, figures: Sequence[str]) -> list[str]:
        """The cells of a row.

        Args:
            case: Its case.
            name: Its kind of measurement.
            figures: The cells of its values.
        """
        who = [*(show(case) for _, show in _ALWAYS), kind_label(name)]
        first, last = ([show(case) for _, show in some] for some in (self._first, self._last))
        return [*who, *first, *figures, *last]

    @property
    def who(self) -> int:
        """How many columns, the first ones, say who a row is about."""
        return len(_ALWAYS) + 1 + len(self._first)

    def right(self, figures: Sequence[bool]) -> list[bool]:
        """Which columns hold numbers, of all columns."""
        first = [False] * self.who
        return [*first, *figures, *(False for _ in self._last)]

    def headers(self, figures: Sequence[str]) -> list[str]:
        """The headers of all columns."""
        who = [*(header for header, _ in _ALWAYS), "measured"]
        first, last = ([header for header, _ in some] for some in (self._first, self._last))
        return [*who, *first, *figures, *last]


NOT_INTERLEAVED = (
    "Two runs are not interleaved: what the machine did differently at another hour is in their "
    "ratios of speeds, and in no interval."
)


def kind_label(name: str) -> str:
    """What was measured, in a word."""
    return KINDS[name].label if name in KINDS else name


def names_of(cases: Iterable[Case]) -> dict[Case, str]:
    """The shortest name that tells each case from the others of its table, with its framework."""
    every = list(dict.fromkeys(cases))
    networks = labels(every)
    telling: list[Callable[[Case], str]] = [
        show
        for show in (lambda c: c.track, lambda c: c.defaults, lambda c: f"seed {c.seed}")
        if len(set(map(show, every))) > 1
    ]
    return {
        case: " · ".join(
            filter(None, [networks[case], case.framework_label, *(show(case) for show in telling)])
        )
        for case in every
    }


def names_by_kind(found: Iterable[tuple[Case, str]]) -> dict[tuple[Case, str], str]:
    """What tells the cases of one kind apart, by case and kind."""
    kinds: dict[str, list[Case]] = {}
    for case, name in found:
        kinds.setdefault(name, []).append(case)
    each = {name: names_of(cases) for name, cases in kinds.items()}
    return {(case, name): words for name, names in each.items() for case, words in names.items()}


def value_of(records: Sequence[Record]) -> str:
    """The result of a case in a run over its seeds, with its unit; else its status."""
    done = [record for record in records if record.ok and record.samples]
    if not done:
        return NOTHING if not records or records[0].ok else records[0].status
    found = [record for record in done if not (kind(record.kind).timed and is_removed(record))]
    if not found:
        return NOTHING
    value = quantity(records[0].kind, values.value_of(found).value)
    return f"{value} ({len(found)} seeds)" if len(found) > 1 else value


def quantity(name: str, value: float | None) -> str:
    """A value of a kind of measurement in the unit that tables have: images/s, ms, s or percent."""
    if value is None:
        return NOTHING
    row = kind(name)
    if row.throughput:
        return f"{significant(value)} images/s"
    if not row.timed:
        return percent(value)
    return f"{significant(value)} s" if row.startup else f"{significant(1000 * value)} ms"


def figure_of(row: Comparison) -> str:
    """``1.02x [0.98, 1.06]``, or ``+0.31 pt [-0.20, +0.82]``; empty without a figure."""
    if row.difference is None:
        return "" if row.ratio is None else ratio(row.ratio, row.low, row.high)
    return _POINTS.estimate(row.difference, row.low, row.high)


def share(value: float | None) -> str:
    """``± 4.1 %``; empty where it is unknown."""
    return "" if value is None else f"± {percent(value)}"


def noise(value: float | None) -> str:
    """``2.1 %``; empty where it is unknown."""
    return "" if value is None else percent(value)


def verdict_of(entry: Entry, sides: Sides = ("A", "B")) -> str:
    """The verdict; ``tie, identical runs`` where nothing else can have come out."""
    found = only_in(entry.comparison.verdict, sides)
    return f"{found}, {entry.same}" if entry.same else found


def by_seeds(entry: Entry) -> str:
    """``by 2 shared seeds: 40.2 % → 41.8 %``, whose difference the figure is; empty of speeds."""
    if entry.shared is None:
        return ""
    before, now = map(percent, entry.shared)
    return f"by {many(len(entry.pairs), 'shared seed')}: {before} → {now}"


def order_of(verdict: str) -> int:
    """Sorting key of a verdict: decided ones, the worse first, then the others, then none."""
    return _ORDER.index(verdict) if verdict in _ORDER else len(_ORDER)


def counted(entries: Sequence[Entry], sides: Sides = ("A", "B")) -> str:
    """``5 rows: 3 tie, 2 refused``."""
    verdicts = [only_in(entry.comparison.verdict, sides) for entry in entries]
    found = [f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)]
    return f"{many(len(verdicts), 'row')}: {', '.join(found)}"


def value_of_point(point: Point) -> str:
    """The result of a case in a run, with its unit."""
    return quantity(point.records[0].kind, point.estimate.value)


def interval_of_point(point: Point) -> str:
    """Its interval in the same unit."""
    name, (_, low, high) = point.records[0].kind, point.estimate
    if low is None or high is None:
        return NOTHING
    if not kind(name).timed:
        return SHARE.interval(low, high)
    return f"[{quantity(name, low).partition(' ')[0]}, {quantity(name, high).partition(' ')[0]}]"


def estimate_of_point(point: Point) -> str:
    """Result and interval: ``1,230 images/s [1,200, 1,260]``."""
    interval = interval_of_point(point)
    value = value_of_point(point)
    return value if interval == NOTHING else f"{value} {interval}"


def change_words(change: Change, name: str) -> str:
    """``0.91x [0.88, 0.94]``, or ``-1.3 [-2.0, -0.5] points`` for a kind of accuracy."""
    if kind(name).timed:
        return ratio(*change.estimate)
    return f"{points(*change.estimate)} points"
