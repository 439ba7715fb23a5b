"""Is a tie a tie? The comparison tried on a framework against itself, and against a slowed one.

``alexbench calibrate -o FOLDER`` counts how often a difference is called where there is
none (which must be no oftener than 1 in 20), and how often a planted one is found: on made-up
timings with the noise of real ones, thousands of times, and on real matches of a framework with
its twins (`bench.harness.aa_test`), as many as there is time for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy.stats import binomtest

from bench.analysis.experiments import by_dataset, experiments
from bench.analysis.speeds import pairs_of
from bench.cli.progress import Display
from bench.core import extensions
from bench.core.records import Record
from bench.harness.matrix import jobs
from bench.harness.profiles import profile
from bench.harness.run import open_run, run_all
from bench.harness.selection import Selection
from bench.report.chapters.rows_paired import paired_rows
from bench.report.format import markdown, percent
from bench.stats import estimates
from bench.worker.slowdown import SLOWDOWN

EXTENSIONS = "bench.harness.aa_test"
TOGETHER = "all matches as one"


@dataclass(frozen=True)
class Noise:
    """What makes two equal programs differ, as standard deviations of the logarithm of a ratio."""

    name: str
    between_processes: float
    within: float
    """From pair to pair in one process."""
    disturbed: float = 0.05
    """Share of blocks that something else delays, by an exponential of mean `delay`."""
    delay: float = 0.2


NOISES = (
    Noise("quiet", between_processes=0.003, within=0.005),
    Noise("usual", between_processes=0.01, within=0.02),
    Noise("processes differ", between_processes=0.03, within=0.01),
    Noise("processes differ much", between_processes=0.06, within=0.01),
    Noise("busy neighbours", between_processes=0.02, within=0.05, disturbed=0.2),
)
SHAPES = ((1, 5), (2, 3), (3, 4), (5, 8), (8, 8))
"""(processes, pairs in each)."""


@dataclass(frozen=True)
class Count:
    """How often something was said, of how many times."""

    what: str
    processes: int
    pairs: int
    planted: float
    said: int
    of: int

    @property
    def share(self) -> estimates.Estimate:
        """Fraction with its 95 % interval (Wilson)."""
        found = binomtest(self.said, self.of).proportion_ci(method="wilson")
        return estimates.Estimate(self.said / self.of, float(found.low), float(found.high))


def ratios(noise: Noise, shape: tuple[int, int], planted: float, rng: Any) -> list[list[float]]:
    """Made-up speed ratios of one match, by process; ``planted`` is how much longer one takes."""
    processes, pairs = shape
    own = rng.normal(0, noise.between_processes, (processes, 1))
    logarithms = own + rng.normal(0, noise.within, (processes, pairs))
    for sign in (1, -1):  # either of the two may be the one that is disturbed
        hit = rng.random((processes, pairs)) < noise.disturbed / 2
        logarithms += sign * hit * rng.exponential(noise.delay, (processes, pairs))
    made: list[list[float]] = (np.exp(logarithms) / (1 + planted)).tolist()
    return made


def simulated(times: int, seed: int = 0) -> Iterator[Count]:
    """Ties where nothing is planted, and "slower" where something is, for every noise and shape."""
    rng = np.random.default_rng(seed)
    for noise in NOISES:
        for shape in SHAPES:
            for planted, wanted in ((0.0, "tie"), (SLOWDOWN, "slower")):
                said = sum(
                    _said(ratios(noise, shape, planted, rng)) == wanted for _ in range(times)
                )
                yield Count(noise.name, *shape, planted, said, times)


def _said(found: list[list[float]]) -> str:
    ratio = estimates.paired(found).ratio
    return estimates.verdict(ratio.low, ratio.high)


def real(
    folder: Path, matches: int, framework: str, variant: str, chosen: str, data: str
) -> list[dict[str, Any]]:
    """The rows of matches of a framework with its twin and with its slowed self."""
    os.environ["ALEXBENCH_EXTENSIONS"] = EXTENSIONS
    extensions.load()
    selection = Selection(
        variants=(variant,),
        frameworks=(framework, f"{framework}-twin", f"{framework}-slowed"),
        tracks=("closed",),
        kinds=("train_throughput",),
    )
    records: list[list[Record]] = []
    for number in range(1, matches + 1):
        run, done = open_run(folder, f"match-{number:02}", False, profile(chosen), data)
        todo = jobs(selection, run.profile)
        with Display(sum(len(job.tasks) for job in todo)) as display:
            run_all(run, todo, display, done=done, parity=False)
        # Twins have no certificates, and need none: they are held against themselves.
        records.append([replace(record, parity={"status": "pass"}) for record in run.store.read()])
    return [row for some in records for row in _rows(some)] + _together(records)


def _rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    rows = [row for data, some in by_dataset(records) for row in paired_rows(some, data)]
    kept = ("framework", "kind", "ratio", "ratio_low", "ratio_high", "verdict", "pairs")
    more = ("processes", "smallest", "stopped")
    return [{name: row[name] for name in (*kept, *more)} for row in rows]


def _together(matches: Sequence[Sequence[Record]]) -> list[dict[str, Any]]:
    """What all matches say as one."""
    ratios: dict[tuple[str, str], list[list[float]]] = {}
    for records in matches:
        first, *others = experiments(records, ("train_throughput", "inference"))
        for other in others:
            ratios.setdefault((other.case.framework, other.kind), []).extend(pairs_of(other, first))
    rows = []
    for (framework, kind), processes in ratios.items():
        found = estimates.paired(processes)
        value, low, high = found.ratio
        row = {"framework": framework, "kind": kind, "ratio": value, "ratio_low": low}
        row |= {"ratio_high": high, "verdict": estimates.verdict(low, high), "stopped": TOGETHER}
        row |= {"pairs": found.pairs, "processes": found.processes, "smallest": found.smallest}
        rows.append(row)
    return rows


def counted(rows: Sequence[dict[str, Any]]) -> list[Count]:
    """Verdicts of real matches: ties with the twin, "slower" of the slowed."""
    rows = [row for row in rows if row["stopped"] != TOGETHER]
    counts = []
    for suffix, planted, wanted in (("-twin", 0.0, "tie"), ("-slowed", SLOWDOWN, "slower")):
        for kind in dict.fromkeys(row["kind"] for row in rows):
            mine = [r for r in rows if r["framework"].endswith(suffix) and r["kind"] == kind]
            if mine:
                said = sum(row["verdict"] == wanted for row in mine)
                processes = mine[0]["processes"]
                shape = (processes, mine[0]["pairs"] // processes)
                counts.append(Count(kind, *shape, planted, said, len(mine)))
    return counts


def pooled_as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A table of what all matches say as one."""
    headers = ("framework", "of", "processes", "ratio", "95 %", "verdict", "could show")
    cells = [
        (
            row["framework"],
            row["kind"],
            str(row["processes"]),
            f"{row['ratio']:.3f}x",
            f"[{row['ratio_low']:.3f}x, {row['ratio_high']:.3f}x]",
            row["verdict"],
            f"± {percent(row['smallest'])}",
        )
        for row in rows
        if row["stopped"] == TOGETHER
    ]
    return markdown(headers, cells, (False, False, True, True, True, False, True))


def as_markdown(counts: Sequence[Count]) -> str:
    """A table of counts."""
    headers = ("noise or kind", "processes", "pairs each", "planted", "said", "share", "95 %")
    cells = []
    for count in counts:
        share = count.share
        said = "tie" if count.planted == 0 else "slower"
        ends = f"[{percent(share.low)}, {percent(share.high)}]"
        planted = percent(count.planted, 0)
        row = (count.what, count.processes, count.pairs, planted, said, percent(share.value), ends)
        cells.append(tuple(map(str, row)))
    return markdown(headers, cells, (False, True, True, True, False, True, True))


@click.command()
@click.option("--simulations", default=1000, show_default=True, help="made-up matches of each kind")
@click.option("--matches", default=0, show_default=True, help="real matches")
@click.option("--framework", default="pytorch", show_default=True)
@click.option("--variant", default="cifar-plain", show_default=True)
@click.option("--profile", "chosen", default="calibration", show_default=True)
@click.option("--data", default="auto", show_default=True)
@click.option("-o", "folder", type=click.Path(path_type=Path), required=True)
def calibrate(
    simulations: int,
    matches: int,
    framework: str,
    variant: str,
    chosen: str,
    data: str,
    folder: Path,
) -> None:
    """Try the comparison on what is equal, and on what is not."""
    folder.mkdir(parents=True, exist_ok=True)
    if simulations:
        synthetic = list(simulated(simulations))
        _write(folder / "simulated", "Is a tie a tie? Made-up timings", synthetic, synthetic)
    if matches:
        rows = real(folder, matches, framework, variant, chosen, data)
        title = f"Is a tie a tie? {matches} matches of {framework} with its twins on {variant}"
        _write(folder / "real", title, counted(rows), rows, pooled_as_markdown(rows))


def _write(
    path: Path, title: str, counts: Sequence[Count], found: Sequence[Any], more: str = ""
) -> None:
    """A JSON file of what was found, and a Markdown table of how often what was said."""
    plain = [asdict(one) if isinstance(one, Count) else one for one in found]
    path.with_suffix(".json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    parts = [f"# {title}", as_markdown(counts)]
    text = "\n\n".join([*parts, *(["All matches as one:", more] if more else [])]) + "\n"
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    click.echo(text)
