"""Our trainings compared with the transfer article's own loop, measured in the same run.

The article's loop is timed for some hundred steps; what its whole training would take is
extrapolated here: its epochs over all of CIFAR-10's training images, at the pace that was measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from bench.analysis.caveats import is_removed
from bench.analysis.experiments import Data, Experiment
from bench.analysis.results import Results
from bench.analysis.rows import Row, identity, provenance_columns
from bench.core.kinds import TRAIN_THROUGHPUT, kind
from bench.core.records import Record
from bench.report.charts.forest import Forest
from bench.report.columns import Column, ends, how, naming, number, weights, whole
from bench.report.format import NOTHING, RATIO, known, percent, significant
from bench.report.leads import extremes
from bench.report.table import Chart, Table
from bench.stats import estimates

EPOCHS = 10
"""Of the article's training."""
IMAGES = 50_000
"""In each: all of CIFAR-10's training images, whatever part of them a run of ours takes."""
GOAL = 0.8441
"""The article's accuracy; one of the thresholds that every accuracy record has."""


def article_rows(results: Results) -> list[Row]:
    """A row for each pretrained training on a device on which the article's loop was timed.

    ``article_*`` are the loop's: images/s (median of the blocks, 95 % interval), the seconds of its
    whole training that follow from that, and from how many steps. ``seconds`` are ours to
    ``reached``: to the article's accuracy, or to the best that was reached where that was lower;
    the median over seeds. ``ratio`` is the article's seconds over ours. Without a pretrained
    training the loop has a row of its own.
    """
    loops = [e for e in results.experiments(TRAIN_THROUGHPUT) if _blocks(e)]
    trainings = [e for e in results.experiments("accuracy") if e.ok]
    ours = [e for e in trainings if e.case.init == "pretrained"]
    rows = []
    for loop in loops:
        compared = [e for e in ours if _same_machine(e, loop)]
        rows += [_row(e, loop, results.data) for e in compared or [loop]]
    return rows


def _blocks(experiment: Experiment) -> list[Row]:
    found = (record.metrics.get("article_loop") for record in experiment.ok)
    return [blocks for blocks in found if blocks and blocks.get("seconds")]


def _same_machine(one: Experiment, other: Experiment) -> bool:
    """The same device in equal environments: seconds of two machines are not comparable."""
    if (one.case.device, one.case.devices) != (other.case.device, other.case.devices):
        return False
    facts = ("cpu", "cores", "gpu")
    left, right = one.ok[0].environment, other.ok[0].environment
    return all(left.get(fact) == right.get(fact) for fact in facts)


def _row(experiment: Experiment, loop: Experiment, data: Data) -> Row:
    row = identity(experiment, data) | {"seeds": len(experiment.ok), "failed": experiment.failed}
    row |= {"parity": experiment.parity, "parity_problem": experiment.problem}
    both = provenance_columns([*experiment.ok, *loop.ok])
    row |= {name: both[name] for name in ("run", "caveats", "speed_caveats")}
    row |= _article(_blocks(loop))
    row |= {"goal": GOAL, "reached": None, "seconds": None, "ratio": None}
    if kind(experiment.kind).trained:
        timed = [record for record in experiment.ok if not is_removed(record)]
        if not timed:  # their seconds are no measurement
            return row
        runs = [_reached(record) for record in timed]
        row["reached"] = float(np.mean([accuracy for accuracy, _ in runs]))
        row["seconds"] = float(np.median([seconds for _, seconds in runs]))
        row["ratio"] = row["article_seconds"] / row["seconds"]
    return row


def _article(loops: Sequence[Row]) -> Row:
    rates = [estimates.rates(loop["seconds"], loop["images_per_sample"]) for loop in loops]
    rate = estimates.median_estimate(rates)
    losses = [loop.get("losses") or [None] for loop in loops]
    return {
        "article_images_per_second": rate.value,
        "article_low": rate.low,
        "article_high": rate.high,
        "article_seconds": EPOCHS * IMAGES / rate.value,
        "article_steps": sum(len(s["seconds"]) * int(s["steps_per_sample"]) for s in loops),
        "article_batch_size": loops[0].get("batch_size"),
        "article_first_loss": losses[0][0],
        "article_last_loss": losses[0][-1],
    }


def _reached(record: Record) -> tuple[float, float]:
    """Accuracy and seconds of the point that counts: the first at the goal, else the best."""
    curve = record.metrics["curve"]
    at_goal = [point for point in curve if point["test_accuracy"] >= GOAL]
    best = max(curve, key=lambda point: point["test_accuracy"])  # the first of equals
    point = at_goal[0] if at_goal else best
    return float(point["test_accuracy"]), float(point["seconds"])


def columns(rows: Sequence[Row]) -> list[Column]:
    """The loop's pace and what follows from it, then ours."""
    return [
        naming("network", "variant"),
        naming("framework", "framework"),
        weights(),
        Column("article's s / ours", _ratio, usual=NOTHING),
        Column("our accuracy", lambda row: percent(row["reached"]), usual=NOTHING),
        number("reached after (s)", "seconds", usual=NOTHING),
        number("its whole training (s)", "article_seconds"),
        number("article's loop images/s", "article_images_per_second"),
        ends(significant, "article_low", "article_high"),
        whole("seeds", "seeds"),
        *how(),
    ]


def _ratio(row: Row) -> str:
    return NOTHING if row["ratio"] is None else f"{significant(row['ratio'])}x"


def notes(rows: Iterable[Row]) -> list[str]:
    """A line for each timing of the article's loop: from how few steps it is extrapolated."""
    lines = []
    for row in rows:
        if row.get("article_steps"):
            line = (
                f"The article's loop was timed for {row['article_steps']:,} steps of "
                f"{row['article_batch_size']} images on this machine"
            )
            first, last = row["article_first_loss"], row["article_last_loss"]
            if known(first) and known(last):
                line += f" (loss {first:.2f} in its first block, {last:.2f} in its last)"
            lines.append(f"{line}; the rest of its seconds is extrapolated.")
    return list(dict.fromkeys(lines))


_CHART = Forest(
    "article",
    "Seconds of the article's training over ours",
    "Right of the line ours is sooner at the article's accuracy, or at the best it reached.",
    "article",
    article_rows,
    lambda _: "the article's seconds over ours",
    RATIO,
    ("ratio", "", ""),
)

TABLE = Table(
    "article",
    "Compared with the transfer article's loop",
    "The loop of the transfer-learning article (batch 4, every image resized alone in a "
    "DataLoader, all weights trained) was timed in this run for some hundred steps; its whole "
    "training, 10 epochs of 50,000 images, is extrapolated from them. Next to it our "
    "trainings from pretrained weights: seconds of training to the article's 84.41 %, or to "
    "the best accuracy that was reached where that is lower (median over seeds).",
    article_rows,
    columns,
    charts=(Chart("article", _CHART.draw, (TRAIN_THROUGHPUT, "accuracy")),),
    notes=notes,
    part="The article's loop, and our trainings from pretrained weights",
    times=(TRAIN_THROUGHPUT, "accuracy"),
    lead=extremes("The article's seconds over ours:", "ratio", RATIO.value),
    kinds=("accuracy", TRAIN_THROUGHPUT),
)
