"""Rows of the sync audit."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.clock import sync_audit_of
from bench.analysis.experiments import Data, experiments
from bench.analysis.rows import Row, identity
from bench.core.records import Record


def clock_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """Seconds per training step: in ``block``s, in ``unsynced`` calls, as ``synced`` slope of time
    over steps, and as ``slope`` up to the trained weights on the host; medians.

    ``ratio`` is synced over slope with its 95 % interval, and ``clock`` what it says
    (:attr:`bench.analysis.clock.SyncAudit.verdict`).
    """
    rows = []
    for experiment in experiments(records, ("train_throughput",)):
        clock = sync_audit_of(experiment)
        if clock:
            row = identity(experiment, data) | {"seeds": len(experiment.ok)}
            row |= {"parity": experiment.parity, "parity_problem": experiment.problem}
            row |= {name: getattr(clock, name) for name in ("block", "unsynced", "synced", "slope")}
            row |= {"ratio": clock.ratio.value, "ratio_low": clock.ratio.low}
            rows.append(row | {"ratio_high": clock.ratio.high, "clock": clock.verdict})
    return rows
