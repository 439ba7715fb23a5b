"""Seeds of one row that were measured under different conditions: several runs in one report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.analysis.caveats import ALL
from bench.analysis.certified import is_certified
from bench.analysis.comparison.comparability import RUNS, differences, in_words
from bench.analysis.experiments import data_of, without_seed
from bench.core.records import Record


def with_mixed_seeds_noted(records: Sequence[Record]) -> list[Record]:
    """Records with a caveat where their row has seeds of several runs whose conditions differ.

    Args:
        records: One per case, kind and dataset.

    Returns:
        The same records in the same order. Those of a row whose runs differ in machine or settings
        have a caveat that names what differs, so that all that shows their mean says it.
    """
    if len({record.run for record in records}) < 2:
        return list(records)
    rows: dict[object, dict[str, list[Record]]] = {}
    for record in records:
        if record.ok:
            row = without_seed(record.case), record.kind, is_certified(record), data_of(record)
            rows.setdefault(row, {}).setdefault(record.run, []).append(record)
    noted: dict[int, Record] = {}
    for runs in rows.values():
        first, *others = (some[0] for some in runs.values())
        found = [d for other in others for d in differences(first, other, RUNS, same_seed=False)]
        if not found:
            continue
        words = in_words(list({each.key: each for each in found}.values()))
        caveat = {"on": ALL, "why": f"seeds of {len(runs)} runs under unlike conditions: {words}"}
        for record in (r for some in runs.values() for r in some):
            noted[id(record)] = replace(record, caveats=(*record.caveats, caveat))
    return [noted.get(id(record), record) for record in records]
