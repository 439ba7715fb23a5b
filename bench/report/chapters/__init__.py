"""Tables, a file each: rows, columns, plots, title and how to read it.

`QUESTIONS` has them in the order of the page, by the question that they answer. A new table is a
file here and a line there.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.report.chapters import (
    ablation,
    accuracy,
    accuracy_differences,
    article,
    baselines,
    blocks,
    break_even,
    clock,
    divergence,
    executions,
    failures,
    interleaved,
    latency,
    memory,
    normalisation,
    overhead,
    parity,
    per_class,
    scaling,
    startup,
    throughput,
    time_to_accuracy,
)
from bench.report.table import Table


@dataclass(frozen=True)
class Question:
    """The chapters of the page that answer one question.

    Attributes:
        name: Its anchor in the page, after ``q-``.
        title: As the navigation has it.
        text: The question.
        tables: A chapter each, the one that answers it first.
    """

    name: str
    title: str
    text: str
    tables: tuple[Table, ...]


QUESTIONS = (
    Question(
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
    Question(
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
    Question(
        "normalisation",
        "Normalisation",
        "What do BatchNorm and LRN bring and cost?",
        (normalisation.TABLE,),
    ),
    Question(
        "pretraining",
        "Pretraining",
        "What do pretrained weights bring?",
        (article.TABLE, baselines.FEATURES),
    ),
    Question(
        "trust",
        "Trust",
        "What do these figures rest on?",
        (parity.TABLE, clock.TABLE, overhead.TABLE, failures.TABLE),
    ),
)

TABLES = tuple(table for question in QUESTIONS for table in question.tables)
"""All tables in the order of the page."""
