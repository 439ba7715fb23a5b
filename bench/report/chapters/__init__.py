"""Tables, a file each: rows, columns, plots, title and how to read it.

`TABLES` has them in the order of the page. A new table is a file here and a line there.
"""

from __future__ import annotations

from bench.report.chapters import (
    ablation,
    accuracy,
    accuracy_differences,
    article,
    baselines,
    break_even,
    clock,
    divergence,
    executions,
    failures,
    interleaved,
    latency,
    normalisation,
    overhead,
    parity,
    per_class,
    startup,
    throughput,
    time_to_accuracy,
)

TABLES = (
    accuracy.TABLE,
    divergence.TABLE,
    accuracy_differences.TABLE,
    time_to_accuracy.TABLE,
    normalisation.TABLE,
    article.TABLE,
    baselines.TUTORIAL_LOOPS,
    baselines.LAYERS,
    baselines.FEATURES,
    throughput.TABLE,
    interleaved.TABLE,
    clock.TABLE,
    latency.TABLE,
    startup.TABLE,
    break_even.TABLE,
    executions.TABLE,
    per_class.TABLE,
    per_class.CONFUSIONS,
    overhead.TABLE,
    parity.TABLE,
    ablation.TABLE,
    failures.TABLE,
)
