"""The plots of docs/reading-the-report.md, small, from published runs.

Published comparisons have one seed a row. What needs several shows the stage of an ablation in
which every framework has its own defaults, as if that were the idiomatic track.

``python -m tests.support.gallery`` writes them again.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from PIL import Image

from bench.core.records import Record, RecordStore
from bench.report.plots import write_plots
from bench.training.defaults import OWN

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "plots"
WIDTH = 900
COLOURS, SHADES = 48, 256
"""Colours of the palette, and of that of a heat map: some 30 kB a plot."""
HEAT_MAPS = ("confusion",)

QUICK = "reference-2026-11-26-quick"
LOOPS = "reference-2026-11-21-loops"
WATERFALL = "reference-2026-11-21-waterfall"
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
    "seeds": (WATERFALL, "idiomatic"),
    "accuracy_vs_throughput": (QUICK, "closed"),
    "accuracy_differences": (QUICK, "closed"),
    "time_to_accuracy": ("reference-2026-11-26-ablation", "idiomatic"),
    "divergence": (QUICK, "closed"),
    "per_class": (QUICK, "closed"),
    "confusion": (QUICK, "closed"),
    "defaults": (WATERFALL, "ablation"),
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
            plots = write_plots(_records(run), Path(name))
            for chart, (of, track) in SOURCES.items():
                if of == run:
                    _write(chart, [p.png for p in plots if p.png], f"{chart}_{track}")


def _records(run: str) -> list[Record]:
    """The records of a run, and its stages of own defaults as cases of the idiomatic track."""
    records = RecordStore(ROOT / "results" / run).read()
    own = [r for r in records if r.case.track == "ablation" and r.case.defaults == OWN]
    cases = [replace(r.case, track="idiomatic", defaults="") for r in own]
    return [*records, *(replace(r, case=case) for r, case in zip(own, cases, strict=True))]


def _write(chart: str, plots: list[Path], start: str) -> None:
    found = [path for path in plots if path.stem.startswith(start)]
    if not found:
        print(f"no {start} there")
        return
    with Image.open(found[0]) as plot:
        height = round(plot.height * WIDTH / plot.width)
        small = plot.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    palette(small, chart).save(FOLDER / f"{chart}.png", optimize=True)


def palette(plot: Image.Image, chart: str) -> Image.Image:
    """A plot with few colours: enough for every shade of a heat map, which are its figures."""
    if chart in HEAT_MAPS:
        return plot.quantize(SHADES, Image.Quantize.MEDIANCUT)
    return plot.quantize(COLOURS, Image.Quantize.MAXCOVERAGE)


if __name__ == "__main__":
    main()
