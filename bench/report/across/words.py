"""What a case, a record and a comparison are called in tables about several runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bench.analysis.across.changes import Change
from bench.analysis.across.series import Point
from bench.analysis.comparison.compare import ONLY_A, ONLY_B, Comparison, Sides
from bench.analysis.experiments import device_of, start_of
from bench.core.case import Case
from bench.core.kinds import KINDS, kind
from bench.core.records import Record
from bench.report.format import NOTHING, SHARE, Quantity, percent, points, ratio, significant

CaseColumn = tuple[str, Callable[[Case], str]]
"""A header, and the cell of a case."""

_ALWAYS: tuple[CaseColumn, ...] = (
    ("network", lambda case: case.variant),
    ("framework", lambda case: case.framework_label),
    ("track", lambda case: case.track),
)
_WHERE_IT_DIFFERS: tuple[CaseColumn, ...] = (
    ("weights", start_of),
    ("recipe", lambda case: case.recipe),
    ("precision", lambda case: case.precision),
    ("batch", lambda case: str(case.batch_size)),
    ("px", lambda case: str(case.input_size)),
    ("device", device_of),
    ("seed", lambda case: str(case.seed)),
    ("defaults", lambda case: case.defaults),
)

_POINTS = Quantity(2, even=0.0, unit=" pt", signed=True)
"""A difference of accuracies in points."""


class CaseCells:
    """Cells that say which case a row is about: first who, last under which conditions.

    Args:
        cases: Those of all rows of the table; conditions that are the same in all are left out.

    Attributes:
        who: Headers of network, framework, track and kind of measurement.
        conditions: Headers of the others.
    """

    def __init__(self, cases: Iterable[Case]) -> None:
        every = list(cases)
        self._conditions = [
            column for column in _WHERE_IT_DIFFERS if len({column[1](case) for case in every}) > 1
        ]
        self.who = [*(header for header, _ in _ALWAYS), "of"]
        self.conditions = [header for header, _ in self._conditions]

    def row(self, case: Case, name: str, figures: Sequence[str]) -> list[str]:
        """The cells of a row.

        Args:
            case: Its case.
            name: Its kind of measurement.
            figures: The cells between.
        """
        who = [show(case) for _, show in _ALWAYS]
        return [*who, kind_label(name), *figures, *(show(case) for _, show in self._conditions)]

    def right(self, figures: Sequence[bool]) -> list[bool]:
        """Which columns hold numbers, of all columns."""
        return [*(False for _ in self.who), *figures, *(False for _ in self.conditions)]

    def headers(self, figures: Sequence[str]) -> list[str]:
        """The headers of all columns."""
        return [*self.who, *figures, *self.conditions]


def kind_label(name: str) -> str:
    """What was measured, in a word."""
    return KINDS[name].label if name in KINDS else name


def value_of(record: Record | None) -> str:
    """The result of a record with its unit; its status where it has none."""
    if record is None:
        return NOTHING
    return quantity(record.kind, _number(record)) if record.ok else record.status


def _number(record: Record) -> float | None:
    keys = ("images_per_second", "p50", "seconds", "fraction")
    return next((record.summary[key] for key in keys if key in record.summary), None)


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


def verdict_of(row: Comparison, sides: Sides) -> str:
    """The verdict, with the run's own letter where only one of the two has the case."""
    only = {ONLY_A: f"only in {sides[0]}", ONLY_B: f"only in {sides[1]}"}
    return only.get(row.verdict, row.verdict)


def counted(comparisons: Sequence[Comparison], sides: Sides = ("A", "B")) -> str:
    """``5 rows: 3 tie, 2 refused``."""
    verdicts = [verdict_of(row, sides) for row in comparisons]
    found = [f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)]
    return f"{len(verdicts)} rows: {', '.join(found)}"


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


def change_words(change: Change, name: str) -> str:
    """``0.91x [0.88, 0.94]``, or ``-1.3 [-2.0, -0.5] points`` for a kind of accuracy."""
    if kind(name).timed:
        return ratio(*change.estimate)
    return f"{points(*change.estimate)} points"
