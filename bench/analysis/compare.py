"""Two runs side by side, case by case: did B take longer than A?

Only like is compared with like. A pair whose data, parity status, machine or settings differ is
refused, and the reason says what differs; so is one where a side has no result. What must be the
same is listed in `comparable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis.certified import status_of
from bench.analysis.comparability import RUNS, differences
from bench.analysis.experiments import latest
from bench.core.case import Case
from bench.core.kinds import kind
from bench.core.records import Record
from bench.core.samples import by_process, interleaved_together, ratios, timed
from bench.core.text import without_folders
from bench.stats import bootstrap, estimates


@dataclass(frozen=True)
class Comparison:
    """One case and kind of two runs."""

    case: str
    kind: str
    verdict: str
    """``faster``, ``slower``, ``tie`` (not told apart); for accuracy ``higher``, ``lower``, ``tie``
    or ``single seed``; ``refused``; ``only in A``, ``only in B``."""
    ratio: float | None = None
    """Time of B over time of A: above 1, B takes longer. None for accuracy."""
    difference: float | None = None
    """Accuracy of B minus that of A, in percentage points. None for everything timed."""
    low: float | None = None
    high: float | None = None
    """95 % interval of the ratio; for accuracy, of the mean difference over all seeds."""
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object; ``ratio`` is null for accuracy, ``difference`` for everything else."""
        names = ("case", "kind", "ratio", "low", "high", "verdict", "reason", "difference")
        return {name: getattr(self, name) for name in names}


def compare(a: Sequence[Record], b: Sequence[Record]) -> list[Comparison]:
    """One comparison per case and kind that is in either run, in the order of A, then of B."""
    old, new = (_by_key(run) for run in (a, b))
    differences = _differences(old, new)
    rows = []
    for key in [*old, *(key for key in new if key not in old)]:
        if key not in old or key not in new:
            rows.append(Comparison(*key, verdict=f"only in {'A' if key in old else 'B'}"))
        elif reason := refusal(old[key], new[key]):
            rows.append(Comparison(*key, verdict="refused", reason=reason))
        elif kind(old[key].kind).trained:
            rows.append(_accuracy(old[key], new[key], differences))
        else:
            rows.append(_timed(old[key], new[key]))
    return rows


def _by_key(run: Sequence[Record]) -> dict[tuple[str, str], Record]:
    newest, _ = latest(run)
    return {record.key: record for record in sorted(newest, key=lambda r: r.started_at)}


def refusal(a: Record, b: Record) -> str | None:
    """Why two records of the same case must not be compared; None when they may."""
    for side, record in (("A", a), ("B", b)):
        if not record.ok:
            last = (record.error or "no reason was recorded").strip().splitlines()[-1]
            return f"{side} has no result: {record.status} ({without_folders(last)})"
    prints = [str(record.dataset.get("fingerprint")) for record in (a, b)]
    if prints[0] != prints[1]:
        return f"different data: {prints[0][:12]} in A, {prints[1][:12]} in B"
    parity = [status_of(record) for record in (a, b)]
    if parity[0] != parity[1]:
        return f"different parity status: {parity[0]} in A, {parity[1]} in B"
    unlike = [f"{d.key} is {d.one} in A, {d.other} in B" for d in differences(a, b, RUNS)]
    return f"different settings: {'; '.join(unlike)}" if unlike else None


def _timed(a: Record, b: Record) -> Comparison:
    """Ratio of the median seconds per image (a run with longer blocks is not slower for that)."""
    if interleaved_together(a, b):
        # Two copies of one measurement, sample by sample: what made it noisy is in both.
        ratio = estimates.paired(ratios(timed(a), timed(b))).ratio
    else:
        ratio = estimates.ratio_of_medians(_seconds_per_image(b), _seconds_per_image(a))
    reason = _why_wide(a, b)
    if ratio.low is None:
        ratio = estimates.assume_spread(ratio)
        percent = 100 * (estimates.SINGLE_SAMPLE_SPREAD - 1)
        reason = f"a single sample: the interval assumes that it may be {percent:.0f} % off"
    # The verdict is about speed, and the ratio about time.
    said = {"faster": "slower", "slower": "faster"}
    verdict = estimates.verdict(ratio.low, ratio.high)
    return Comparison(
        *a.key,
        verdict=said.get(verdict, verdict),
        ratio=ratio.value,
        low=ratio.low,
        high=ratio.high,
        reason=reason,
    )


def _seconds_per_image(record: Record) -> list[list[float]]:
    """By process; a clock too coarse for a call reads zero, and a ratio needs more."""
    images = record.images_per_sample or 1
    return [[max(s, 1e-9) / images for s in process] for process in by_process(record)]


def _why_wide(a: Record, b: Record) -> str | None:
    """What had to be assumed, where a run took one process only."""
    if min(len(by_process(record)) for record in (a, b)) > 1:
        return None
    percent = 100 * bootstrap.PROCESS_SPREAD
    return f"a run has one process: the interval takes {percent:.0f} % for the spread between them"


def _differences(
    old: Mapping[tuple[str, str], Record], new: Mapping[tuple[str, str], Record]
) -> dict[Case, list[float]]:
    """Accuracy of B minus A in points, seed by seed, of each case that may be compared.

    Seeds are paired: the same seed has the same weights and batches in both runs.
    """
    found: dict[Case, list[float]] = {}
    for key, a in old.items():
        if kind(a.kind).trained and key in new and refusal(a, new[key]) is None:
            found.setdefault(replace(a.case, seed=0), []).append(_points(a, new[key]))
    return found


def _points(a: Record, b: Record) -> float:
    return 100 * (b.samples[0] - a.samples[0])


def _accuracy(a: Record, b: Record, differences: Mapping[Case, list[float]]) -> Comparison:
    seeds = differences[replace(a.case, seed=0)]
    mean = estimates.mean_estimate(seeds)
    if mean.low is None or mean.high is None:
        # Two equal numbers are a tie however few there are.
        verdict = "single seed" if mean.value else "tie"
        return Comparison(*a.key, verdict=verdict, difference=_points(a, b))
    verdict = "higher" if mean.low > 0 else "lower" if mean.high < 0 else "tie"
    return Comparison(
        *a.key,
        verdict=verdict,
        difference=_points(a, b),
        low=mean.low,
        high=mean.high,
        reason=f"mean over {len(seeds)} seeds: {mean.value:+.2f} points",
    )


def as_text(comparisons: Sequence[Comparison]) -> str:
    """A table for a terminal, its reading above it; refused pairs say why below their row."""
    if not comparisons:
        return "Neither run has a record."
    width = max(len(row.case) for row in comparisons)
    lines = [
        "Time of B over time of A (above 1: B takes longer); accuracy: B minus A in points.",
        f"{'case':{width}}  {'kind':16}  {'B / A':>9}  {'95 % interval':>18}  verdict",
    ]
    for row in comparisons:
        lines.append(
            f"{row.case:{width}}  {row.kind:16}  {_figure(row):>9}  {_interval(row):>18}  "
            f"{row.verdict}"
        )
        if row.reason:
            lines.append(f"    {row.reason}")
    return "\n".join([*lines, _count(comparisons)])


def _figure(row: Comparison) -> str:
    if row.difference is not None:
        return f"{row.difference:+.2f} pt"
    return "" if row.ratio is None else f"{row.ratio:.3f}"


def _interval(row: Comparison) -> str:
    if row.low is None or row.high is None:
        return ""
    sign, digits = ("+", 2) if row.difference is not None else ("", 3)
    return f"[{row.low:{sign}.{digits}f}, {row.high:{sign}.{digits}f}]"


def _count(comparisons: Sequence[Comparison]) -> str:
    verdicts = [row.verdict for row in comparisons]
    counted = [f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)]
    return f"{len(verdicts)} rows: {', '.join(counted)}"
