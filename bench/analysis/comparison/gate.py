"""A gate on an earlier run: which cases are worse than a rule allows.

It goes by the interval, never by one statistic: noise alone must not fail a build. A slowdown that
the interval cannot tell from noise, or that rests on one process, is inconclusive and passes. A
rule that found nothing to compare fails: it would pass whatever was broken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.analysis.comparison.compare import ONLY_A, Comparison, Sides, compare, only_in
from bench.core.errors import UserError
from bench.core.kinds import kind
from bench.core.records import Record, RecordStore
from bench.stats.verdicts import ACCURACY, ENOUGH_RUNS, SPEED, Margin

FORMS = "slower:5%,accuracy:-1pt"
"""Both rules as a user writes them."""
_SLOWER = re.compile(r"slower:(\d+(?:\.\d+)?)%")
_ACCURACY = re.compile(r"accuracy:-(\d+(?:\.\d+)?)pt")


@dataclass(frozen=True)
class Rule:
    """What must not happen to a case, by its whole 95 % interval.

    Attributes:
        text: As it was written: ``slower:5%`` or ``accuracy:-1pt``.
        timed: Whether it is about speeds; else about accuracies.
        least: What the interval may reach down to: a ratio of speeds (``slower:5%`` allows down to
            1 / 1.05), or a difference in percentage points.
        allowed: The same in the words of the rule: ``5 % slower``.
    """

    text: str
    timed: bool
    least: float
    allowed: str

    @classmethod
    def parse(cls, text: str) -> tuple[Rule, ...]:
        """The rules that ``text`` says, commas between them.

        Raises:
            UserError: One is neither ``slower:<number>%`` nor ``accuracy:-<number>pt``, or there
                are two of a kind.
        """
        rules = tuple(map(_rule, text.replace(" ", "").split(",")))
        if len({rule.timed for rule in rules}) < len(rules):
            raise UserError(f"fail-if {text!r}: one rule on speed and one on accuracy at most")
        return rules

    def concerns(self, row: Comparison) -> bool:
        """Whether a row is of the kind that the rule is about."""
        return kind(row.kind).timed == self.timed

    def failures(self, comparisons: Iterable[Comparison], sides: Sides = ("A", "B")) -> list[str]:
        """A line for each case that violates the rule; or one where it found none to compare.

        Args:
            comparisons: Of two runs.
            sides: What these are called.
        """
        rows = [row for row in comparisons if self.concerns(row)]
        if not any(row.has_figure for row in rows):
            return [f"{self.text}: nothing was compared: {why_nothing(rows, sides)}"]
        # Seeds of one training share the interval of their mean.
        return list(dict.fromkeys(filter(None, map(self._violation, rows))))

    def _violation(self, row: Comparison) -> str | None:
        below = SPEED.below if self.timed else ACCURACY.below
        if row.verdict != below or row.high is None or row.high >= self.least:
            return None
        if self.timed:
            found = f"{row.kind}: {row.ratio:.3f} times the speed [{row.low:.3f}, {row.high:.3f}]"
            return f"{row.case} {found}, more than {self.allowed} (whole 95 % interval)"
        found = f"mean over seeds [{row.low:+.2f}, {row.high:+.2f}] points"
        case = re.sub(r"/s\d+/", "/", row.case)
        return f"{case} {row.kind}: {found}, more than {self.allowed} (whole 95 % interval)"

    def warnings(self, comparisons: Iterable[Comparison], sides: Sides = ("A", "B")) -> list[str]:
        """What the rule did not see: rows that were not compared, and rows without a verdict.

        Args:
            comparisons: Of two runs.
            sides: What these are called.
        """
        rows = [row for row in comparisons if self.concerns(row)]
        compared = [row for row in rows if row.has_figure]
        if not compared:
            return []  # that fails
        lines = []
        if left := [row for row in rows if not row.has_figure]:
            lines.append(f"{self.text}: {_not_compared(len(left))}: {why_nothing(left, sides)}")
        doubted = [row.doubt for row in compared if row.doubt]
        if doubted:
            lines.append(
                f"{self.text} cannot fail in {len(doubted)} of {len(compared)} rows: {doubted[0]}"
            )
        if blind := [row for row in compared if row.high is None or (row.runs or 0) < ENOUGH_RUNS]:
            several = "processes" if self.timed else "seeds"
            lines.append(
                f"{self.text} cannot fail in {len(blind)} of {len(compared)} rows: fewer than "
                f"{ENOUGH_RUNS} {several} on a side give no verdict"
            )
        return lines


def _not_compared(rows: int) -> str:
    return "1 row was not compared" if rows == 1 else f"{rows} rows were not compared"


def _rule(text: str) -> Rule:
    if found := _SLOWER.fullmatch(text):
        allowed = float(found[1])
        return Rule(text, True, Margin.of_speed(allowed / 100).low, f"{allowed:g} % slower")
    if found := _ACCURACY.fullmatch(text):
        points = float(found[1])
        return Rule(text, False, -points, f"{points:g} points lower")
    raise UserError(
        f"fail-if {text!r}: must look like slower:5% or accuracy:-1pt, commas between them"
    )


def why_nothing(rows: Sequence[Comparison], sides: Sides = ("A", "B")) -> str:
    """How many rows have which verdict, each with the reasons of its first row that has one.

    Args:
        rows: Those that were not compared.
        sides: What the two runs are called.
    """
    if not rows:
        return "neither run has a record of such a kind"
    verdicts: dict[str, list[Comparison]] = {}
    for row in rows:
        verdicts.setdefault(only_in(row.verdict, sides), []).append(row)
    words = []
    for verdict, some in verdicts.items():
        reason = next((row.reason for row in some if row.reason), None)
        words.append(f"{len(some)} {verdict}" + (f" ({reason})" if reason else ""))
    return ", ".join(words)


@dataclass(frozen=True)
class Gate:
    """An earlier run to compare records with, and what must not happen.

    Attributes:
        earlier: Records of the earlier run.
        rules: What fails; empty where nothing does.
    """

    earlier: Sequence[Record]
    rules: tuple[Rule, ...] = ()

    @classmethod
    def of(cls, run: str | None, rules: str | None) -> Gate | None:
        """The gate of two command-line options; None where no run is named.

        Args:
            run: The earlier run.
            rules: Text of the rules.

        Raises:
            UserError: There is no run, or there is a rule without a run.
        """
        if run is None:
            if rules is not None:
                raise UserError("--bench-fail-if needs an earlier run: add --bench-compare RUN")
            return None
        parsed = Rule.parse(rules) if rules is not None else ()
        return cls(RecordStore(Path(run)).read(), parsed)

    def compare(self, records: Iterable[Record]) -> list[Comparison]:
        """Case by case, without what was not measured this time."""
        found = compare(self.earlier, records)
        return [row for row in found if row.verdict != ONLY_A]

    def failures(self, records: Iterable[Record]) -> list[str]:
        """A line for each case that violates a rule, and for each rule that compared nothing."""
        rows = self.compare(records)
        return [line for rule in self.rules for line in rule.failures(rows)]

    def warnings(self, records: Iterable[Record]) -> list[str]:
        """What each of the rules did not see."""
        rows = self.compare(records)
        return [line for rule in self.rules for line in rule.warnings(rows)]
