"""Seeds of one row that were measured under different conditions: several runs in one report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.analysis.caveats import ALL
from bench.analysis.certified import is_certified
from bench.analysis.comparison.comparability import RUNS, Rule, differences, in_words
from bench.analysis.experiments import data_of, without_seed
from bench.core.records import Record

_Place = tuple[str, str]
"""A run, and a kind of node of a cluster."""
_RULES = (*RUNS, Rule("environment", r"versions\..*"))


def with_mixed_seeds_noted(records: Sequence[Record]) -> list[Record]:
    """Records with a caveat where their row has seeds of several places whose conditions differ: of
    several runs, or of several kinds of node of a cluster.

    Args:
        records: One per case, kind and dataset.

    Returns:
        The same records in the same order. Those of a row whose places differ in machine, settings
        or versions have a caveat that names what differs, so that all that shows their mean says
        it.
    """
    if len(set(map(_place_of, records))) < 2:
        return list(records)
    rows: dict[object, dict[_Place, list[Record]]] = {}
    for record in records:
        if record.ok:
            row = without_seed(record.case), record.kind, is_certified(record), data_of(record)
            rows.setdefault(row, {}).setdefault(_place_of(record), []).append(record)
    noted: dict[int, Record] = {}
    for places in rows.values():
        first, *others = (some[0] for some in places.values())
        found = [d for other in others for d in differences(first, other, _RULES, same_seed=False)]
        if not found:
            continue
        words = in_words(list({each.key: each for each in found}.values()))
        runs = len({run for run, _ in places})
        where = f"{runs} runs" if runs > 1 else f"{len(places)} kinds of node"
        caveat = {"on": ALL, "why": f"seeds of {where} under unlike conditions: {words}"}
        for record in (r for some in places.values() for r in some):
            noted[id(record)] = replace(record, caveats=(*record.caveats, caveat))
    return [noted.get(id(record), record) for record in records]


def _place_of(record: Record) -> _Place:
    node = record.environment.get("node") or {}
    return record.run, str(node.get("kind", ""))
