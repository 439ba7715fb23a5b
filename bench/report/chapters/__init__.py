"""Tables, a file each: rows, columns, plots, title and how to read it.

`TOPICS` has them in the order of the page, by the question that they answer. A new table is a
file here and a line there.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.report.chapters import article, normalisation
from bench.report.chapters.learning import (
    ablation,
    accuracy,
    accuracy_differences,
    divergence,
    per_class,
    time_to_accuracy,
)
from bench.report.chapters.speed import (
    baselines,
    blocks,
    break_even,
    executions,
    interleaved,
    latency,
    memory,
    scaling,
    startup,
    throughput,
)
from bench.report.chapters.trust import (
    clock,
    failures,
    overhead,
    parity,
)
from bench.report.leads import Lead
from bench.report.table import Table


@dataclass(frozen=True)
class Topic:
    """The chapters of the page that answer one question.

    Attributes:
        name: Its anchor in the page, after ``q-``.
        title: As the navigation has it.
        text: The question.
        tables: A chapter each, the one that answers it first.
        remark: What the rows of another table say to it, with that table.
    """

    name: str
    title: str
    text: str
    tables: tuple[Table, ...]
    remark: tuple[Table, Lead] | None = None


TOPICS = (
    Topic(
        "speed",
        "Speed",
        "Who is faster, and at what cost?",
        (
            interleaved.TABLE,
            throughput.TABLE,
            latency.TABLE,
            blocks.TABLE,
            startup.TABLE,
            break_even.TABLE,
            executions.TABLE,
            scaling.TABLE,
            memory.TABLE,
            baselines.TUTORIAL_LOOPS,
            baselines.LAYERS,
        ),
    ),
    Topic(
        "accuracy",
        "Accuracy",
        "Do they learn the same, and how soon?",
        (
            accuracy.TABLE,
            accuracy_differences.TABLE,
            time_to_accuracy.TABLE,
            divergence.TABLE,
            per_class.TABLE,
            per_class.CONFUSIONS,
            ablation.TABLE,
        ),
    ),
    Topic(
        "normalisation",
        "Normalisation",
        "What do BatchNorm and LRN bring and cost?",
        (normalisation.TABLE,),
    ),
    Topic(
        "pretraining",
        "Pretraining",
        "What do pretrained weights bring?",
        (article.TABLE, baselines.FEATURES),
        remark=(accuracy.TABLE, accuracy.with_and_without_weights),
    ),
    Topic(
        "trust",
        "Trust",
        "What do these figures rest on?",
        (parity.TABLE, clock.TABLE, overhead.TABLE, failures.TABLE),
    ),
)

TABLES = tuple(table for topic in TOPICS for table in topic.tables)
"""All tables in the order of the page."""
