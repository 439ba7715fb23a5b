"""The plots of docs/reading-the-report.md, small, from published runs.

``python -m tests.support.gallery`` writes them again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from bench.core.records import RecordStore
from bench.report.plots import write_plots

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "plots"
WIDTH, COLOURS = 900, 48
"""Pixels, and colours of the palette: some 30 kB a plot."""

QUICK = "reference-2026-11-26-quick"
LOOPS = "reference-2026-11-21-loops"
SOURCES = {
    "speed_ratios": (QUICK, "closed"),
    "throughput": (QUICK, "closed"),
    "latency": (QUICK, "closed"),
    "blocks": (QUICK, "closed"),
    "startup": (QUICK, "closed"),
    "break_even": (LOOPS, "tuned"),
    "executions": ("reference-2026-11-26-executions", "idiomatic"),
    "scaling": ("reference-2026-11-26-devices", "closed"),
    "memory": (QUICK, "closed"),
    "tutorial_loops": (LOOPS, "tuned"),
    "layers": (LOOPS, "tuned"),
    "accuracy_curves": (QUICK, "closed"),
    "seeds": (QUICK, "closed"),
    "accuracy_vs_throughput": (QUICK, "closed"),
    "accuracy_differences": (QUICK, "closed"),
    "time_to_accuracy": (QUICK, "closed"),
    "divergence": (QUICK, "closed"),
    "per_class": (QUICK, "closed"),
    "confusion": (QUICK, "closed"),
    "defaults": ("reference-2026-11-21-waterfall", "ablation"),
    "normalisation": (QUICK, "closed"),
    "article": ("reference-2026-11-21-transfer", "tuned"),
    "features": (LOOPS, "tuned"),
    "parity": (QUICK, "closed"),
    "clock": (QUICK, "closed"),
    "overhead": ("reference-2026-11-22-overhead", "closed"),
}
"""By the name of a kind of plot, the run and the track that show it."""


def main() -> None:
    """Write every plot that its run has; name the others."""
    FOLDER.mkdir(exist_ok=True)
    for run in dict.fromkeys(run for run, _ in SOURCES.values()):
        with tempfile.TemporaryDirectory() as name:
            plots = write_plots(RecordStore(ROOT / "results" / run).read(), Path(name))
            for chart, (of, track) in SOURCES.items():
                if of == run:
                    _write(chart, [p.png for p in plots if p.png], f"{chart}_{track}")


def _write(chart: str, plots: list[Path], start: str) -> None:
    found = [path for path in plots if path.stem.startswith(start)]
    if not found:
        print(f"no {start} there")
        return
    with Image.open(found[0]) as plot:
        height = round(plot.height * WIDTH / plot.width)
        small = plot.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    small.quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(FOLDER / f"{chart}.png", optimize=True)


if __name__ == "__main__":
    main()
