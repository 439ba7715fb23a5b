"""Which columns a reader sees of each table, and how a row of numbers turns into cells.

The CSV files have more: every column of `rows`, unrounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bench.analysis.clock import MISSING_SYNC
from bench.analysis.experiments import device_of, start_of
from bench.analysis.published import MEAN_OF_CLASSES
from bench.analysis.rows import FACTS, IDENTITY, Row
from bench.core.case import Case
from bench.core.kinds import kind
from bench.report.format import NOTHING, count, interval, known, percent, ratio, share, significant
from bench.training.tracks import track

_GIB = 2**30


@dataclass(frozen=True)
class Column:
    """A header and the cell below it."""

    header: str
    show: Callable[[Row], str]
    right: bool = True
    """Whether it holds numbers."""
    usual: str | None = None
    """The column is left out where every cell says this."""

    def worth_showing(self, rows: Sequence[Row]) -> bool:
        """Whether a reader learns something from it."""
        return self.usual is None or any(self.show(row) != self.usual for row in rows)


def case_of(row: Row, **changes: str) -> Case:
    """The case that a row is about, with seed 0."""
    fields = {name: row[name] for name in IDENTITY[2:]}
    return Case(**{**fields, **changes})


def who(rows: Sequence[Row]) -> list[Column]:
    """What a row is about: first, so that it is seen with the numbers."""
    return [
        Column("network", lambda row: str(row["variant"]), right=False),
        Column("framework", lambda row: str(row["framework"]), right=False),
        *_proof(rows),
        Column("weights", lambda row: start_of(case_of(row)), right=False, usual="scratch"),
    ]


def how() -> list[Column]:
    """Under which conditions: last, since they are mostly the same down the table."""
    return [
        Column("recipe", lambda row: str(row["recipe"]), right=False),
        Column("precision", lambda row: str(row["precision"]), right=False),
        Column("batch", lambda row: count(row["batch_size"])),
        Column("px", lambda row: count(row["input_size"])),
        Column("device", lambda row: device_of(case_of(row)), right=False, usual="cpu"),
    ]


def _proof(rows: Sequence[Row]) -> list[Column]:
    """The parity column: the closed track only, since the other track promises no such thing."""
    closed = any(track(row["track"]).certified for row in rows)
    return [Column("parity", lambda row: str(row["parity"]), right=False)] if closed else []


def seeds_of(row: Row) -> str:
    """``3``, or ``2 of 3 (1 failed)``: nothing that went wrong is silent."""
    asked = row["seeds"] + row["failed"]
    trouble = [f"{row[name]} {name}" for name in ("failed", "diverged") if row.get(name)]
    if not trouble:
        return count(asked)
    got = f"{row['seeds']} of {asked}" if row["failed"] else count(asked)
    return f"{got} ({', '.join(trouble)})"


def _dagger(show: Callable[[float | None], str], row: Row) -> str:
    return f"{show(row['published'])} †" if row["published"] else NOTHING


def _range(show: Callable[[float | None], str], row: Row) -> str:
    return interval(show(row["low"]), show(row["high"]))


def _percent_range(row: Row) -> str:
    """Both ends in percent; an accuracy's t interval is cut at what is possible at all."""
    low, high = row["low"], row["high"]
    if not known(low) or not known(high):
        return NOTHING
    return f"[{100 * max(low, 0):.2f}, {100 * (high if 'share' in row else min(high, 1)):.2f}] %"


def _number(key: str, row: Row) -> str:
    return significant(row[key])


def _thousandths(key: str, row: Row) -> str:
    return significant(None if row[key] is None else 1000 * row[key])


def _memory(key: str, row: Row) -> str:
    held = row[key]
    return significant(held / _GIB) if held else NOTHING


def accuracy(rows: Sequence[Row]) -> list[Column]:
    """Accuracy and what it cost."""
    return [
        *who(rows),
        Column("seeds", seeds_of),
        Column("test accuracy", lambda row: percent(row["accuracy"], 2)),
        Column("95 % interval", _percent_range, usual=NOTHING),
        Column("published †", partial(_dagger, share), usual=NOTHING),
        Column("training s", partial(_number, "train_seconds")),
        Column("training images", lambda row: count(row["train_images"])),
        *how(),
    ]


def kind_of(row: Row) -> str:
    """What was measured, in a word."""
    return kind(row["kind"]).label


def versus_columns(rows: Sequence[Row]) -> list[Column]:
    """The ratio to the reference, and what it says."""
    references = sorted({row["reference"] for row in rows if row["reference"]})
    title = references[0] if len(references) == 1 else "reference"
    return [
        Column("reference", lambda row: row["reference"] or title, right=False, usual=title),
        Column(f"x {title}", _ratio, usual=NOTHING),
        Column("verdict", lambda row: row["verdict"] or NOTHING, right=False, usual=NOTHING),
    ]


def _ratio(row: Row) -> str:
    return ratio(row["ratio"], row["ratio_low"], row["ratio_high"])


def throughput(rows: Sequence[Row]) -> list[Column]:
    """Images/s of training and inference, side by side with the reference."""
    return [
        Column("of", kind_of, right=False),
        *who(rows),
        Column("seeds", seeds_of),
        Column("processes", lambda row: count(row["processes"]), usual="1"),
        Column("blocks", lambda row: count(row["blocks"])),
        Column("images/s", partial(_number, "images_per_second")),
        Column("95 % interval", partial(_range, significant)),
        *versus_columns(rows),
        Column("published †", partial(_dagger, significant), usual=NOTHING),
        Column("GFLOP/s", lambda row: significant(_giga(row["flops_per_second"])), usual=NOTHING),
        Column("of ceiling", lambda row: percent(row["utilisation"]), usual=NOTHING),
        Column("J/image", partial(_number, "joules_per_image"), usual=NOTHING),
        Column("first step s", partial(_number, "first_step_seconds"), usual=NOTHING),
        Column("clock", _clock, right=False, usual=NOTHING),
        Column("peak GiB", partial(_memory, "peak_memory_bytes"), usual=NOTHING),
        Column("peak device GiB", partial(_memory, "device_memory_bytes"), usual=NOTHING),
        *how(),
    ]


def _giga(value: float | None) -> float | None:
    return value / 1e9 if value is not None and known(value) else None


def _clock(row: Row) -> str:
    """Only what is wrong with it: the audit has a table of its own."""
    return MISSING_SYNC if row["clock"] == MISSING_SYNC else NOTHING


def latency(rows: Sequence[Row]) -> list[Column]:
    """Milliseconds of one call."""
    return [
        *who(rows),
        Column("seeds", seeds_of),
        Column("calls", lambda row: count(row["calls"])),
        *(Column(f"{p} ms", partial(_thousandths, p)) for p in ("p50", "p90", "p99")),
        *versus_columns(rows),
        *how(),
    ]


def startup(rows: Sequence[Row]) -> list[Column]:
    """Seconds until the first step is done, by part."""
    return [
        *who(rows),
        Column("seeds", seeds_of),
        Column("import s", partial(_number, "import_seconds")),
        Column("build s", partial(_number, "build_seconds")),
        Column("first step s", partial(_number, "first_step_seconds")),
        Column("total s", partial(_number, "seconds")),
        Column("worker s", partial(_number, "worker_seconds"), usual=NOTHING),
        Column("bare s", partial(_number, "bare_seconds"), usual=NOTHING),
        Column("worker / bare", partial(_number, "worker_ratio"), usual=NOTHING),
        *how(),
    ]


def per_class(rows: Sequence[Row]) -> list[Column]:
    """A column for each class, in the order of the dataset."""
    facts = {*IDENTITY, *FACTS, MEAN_OF_CLASSES, "published", "published_source"}
    classes = list(dict.fromkeys(key for row in rows for key in row if key not in facts))
    return [
        *who(rows),
        Column("seeds", seeds_of),
        *(Column(name, partial(_share, name)) for name in classes),
        Column("mean", partial(_share, MEAN_OF_CLASSES)),
        Column("published mean †", partial(_dagger, share), usual=NOTHING),
        *how(),
    ]


def _share(key: str, row: Row) -> str:
    return percent(row.get(key))


def overhead(rows: Sequence[Row]) -> list[Column]:
    """The suite's loop beside a bare one."""
    return [
        Column("of", kind_of, right=False),
        *who(rows),
        Column("pairs", lambda row: count(row["pairs"])),
        Column("suite images/s", partial(_number, "harness_images_per_second")),
        Column("bare loop images/s", partial(_number, "bare_images_per_second")),
        Column("suite / bare", partial(_share, "share")),
        Column("95 % interval", _percent_range),
        *how(),
    ]


def failures(rows: Sequence[Row]) -> list[Column]:
    """Case, kind, status and the last line of the error."""
    return [
        Column("case", lambda row: str(row["case"]), right=False),
        Column("kind", lambda row: str(row["kind"]), right=False),
        Column("status", lambda row: str(row["status"]), right=False),
        Column("reason (last line)", lambda row: str(row["error"]).splitlines()[-1], right=False),
    ]
