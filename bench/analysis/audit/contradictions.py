"""Records compared with themselves: what a record says twice must be the same both times.

A row of ``ROWS`` is a pure function of one record. What a record does not have is not compared.
Figures that were edited consistently in all places, blocks together with the machine's readings of
them, cannot be told from measured ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import isclose
from typing import Any

from bench.analysis.audit.durations import Found, named
from bench.analysis.audit.flops import flops
from bench.analysis.certified import certificate_contradiction
from bench.core.errors import UserError
from bench.core.kinds import kind
from bench.core.records import Record
from bench.core.samples import by_process, timed
from bench.core.system.machine import COLUMNS, BlockState
from bench.core.text import last_line
from bench.stats.summaries import summary_of

ROUNDED = 1e-4
"""Seconds: the machine's readings have four digits."""
SHORTER = 2e-3
"""Relative amount by which the machine's reading of a block may be below the block itself: never,
but for rounding."""
LONGER, LEAST = 0.05, 0.015
"""And above it, relative and in seconds: the readings before and after a block."""
BETWEEN = 0.5
"""The same of a latency, relative: its inputs are made between its calls."""
USUAL, USUAL_LEAST = 0.005, 2e-3
"""The same of the median over all blocks of a throughput."""
EVALUATED, EVALUATED_LEAST = 0.25, 1.0
"""Above a stretch of a training: older readings have the evaluation before it in them."""
UNSURE = 0.002
"""Relative distance from a threshold within which rounded readings do not tell on which side."""
INTERVAL = {"low", "high"}
"""What a summary has that is computed in another way than before: tables compute it again."""
_DTYPES = {"tf32": "float32"}
"""Data types of products by precision, where the name is another one."""

_UNREADABLE = (UserError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError)
"""What a part of a record raises that is not what its metric says: readers accept any JSON."""

Row = Callable[[Record], Iterator[str]]


def contradictions(records: Sequence[Record]) -> Found:
    """What records with a result say twice, and not the same both times."""
    for record in records:
        for row in ROWS if record.ok else ():
            try:
                for words in row(record):
                    yield named(record), words
            except _UNREADABLE as problem:
                yield named(record), f"its {row.__name__.strip('_')} cannot be checked: {problem!r}"


def _error(record: Record) -> Iterator[str]:
    if record.error:
        yield f"its status is ok, and its error says {last_line(record.error)!r}"


def _accuracy(record: Record) -> Iterator[str]:
    """The accuracy in all places, and that of each class."""
    if not kind(record.kind).trained:
        return
    metrics, accuracy = record.metrics, record.samples[0]
    counts = metrics.get("confusion") or []
    curve = metrics.get("curve") or []
    found = {
        "test_accuracy": metrics.get("test_accuracy"),
        "the end of its curve": curve[-1].get("test_accuracy") if curve else None,
        "its confusion matrix": _hits(counts) / sum(map(sum, counts)) if counts else None,
    }
    for name, value in found.items():
        if value is not None and not _close(value, accuracy):
            yield f"accuracy {accuracy:.4f}, and {name} says {value:.4f}"
    per_class = metrics.get("per_class") or {}
    for row, (name, value) in zip(enumerate(counts), per_class.items(), strict=False):
        expected = row[1][row[0]] / max(sum(row[1]), 1)
        if not _close(value, expected):
            yield f"accuracy of {name} {value:.4f}, and its confusion matrix says {expected:.4f}"


def _hits(counts: Sequence[Sequence[int]]) -> int:
    return sum(row[place] for place, row in enumerate(counts))


def _test_images(record: Record) -> Iterator[str]:
    counts = record.metrics.get("confusion")
    images = record.dataset.get("test_images")
    if counts and images is not None and sum(map(sum, counts)) != images:
        yield f"{images:,} test images, and {sum(map(sum, counts)):,} in its confusion matrix"


def _training(record: Record) -> Iterator[str]:
    """Seconds and images of a training, and the end of its curve."""
    curve = record.metrics.get("curve") or []
    for metric, name in (("train_seconds", "seconds"), ("train_images", "images")):
        value = record.metrics.get(metric)
        end = curve[-1].get(name) if curve else None
        if value is not None and end is not None and not _close(value, end):
            yield f"{metric} {value:,.6g}, and its curve ends after {end:,.6g}"


def _thresholds(record: Record) -> Iterator[str]:
    """Thresholds, and the first point of the curve that reaches them."""
    curve = record.metrics.get("curve") or []
    for goal in (record.metrics.get("thresholds") or []) if curve else []:
        accuracy = goal["accuracy"]
        reached = [p for p in curve if p["test_accuracy"] >= accuracy]
        for name in ("images", "seconds"):
            value, first = goal.get(name), reached[0].get(name) if reached else None
            if value != first:
                yield (
                    f"{100 * accuracy:.0f} % reached after {_known(value)} {_unit(name, value)}, "
                    f"and by its curve after {_known(first)}"
                )


def _images(record: Record) -> Iterator[str]:
    """Images of a block: those of its steps."""
    steps = record.metrics.get("steps_per_sample")
    images = record.images_per_sample
    size = record.case.batch_size
    if kind(record.kind).throughput and steps is not None and images != steps * size:
        yield f"{images} images of a block, and {steps} steps of {size}"


def _summary(record: Record) -> Iterator[str]:
    """The summary, recomputed from the samples."""
    expected = summary_of(record.kind, by_process(record), record.images_per_sample)
    for name, value in record.summary.items():
        if name in expected.keys() - INTERVAL and not _close(value, expected[name]):
            yield f"its summary has {name} {_known(value)}, its samples {_known(expected[name])}"


def _blocks(record: Record) -> Iterator[str]:
    """Blocks of an interleaved run: samples and readings of the machine of each."""
    machine = record.metrics.get("machine") or {}
    if not kind(record.kind).timed:
        return
    blocks = (record.metrics.get("interleaving") or {}).get("blocks")
    if blocks and sum(block[2] for block in blocks) != len(record.samples):
        yield f"{len(record.samples)} samples, and its blocks are of {sum(b[2] for b in blocks)}"
        return
    readings = {len(machine[name]) for name in COLUMNS if name in machine}
    if blocks and readings and readings != {len(blocks)}:
        yield f"{len(blocks)} blocks, and readings of the machine of {_joined(readings)}"
    elif blocks and "seconds" in machine and not kind(record.kind).startup:
        yield from _block_seconds(record, machine["seconds"])


def _block_seconds(record: Record, seconds: Sequence[float]) -> Iterator[str]:
    """Each block, and the seconds for which the machine was read during it."""
    own = [sum(samples) for samples in timed(record).parts()]
    longer = LONGER if kind(record.kind).throughput else BETWEEN
    for place, (block, read) in enumerate(zip(own, seconds, strict=True)):
        if not -_less(block) <= read - block <= longer * block + LEAST:
            yield f"block {place} of {block:.4f} s, and the machine was read for {read:.4f} s"
            return
    middle = sorted(read / block - 1 for block, read in zip(own, seconds, strict=True))
    allowed = USUAL + USUAL_LEAST / min(own)
    if kind(record.kind).throughput and middle[len(middle) // 2] > allowed:
        by = f"{100 * middle[len(middle) // 2]:.1f} %"
        yield f"the machine was read for {by} longer than its blocks took"


def _stretches(record: Record) -> Iterator[str]:
    """Stretches of a training, and the seconds for which the machine was read during them."""
    curve = record.metrics.get("curve") or []
    seconds = (record.metrics.get("machine") or {}).get("seconds") or []
    # A training that went on, or on cached features, has readings of other stretches.
    whole = record.metrics.get("parts") == 1 and not record.metrics.get("features")
    if not whole or not curve or not seconds or curve[0].get("step") == 1:
        return  # the first step alone has no reading
    if len(seconds) < len(curve):
        yield f"{len(curve)} stretches, and readings of the machine of {len(seconds)}"
    if len(seconds) != len(curve):
        return
    first = (record.metrics.get("startup") or {}).get("first_step_seconds") or 0.0
    own = [curve[0]["seconds"] - first]
    own += [after["seconds"] - before["seconds"] for before, after in pairwise(curve)]
    for place, (stretch, read) in enumerate(zip(own, seconds, strict=True)):
        more = EVALUATED * stretch + EVALUATED_LEAST if place else LONGER * stretch + LEAST
        if not -_less(stretch) <= read - stretch <= more:
            yield f"stretch {place} of {stretch:.3f} s, and the machine was read for {read:.3f} s"


def _less(seconds: float) -> float:
    return SHORTER * seconds + ROUNDED


def _disturbed(record: Record) -> Iterator[str]:
    """The share of disturbed blocks, recomputed from the readings."""
    machine = record.metrics.get("machine") or {}
    names = [*COLUMNS, "threads"]
    if not machine.keys() >= set(names):
        return
    rows = zip(*(machine[name] for name in COLUMNS), strict=True)
    states = [
        BlockState(**dict(zip(COLUMNS, row, strict=True)), threads=machine["threads"])
        for row in rows
        if row[0]
    ]
    share = record.metrics.get("disturbed") or 0.0
    surely = sum(state.excess > 1 + UNSURE for state in states)
    perhaps = sum(state.excess > 1 - UNSURE for state in states)
    if states and not surely - 0.5 <= share * len(states) <= perhaps + 0.5:
        read = f"{100 * surely / len(states):.0f} %"
        yield f"disturbed {100 * share:.0f} % of the time, and by its readings {read}"


def _flops(record: Record) -> Iterator[str]:
    """Operations of an image, and those of the network."""
    found = record.metrics.get("flops_per_image")
    if found is not None and (words := flops(record)):
        yield words


def _certificate(record: Record) -> Iterator[str]:
    if words := certificate_contradiction(record):
        yield words


def _precision(record: Record) -> Iterator[str]:
    """The precision of the case, and the data type of its products."""
    found = record.settings.get("compute_dtype")
    wanted = _DTYPES.get(record.case.precision, record.case.precision)
    if found is not None and found != wanted:
        yield f"precision {record.case.precision}, and its products were of {found}"


ROWS: tuple[Row, ...] = (
    _error,
    _accuracy,
    _test_images,
    _training,
    _thresholds,
    _images,
    _summary,
    _blocks,
    _stretches,
    _disturbed,
    _flops,
    _certificate,
    _precision,
)


def _close(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def _unit(name: str, value: Any) -> str:
    return name.removesuffix("s") if value == 1 else name


def _known(value: Any) -> str:
    return "none" if value is None else f"{value:,.6g}"


def _joined(numbers: set[int]) -> str:
    return " and ".join(map(str, sorted(numbers)))
