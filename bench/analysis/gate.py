"""A gate on an earlier run: which cases have become slower than a rule allows.

It goes by the interval, never by one statistic: noise alone must not fail a build. A slowdown that
the interval cannot tell from noise, or that rests on one process, is inconclusive and passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.analysis.compare import ONLY_A, Comparison, as_text, compare
from bench.core.errors import UserError
from bench.core.records import Record, RecordStore
from bench.stats.verdicts import SPEED, Margin


@dataclass(frozen=True)
class Rule:
    """``slower:5%``: fail where a case is more than 5 % slower, by its whole 95 % interval.

    Attributes:
        margin: The ratios of speed that are allowed; ``slower:5%`` allows down to 1 / 1.05.
        allowed: Time that may be added, as a fraction: 0.05.
    """

    margin: Margin
    allowed: float

    @classmethod
    def parse(cls, text: str) -> Rule:
        """The rule that ``text`` says.

        Raises:
            UserError: It is not of the form ``slower:<number>%``.
        """
        found = re.fullmatch(r"slower:(\d+(?:\.\d+)?)%", text.replace(" ", ""))
        if not found:
            raise UserError(f"--bench-fail-if {text!r}: must look like slower:5%")
        allowed = float(found[1]) / 100
        return cls(Margin.of_speed(allowed), allowed)

    def violations(self, comparisons: Iterable[Comparison]) -> list[str]:
        """A line for each case that is slower, with an interval wholly beyond what is allowed."""
        return [
            f"{row.case} {row.kind}: {row.ratio:.3f} times the speed "
            f"[{row.low:.3f}, {row.high:.3f}], more than {100 * self.allowed:g} % slower "
            "(whole 95 % interval)"
            for row in comparisons
            if row.verdict == SPEED.below and row.high is not None and row.high < self.margin.low
        ]


@dataclass(frozen=True)
class Gate:
    """An earlier run to compare records with, and what must not happen.

    Attributes:
        earlier: Records of the earlier run.
        rule: What fails; None where nothing does.
    """

    earlier: Sequence[Record]
    rule: Rule | None

    @classmethod
    def of(cls, run: str | None, rule: str | None) -> Gate | None:
        """The gate of two command-line options; None where no run is named.

        Args:
            run: Folder of the earlier run.
            rule: Text of the rule.

        Raises:
            UserError: The folder holds no run, or there is a rule without a run.
        """
        if run is None:
            if rule is not None:
                raise UserError("--bench-fail-if needs an earlier run: add --bench-compare RUN")
            return None
        return cls(RecordStore(Path(run)).read(), Rule.parse(rule) if rule else None)

    def compare(self, records: Iterable[Record]) -> list[Comparison]:
        """Case by case, without what was not measured this time."""
        found = compare(self.earlier, records)
        return [row for row in found if row.verdict != ONLY_A]

    def violations(self, records: Iterable[Record]) -> list[str]:
        """A line for each case that violates the rule."""
        return self.rule.violations(self.compare(records)) if self.rule else []

    def as_text(self, records: Iterable[Record]) -> str:
        """The comparison for a terminal, A the earlier run and B this one."""
        return as_text(self.compare(records))
