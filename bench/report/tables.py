"""Tables: what is written as CSV (full precision) and Markdown, and shown in the report.

Closed and idiomatic rows, certified and uncertified ones, and rows of different data stand in
sections of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.analysis import ablation, rows
from bench.analysis.certified import is_certified_row
from bench.analysis.experiments import Data, by_dataset
from bench.analysis.rows import IDENTITY, Row
from bench.core.records import Record
from bench.report import columns, footnotes
from bench.report.chapters import (
    columns_article,
    columns_beside,
    columns_break_even,
    columns_closed,
    columns_differences,
    columns_normalisation,
    columns_paired,
    columns_survival,
    columns_waterfall,
    rows_article,
    rows_break_even,
    rows_clock,
    rows_closed,
    rows_differences,
    rows_features,
    rows_layers,
    rows_normalisation,
    rows_overhead,
    rows_paired,
    rows_survival,
    rows_tutorial,
)
from bench.report.columns import Column
from bench.report.format import markdown
from bench.training.tracks import TRACKS, track

UNCERTIFIED_TITLE = "Closed track, uncertified (not shown to be the same network and arithmetic)"


@dataclass(frozen=True)
class Table:
    """One kind of table; ``name`` is the name of its files."""

    name: str
    title: str
    how: str
    """How to read it, one line."""
    rows: Callable[[Sequence[Record], Data], list[Row]]
    columns: Callable[[Sequence[Row]], list[Column]]
    always: bool = False
    """Whether the files are written without rows, too."""
    part: str | None = None
    """What its rows are, where that is not the track's promise."""


@dataclass(frozen=True)
class Section:
    """Rows that may stand together, as text."""

    table: Table
    data: Data
    track: str
    headers: tuple[str, ...]
    right: tuple[bool, ...]
    """Which columns hold numbers."""
    cells: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    certified: bool = True
    """False for the rows that stand apart for want of a passed certificate."""

    @property
    def title(self) -> str:
        """The track in words; an unknown one by its name."""
        if not self.certified:
            return UNCERTIFIED_TITLE
        return self.table.part or track(self.track).title


TABLES = (
    Table(
        "accuracy",
        "Test accuracy",
        "Mean over seeds with a 95 % t interval (from two seeds on). Seconds are of training "
        "alone, without evaluation. A seed that diverged counts in the mean; one that failed is "
        "named beside the seeds.",
        rows.accuracy_rows,
        columns.accuracy,
        always=True,
    ),
    Table(
        "parting",
        "How long the trainings are the same",
        "Closed track, certified rows: the loss of each of the first steps beside the reference's "
        "from the same seed, and the first step (from 1) at which they differ by more than 0.1 % "
        "and 1 %; from about there on they are different runs. They part because float32 sums "
        "round differently in each framework: a last digit tips a ReLU or a pool over its kink, "
        "and every step multiplies the difference, fastest with BatchNorm, which divides by what "
        "a batch happens to be: there within a few steps. A difference near 1e-7 at step 1 is "
        "rounding; one of 1e-4 there would be an error.",
        rows_closed.parting_rows,
        columns_closed.parting,
    ),
    Table(
        "accuracy_differences",
        "Differences in accuracy",
        "Percentage points of mean test accuracy between a row and what it is held against "
        "(another framework on the same network, or the same framework without, or with another, "
        "normalisation), with a 95 % interval: t, paired by seed, in the closed track, where a "
        "seed has the same batches everywhere; Welch's in the idiomatic track. Higher and lower "
        "are intervals without 0; a tie was not told apart; a single seed has no interval and no "
        "verdict. Intervals are per row, without a correction for how many rows there are.",
        rows_differences.difference_rows,
        columns_differences.columns,
    ),
    Table(
        "time_to_accuracy",
        "Time to accuracy",
        "When an evaluation first reached the accuracy, over seeds. Seconds count from the empty "
        "process: import, build and training with its first step, without evaluation. A seed that "
        "ended without reaching it is right-censored (Kaplan-Meier). The mean is restricted: a "
        "seed that has not reached it by the end that all frameworks of the network share (up to) "
        "counts as that, and ≥ says that there was one. Accuracies that no framework of a network "
        "reached are left out.",
        rows_survival.time_to_accuracy_rows,
        columns_survival.columns,
    ),
    Table(
        "normalisation",
        "What normalisation costs and brings",
        "The network with a normalisation beside the same one without (or with the other one), in "
        "one framework: change of test accuracy in percentage points (intervals as in the "
        "differences in accuracy) and of training images/s in percent (95 % bootstrap).",
        rows_normalisation.normalisation_rows,
        columns_normalisation.columns,
    ),
    Table(
        "article",
        "Beside the transfer article's loop",
        "The loop of the transfer-learning article (batch 4, every picture resized alone in a "
        "DataLoader, all weights trained) was timed in this run for some hundred steps; its whole "
        "training, 10 epochs of 50,000 pictures, is extrapolated from them. Beside it our "
        "trainings from pretrained weights: seconds of training to the article's 84.41 %, or to "
        "the best accuracy that was reached where that is lower (median over seeds).",
        rows_article.article_rows,
        columns_article.article,
        part="The article's loop, and our trainings from pretrained weights",
    ),
    Table(
        "tutorial",
        "Beside the tutorials' loops",
        "The idiomatic track beside the loop that the framework's tutorials show, on the same "
        "network: a block of theirs after each of ours, in one process. The ratio is of images/s, "
        "above 1x faster than theirs, with a 95 % bootstrap interval over the pairs. Accuracies "
        "are of trainings over the same number of pictures (ours by its recipe, theirs as "
        "described); seconds are of training alone, on the same machine, one after the other.",
        rows_tutorial.tutorial_rows,
        columns_beside.tutorial,
    ),
    Table(
        "layers",
        "The suite's layers beside the frameworks' own",
        "One call, forward and backward, in float32 on pictures as a ReLU leaves them, in turns in "
        "one process. The ratio is of time, above 1x ours is faster, with a 95 % bootstrap "
        "interval over the pairs; the difference is of outputs and gradients, relative to the "
        "largest value.",
        rows_layers.layer_rows,
        columns_beside.layers,
    ),
    Table(
        "features",
        "Features of a frozen trunk: kept, and computed anew",
        "Trainings of a head on a trunk that stays as it is. Its features are computed once for "
        "each view of a picture (mirrored is another view) and kept. Beside it, at the pace of "
        "some steps behind the training, what the same training takes when every batch goes "
        "through the trunk again; and the same without the seconds in which the kept features "
        "were made, as in a second training on them.",
        rows_features.feature_rows,
        columns_beside.features,
    ),
    Table(
        "throughput",
        "Throughput",
        "Images/s in steady state: mean over processes of the median of each one's blocks, with a "
        "95 % bootstrap interval, which covers the spread between processes where there were "
        "several. Ratios are of throughput: above 1x is faster than the reference; a tie was not "
        "told apart.",
        rows.throughput_rows,
        columns.throughput,
        always=True,
    ),
    Table(
        "paired",
        "Side by side",
        "The frameworks were alive together and took turns, a block each, A B B A, in fresh "
        "processes every time. The ratio is of speed, pair by pair, above 1x faster than the "
        "reference; its 95 % interval resamples processes and pairs, and is as wide as Student's t "
        "over the processes says. *Could show* is the smallest difference that this many would "
        "have found four times out of five: a tie means no more than that the two are closer than "
        "this. No more were taken when every ratio was as precise as the goal, or at a time limit.",
        rows_paired.paired_rows,
        columns_paired.paired,
    ),
    Table(
        "clock",
        "Sync audit",
        "Milliseconds of one training step: in the blocks that everything here is timed by, in "
        "calls that are not waited for, and as the slope of time over the number of steps, up to "
        "the sync and up to the trained weights on the host, which nothing can deliver early. "
        "Where the synced slope is surely more than 10 % below the other, the sync does not wait: "
        "the row returns early, and its speed is not to be believed. Slopes are of short calls, "
        "and a framework may be slower in these than in blocks.",
        rows_clock.clock_rows,
        columns_paired.clock,
    ),
    Table(
        "latency",
        "Latency of one picture",
        "Milliseconds from one picture to its logits: half of the calls took p50 or less, one in "
        "a hundred longer than p99. The ratio is of speed at p50: above 1x is faster.",
        rows.latency_rows,
        columns.latency,
    ),
    Table(
        "startup",
        "Start-up",
        "Seconds from an empty process to the end of the first training step, and where they went. "
        "*Worker* is the same seen from outside, from the birth of the process, with the data "
        "opened; *bare* is the shortest process that imports, builds and takes one float32 step.",
        rows.startup_rows,
        columns.startup,
    ),
    Table(
        "break_even",
        "Break-even",
        "Pairs of frameworks on one network, the one with more images/s first: how many images "
        "behind the first step it takes until it has made up for a slower start (import, build, "
        "first step), and how much of that is the first step, where it traces and compiles. Epochs "
        "are of all training pictures. No number where the rates were not told apart.",
        rows_break_even.break_even_rows,
        columns_break_even.columns,
    ),
    Table(
        "per_class",
        "Accuracy by class",
        "Share of each class's test pictures that were named rightly, mean over seeds.",
        rows.per_class_rows,
        columns.per_class,
    ),
    Table(
        "overhead",
        "Cost of the harness",
        "The suite's own loop beside a bare hand-written one, measured in turns: 100 % is no cost. "
        "Pairs of one network spread more than the suite costs; *all of them* is the geometric "
        "mean over networks.",
        rows_overhead.overhead_rows,
        columns.overhead,
    ),
    Table(
        "parity",
        "Parity",
        "A line per certificate: a network with its head, in a framework, was held against the "
        "reference from the same weights and batches, and each cell is the largest relative "
        "error, beside the bound it must keep (≤ kept, > broken). float64 shows that the "
        "arithmetic is the same over several steps; float32 is what is timed. A row of the "
        "closed track whose certificate did not pass is shown apart as uncertified.",
        rows_closed.certificate_rows,
        columns_closed.certificates,
        part="Certificates of the closed track",
    ),
    Table(
        "waterfall",
        "What each default costs",
        "Top to bottom: everything as the framework has it, then one default after the other "
        "switched to the shared value and kept there. Changes are to the stage above that was "
        "run, paired by seed, with 95 % t intervals: one that holds 0 points (or 1x) was not "
        "told apart. Images/s are of the same runs, behind the first evaluation. The last lines "
        "of a network are the gap between the frameworks at both ends.",
        ablation.ablation_rows,
        columns_waterfall.columns,
    ),
    Table(
        "failures",
        "Failed and skipped",
        "What has no result, and why; the CSV file has the whole text.",
        rows.failure_rows,
        columns.failures,
    ),
)


def frame(table: Table, records: Sequence[Record]) -> pd.DataFrame:
    """All rows of a table in full precision; empty, but with its first columns, without rows."""
    found = [row for data, some in by_dataset(records) for row in table.rows(some, data)]
    return pd.DataFrame(found) if found else pd.DataFrame(columns=list(IDENTITY))


def sections(table: Table, records: Sequence[Record]) -> list[Section]:
    """The table's rows as text, apart by dataset, by track, and by whether they are certified."""
    found = []
    for data, some in by_dataset(records):
        parts: dict[tuple[str, bool], list[Row]] = {}
        for row in table.rows(some, data):
            parts.setdefault((row["track"], is_certified_row(row)), []).append(row)
        for (on, certified), part in sorted(parts.items(), key=_section_order):
            found.append(_section(table, data, (on, certified), part))
    return found


def _section_order(part: tuple[tuple[str, bool], list[Row]]) -> tuple[int, bool]:
    name, certified = part[0]
    return [*TRACKS].index(name), not certified


def _section(table: Table, data: Data, kind: tuple[str, bool], part: Sequence[Row]) -> Section:
    on, certified = kind
    shown = [column for column in table.columns(part) if column.worth_showing(part)]
    dagger = any("†" in column.header for column in shown)
    below = [
        *(footnotes.published(part) if dagger else ()),
        *footnotes.shortened(part),
        *footnotes.origins(part),
        *footnotes.extrapolated(part),
        *footnotes.ceiling(part),
        *footnotes.energy(part),
        *footnotes.startup_unknown(part),
        *footnotes.not_compared(part),
        *(() if certified else (footnotes.UNCERTIFIED,)),
        *footnotes.why_uncertified(part),
    ]
    return Section(
        table=table,
        data=data,
        track=on,
        headers=tuple(column.header for column in shown),
        right=tuple(column.right for column in shown),
        cells=tuple(tuple(column.show(row) for column in shown) for row in part),
        notes=tuple(below),
        certified=certified,
    )


def as_markdown(table: Table, records: Sequence[Record]) -> str:
    """The Markdown file of a table."""
    parts = [f"# {table.title}", table.how]
    data = None
    for section in sections(table, records):
        if section.data != data:
            data = section.data
            parts.append(f"## {data.label}")
        parts.append(f"### {section.title}")
        parts.append(markdown(section.headers, section.cells, section.right))
        parts.extend(section.notes)
    if data is None:
        parts.append("No rows: nothing of this kind was measured.")
    return "\n\n".join(parts) + "\n"


def write_tables(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write ``tables/<name>.csv`` and ``.md`` below `folder`; the paths, in order.

    A table without rows is not written, except accuracy and throughput; one that an earlier report
    left there is removed. Raises OSError where it cannot write.
    """
    target = folder / "tables"
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for table in TABLES:
        csv, text = target / f"{table.name}.csv", target / f"{table.name}.md"
        content = frame(table, records)
        if content.empty and not table.always:
            csv.unlink(missing_ok=True)
            text.unlink(missing_ok=True)
            continue
        content.to_csv(csv, index=False, lineterminator="\n")
        text.write_text(as_markdown(table, records), encoding="utf-8")
        written += [csv, text]
    return written
