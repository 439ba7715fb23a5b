"""Executions: what compiling a training step costs, what it gains, and what is in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.analysis.comparison.comparability import in_words
from bench.analysis.experiments import Experiment
from bench.analysis.results import Results
from bench.analysis.rows import Row, caveats_of_both, counts, identity, ratio_columns
from bench.core.case import EAGER
from bench.core.kinds import TRAIN_THROUGHPUT
from bench.report.captions import HOLLOW, With
from bench.report.charts.forest import EVEN_SPEED, Forest
from bench.report.columns import Column, case_of, how, naming, number, text, who, whole
from bench.report.format import NOTHING, RATIO, count, known, ratio, significant
from bench.report.leads import both, compared, extremes
from bench.report.table import Chart, Table
from bench.stats.verdicts import SPEED, speed_verdict

_COUNTED = ("graphs", "graph_breaks", "recompilations")
_IN_FORCE = ("execution", "jit_compile", "compute_dtype", "tf32", "loss_scale")
"""Settings that were read back, in the columns ``in_force_…``."""


def execution_rows(results: Results) -> list[Row]:
    """A row for every framework that was measured in several executions of one network.

    ``in_force_…`` is what was read back from the framework; ``first_step_seconds`` has trace and
    compilation; ``ratio`` is images/s to the eager execution of the same framework with its
    ``verdict``, and ``pays_images``, ``pays_epochs`` when its longer first step has been made up
    for: None where it is not shown to be faster, 0 where it has no longer first step.
    """
    found = [e for e in results.experiments(TRAIN_THROUGHPUT) if e.ok]
    by_framework: dict[Any, list[Experiment]] = {}
    for experiment in found:
        key = replace(experiment.case, execution=EAGER)
        by_framework.setdefault(key, []).append(experiment)
    several = [same for same in by_framework.values() if len(same) > 1]
    return [_row(results, experiment, same) for same in several for experiment in same]


def _row(results: Results, experiment: Experiment, same: Sequence[Experiment]) -> Row:
    row = identity(experiment, results.data) | counts(experiment)
    row |= results.comparability(experiment) | {"not_compared": None}
    settings = experiment.ok[0].settings
    row |= {f"in_force_{name}": settings.get(name) for name in _IN_FORCE}
    counted = settings.get("compilation") or {}
    row |= {name: counted.get(name) for name in _COUNTED}
    row |= {"images_per_second": results.rate(experiment).value}
    row |= {"first_step_seconds": _first_step(experiment)}
    row |= {"processes": None} | ratio_columns(None, "")
    row |= dict.fromkeys(("pays_images", "pays_epochs"))
    eager = next((one for one in same if one.case.execution == EAGER), None)
    if eager is None or eager is experiment:
        return row
    row |= caveats_of_both(experiment, eager) | {"reference": "its eager execution"}
    if refused := in_words(results.between(experiment, eager)):
        return row | {"not_compared": refused} | ratio_columns(None, "not comparable")
    versus = results.ratio(experiment, eager)
    word = speed_verdict(versus).word
    row |= {"processes": versus.processes} | ratio_columns(versus.ratio, word)
    if word != SPEED.above:
        return row
    return row | _pays(experiment, eager, results.rate(eager).value, versus.ratio.value)


def _first_step(experiment: Experiment) -> float | None:
    found = [record.metrics.get("first_step_seconds") for record in experiment.ok]
    seconds = [float(one) for one in found if one is not None]
    return float(np.mean(seconds)) if seconds else None


def _pays(compiled: Experiment, eager: Experiment, rate: float, faster: float) -> Row:
    """Images after which the seconds of the longer first step are won back: by an execution that
    is so many times as fast as the eager one, which takes so many images/s."""
    first, before = _first_step(compiled), _first_step(eager)
    if first is None or before is None:
        return {}
    images = max(0.0, first - before) * rate / (1 - 1 / faster)
    of_epoch = compiled.ok[0].dataset.get("train_images")
    return {"pays_images": images, "pays_epochs": images / of_epoch if of_epoch else None}


def columns(rows: Sequence[Row]) -> list[Column]:
    """Speed and cost of each execution, and what was read back."""
    return [
        *(column for column in who() if column.header != "execution"),
        naming("execution", "execution"),
        number("images/s", "images_per_second"),
        Column("x eager", lambda row: ratio(row["ratio"], row["ratio_low"], row["ratio_high"])),
        text("verdict", "verdict", usual=NOTHING),
        number("first step (s)", "first_step_seconds"),
        text("in force", "in_force_execution"),
        Column("XLA or Inductor", lambda row: _yes(row["in_force_jit_compile"]), right=False),
        whole("processes", "processes", usual=NOTHING),
        Column("pays after images", _pays_after),
        number("pays after epochs", "pays_epochs"),
        whole("graphs", "graphs", usual=NOTHING),
        whole("graph breaks", "graph_breaks", usual=NOTHING),
        whole("recompilations", "recompilations", usual=NOTHING),
        text("computes in", "in_force_compute_dtype", usual=NOTHING),
        Column("loss scale", _scale, usual=NOTHING),
        *how(rows),
    ]


def _pays_after(row: Row) -> str:
    return count(row["pays_images"]) if known(row["pays_images"]) else NOTHING


def _scale(row: Row) -> str:
    found = row["in_force_loss_scale"]
    return significant(found) if known(found) else NOTHING


def _yes(value: bool | None) -> str:
    return NOTHING if value is None else "yes" if value else "no"


def _usual_execution(row: Row) -> str:
    """The execution where the label of the framework does not have it."""
    return "" if case_of(row).unusual_execution else str(row["execution"])


def _pays_in_words(row: Row) -> str:
    """When a longer first step is made up for; why there is no verdict where one process is all."""
    images = row["pays_images"]
    if not known(images):
        return "one process" if row["processes"] == 1 else ""
    return f"pays after {count(images)} images" if images else "pays from the first image"


_CHART = Forest(
    "executions",
    "Speed over the eager execution of the same framework",
    (
        "Right of the line is faster than the eager execution of the same framework; lines are "
        "95 % intervals over processes, and the shaded band is the margin of a tie. *Pays after* "
        "is the number of training images after which a longer first step, with trace and "
        "compilation, has been made up for.",
        With((HOLLOW,), "A mark without a verdict of faster or slower is hollow."),
    ),
    "executions",
    execution_rows,
    lambda _: "images/s of training over the eager execution",
    RATIO,
    detail=_usual_execution,
    remark=_pays_in_words,
    even=EVEN_SPEED,
    decided=lambda row: row["verdict"] in (SPEED.above, SPEED.below),
)

TABLE = Table(
    "executions",
    "Executions",
    (
        "What compiling costs and gains, in frameworks that were measured in several executions of "
        "one network. The first step has trace and compilation in it: each process compiles from "
        "nothing. *Pays after* is when a longer first step has been made up for, compared with the "
        "eager execution of the same framework; only an execution shown to be faster has it. *In "
        "force* is what was read back, not what was asked for.",
        With(
            ("graph breaks",),
            "At a graph break PyTorch's compiler goes back to Python; XLA and TensorFlow have "
            "none: what they cannot trace is an error.",
        ),
    ),
    execution_rows,
    columns,
    charts=(Chart("executions", _CHART.draw, (TRAIN_THROUGHPUT,)),),
    times=(TRAIN_THROUGHPUT,),
    lead=both(
        extremes("Images/s over the eager execution:", "ratio", RATIO.value),
        compared("verdict", against="the eager execution"),
    ),
    kinds=(TRAIN_THROUGHPUT,),
)
