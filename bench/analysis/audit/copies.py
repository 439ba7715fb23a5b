"""The audit of copies: results of different cases that are the same, or multiples of others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.analysis.audit.durations import Found, named
from bench.core.kinds import kind
from bench.core.records import Record

DIGESTS = ("trained_weights_sha256", "losses_sha256")
"""Metrics that two frameworks, two seeds or two networks never share: closed or not, they round in
other orders. Stages of an ablation may."""
LEAST = 5
"""Samples from which on a common course is no chance."""
PROPORTIONAL = 0.02
"""Spread of the ratio of two series over that of the series themselves: below it one is a multiple
of the other. Blocks that ran next to each other share much, but never so much."""
SPREAD = 1e-3
"""Relative spread of a series below which its course is that of rounding."""


def copies(records: Sequence[Record]) -> Found:
    """Digests that two different trainings share, and samples that are multiples of others."""
    timed = [r for r in records if r.ok and kind(r.kind).timed]
    yield from _same_digests([r for r in records if r.ok])
    yield from _multiples(timed)
    seen: set[tuple[str, str, str]] = set()
    for record in records:
        key = (*record.key, str(record.dataset.get("fingerprint")))
        if key in seen:
            yield named(record), "the run has more than one record of it"
        seen.add(key)


def _same_digests(records: Sequence[Record]) -> Found:
    seen: dict[tuple[str, str], Record] = {}
    for record in records:
        for name in DIGESTS:
            digest = record.metrics.get(name)
            if digest is None or record.metrics.get("diverged"):
                continue  # what is not finite is the same whatever led to it
            first = seen.setdefault((name, digest), record)
            if _who(first) != _who(record):
                yield named(record), f"the same {name} {digest[:12]} as {named(first)}"


def _who(record: Record) -> tuple[str, str, int]:
    return record.case.variant, record.case.framework, record.case.seed


def _multiples(records: Sequence[Record]) -> Found:
    """Records of one number of samples, each compared with all before it."""
    groups: dict[int, list[Record]] = {}
    for record in records:
        if len(record.samples) >= LEAST and min(record.samples) > 0:
            groups.setdefault(len(record.samples), []).append(record)
    for group in groups.values():
        courses = np.log([record.samples for record in group])
        courses -= courses.mean(axis=1, keepdims=True)
        spreads = courses.std(axis=1)
        for place in range(1, len(group)):
            apart = (courses[:place] - courses[place]).std(axis=1)
            alike = (apart < PROPORTIONAL * spreads[place]) & (spreads[place] > SPREAD)
            if alike.any():
                other = group[int(np.argmax(alike))]
                yield (
                    named(group[place]),
                    f"its {len(courses[place])} durations are those of {named(other)} times a "
                    "factor",
                )
