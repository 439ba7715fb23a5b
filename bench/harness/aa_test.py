"""Copies of each framework for A/A tests, and slowed ones for injected slowdowns.

An extension (``ALEXBENCH_EXTENSIONS=bench.harness.aa_test``): ``pytorch-twin`` is PyTorch under
another name, so a verdict between the two can only be wrong; ``pytorch-slowed`` takes 5 % longer
for every step and every call (`bench.worker.slowdown`), which a comparison should find.
"""

from __future__ import annotations

from dataclasses import replace

from bench.training import frameworks
from bench.worker.slowdown import SUFFIX


def _register() -> None:
    for original in list(frameworks.FRAMEWORKS.values()):
        row = replace(original, reference=False, colour=None, dash=None)
        frameworks.register(replace(row, name=f"{row.name}-twin"))
        frameworks.register(
            replace(row, name=row.name + SUFFIX, trainer="bench.worker.slowdown:slowed")
        )


_register()
