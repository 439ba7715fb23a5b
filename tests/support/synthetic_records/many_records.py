"""Many synthetic records, as a large run would leave them: for the cost of a report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, product

from bench.core.kinds import KINDS
from bench.core.records import Record
from bench.networks.variants import VARIANTS
from bench.training.tracks import TRACKS
from tests.support.synthetic_records.synthetic import (
    FAILED_PARITY,
    FRAMEWORKS,
    make_failure,
    make_record,
)
from tests.support.synthetic_records.synthetic_waterfall import make_waterfall

ABLATIONS = 3
"""Seeds of the ablation that stand among the records."""


def many_records(number: int) -> list[Record]:
    """So many records of 7 networks, 4 frameworks, all tracks and kinds, over as many seeds.

    One in fifty failed, one in a hundred of the closed track has no passed certificate. Accuracies
    have curves, classes and step losses; timings have the schedule of an interleaved run.
    """
    ablation = make_waterfall(seeds=ABLATIONS)[: number // 10]
    return [*ablation, *islice(_records(), number - len(ablation))]


def many_cases(number: int) -> list[Record]:
    """So many records of as many cases: they differ in batch size where they differed in seed."""
    return [
        replace(record, case=replace(record.case, seed=0, batch_size=record.case.seed + 1))
        for record in islice(_records(), number)
    ]


def _records() -> Iterator[Record]:
    tracks = [track.name for track in TRACKS.values() if not track.stages]
    seed, place = 0, 0
    while True:
        for track, variant, framework, kind in product(tracks, VARIANTS, FRAMEWORKS, KINDS):
            place += 1
            changes = {"track": track, "seed": seed}
            if place % 50 == 0:
                yield make_failure(kind, variant=variant, framework=framework, **changes)
                continue
            record = make_record(variant, framework, kind, **changes)
            if place % 100 == 1 and track == "closed":
                record = replace(record, parity=FAILED_PARITY)
            yield record
        seed += 1
