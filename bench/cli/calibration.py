"""Error rates of the comparison: verdicts on equal programs, and on one that is slowed by 5 %.

An A/A test must end in a tie (a difference may be found in at most 1 of 20), and an injected
slowdown should be found. Both are counted on simulated timings with the noise of real ones,
thousands of times, and on real runs of a framework with copies of itself
(`bench.harness.aa_test`), as often as there is time for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from bench.analysis.experiments import by_dataset, experiments
from bench.analysis.results import Results
from bench.analysis.speeds import paired_ratios
from bench.cli.progress import Display
from bench.core import extensions
from bench.core.files import write_whole
from bench.core.kinds import KINDS
from bench.core.records import Record
from bench.data.sources import check_there
from bench.harness.matrix import jobs
from bench.harness.profiles import profile
from bench.harness.run import open_run, run_all
from bench.harness.selection import Selection
from bench.report.chapters.speed.interleaved import interleaved_rows
from bench.report.format import markdown, percent
from bench.stats import estimates
from bench.stats.verdicts import INCONCLUSIVE, TIE, speed_verdict
from bench.worker.slowdown import SLOWDOWN, SUFFIX

EXTENSIONS = "bench.harness.aa_test"
COPY, SLOWED = "-twin", SUFFIX
"""Name suffixes of the copies that `bench.harness.aa_test` registers."""
POOLED = "all runs pooled"
INTERLEAVED = tuple(row.name for row in KINDS.values() if row.interleaved)


@dataclass(frozen=True)
class Noise:
    """A noise model: why the times of two equal programs differ.

    Standard deviations are those of the logarithm of a speed ratio.
    """

    name: str
    between_processes: float
    within: float
    """Between pairs of blocks in one process."""
    disturbed: float = 0.05
    """Share of blocks that another program delays, by an exponential with mean `delay`."""
    delay: float = 0.2


NOISES = (
    Noise("quiet", between_processes=0.003, within=0.005),
    Noise("usual", between_processes=0.01, within=0.02),
    Noise("processes differ", between_processes=0.03, within=0.01),
    Noise("processes differ much", between_processes=0.06, within=0.01),
    Noise("busy neighbours", between_processes=0.02, within=0.05, disturbed=0.2),
)
SHAPES = ((1, 5), (2, 3), (3, 4), (5, 8), (8, 8))
"""(processes, pairs of blocks in each)."""


@dataclass(frozen=True)
class Count:
    """How many of a number of runs ended in the right verdict."""

    source: str
    """The noise model, or the kind of a real measurement."""
    processes: int
    pairs: int
    """Of blocks, per process."""
    injected: float
    """Fraction of time by which one of the two is slowed; 0 in an A/A test."""
    correct: int
    total: int

    @property
    def right(self) -> str:
        """The right verdict, in words."""
        return "slower" if self.injected else "no difference"

    @property
    def share(self) -> estimates.Estimate:
        """Fraction of right verdicts with its 95 % interval (Wilson)."""
        found = binomtest(self.correct, self.total).proportion_ci(method="wilson")
        return estimates.Estimate(self.correct / self.total, float(found.low), float(found.high))


def _is_right(word: str, injected: float) -> bool:
    """Whether an injected slowdown was found, or no difference was claimed where there is none."""
    return word == "slower" if injected else word in (TIE, INCONCLUSIVE)


def ratios(noise: Noise, shape: tuple[int, int], injected: float, rng: Any) -> list[list[float]]:
    """Simulated speed ratios of one interleaved run.

    Args:
        noise: The noise model.
        shape: (processes, pairs of blocks in each).
        injected: Fraction of time by which one of the two is slowed.
        rng: A numpy generator.

    Returns:
        Ratios by process and pair; below 1 where the slowed one is slower.
    """
    processes, pairs = shape
    own = rng.normal(0, noise.between_processes, (processes, 1))
    logarithms = own + rng.normal(0, noise.within, (processes, pairs))
    for sign in (1, -1):  # either of the two may be the one that is disturbed
        hit = rng.random((processes, pairs)) < noise.disturbed / 2
        logarithms += sign * hit * rng.exponential(noise.delay, (processes, pairs))
    simulated: list[list[float]] = (np.exp(logarithms) / (1 + injected)).tolist()
    return simulated


def simulate(times: int, seed: int = 0) -> Iterator[Count]:
    """Right verdicts of ``times`` simulated runs: per noise model and shape, of an A/A test and of
    an injected slowdown."""
    rng = np.random.default_rng(seed)
    for noise in NOISES:
        for shape in SHAPES:
            for injected in (0.0, SLOWDOWN):
                verdicts = [_verdict(ratios(noise, shape, injected, rng)) for _ in range(times)]
                correct = sum(_is_right(word, injected) for word in verdicts)
                yield Count(noise.name, *shape, injected, correct, times)


def _verdict(found: list[list[float]]) -> str:
    return speed_verdict(estimates.paired(found)).word


@dataclass(frozen=True)
class RealRuns:
    """Real interleaved runs of a framework, its copy and its slowed copy."""

    folder: Path
    """Holds a run's folder each."""
    count: int
    framework: str
    variant: str
    profile: str
    data: str


def check(runs: RealRuns) -> None:
    """Raise UserError where the runs cannot be measured, before anything is written."""
    check_there(runs.data)
    jobs(_selection(runs), profile(runs.profile))


def _selection(runs: RealRuns) -> Selection:
    """The framework, its copy and its slowed copy, which an extension adds."""
    own = os.environ.get("ALEXBENCH_EXTENSIONS", "").split(",")
    if EXTENSIONS not in own:
        os.environ["ALEXBENCH_EXTENSIONS"] = ",".join([*filter(None, own), EXTENSIONS])
    extensions.load()
    return Selection(
        variants=(runs.variant,),
        frameworks=(runs.framework, f"{runs.framework}{COPY}", f"{runs.framework}{SLOWED}"),
        tracks=("closed",),
        kinds=("train_throughput",),
    )


def measured(runs: RealRuns) -> tuple[list[dict[str, Any]], int]:
    """Measure the runs; rows with the verdict of each, then of all of them pooled, and how many
    measurements failed."""
    selection, failed = _selection(runs), 0
    records: list[list[Record]] = []
    # One group takes a group's time, not all that the profile has for a run.
    chosen = replace(profile(runs.profile), run_seconds=0.0)
    for number in range(1, runs.count + 1):
        run, done = open_run(runs.folder, f"run-{number:02}", False, chosen, runs.data)
        todo = jobs(selection, run.profile)
        with run, Display(sum(len(job.tasks) for job in todo)) as display:
            run_all(run, todo, display, done=done, parity=False)
        failed += display.failed
        # Copies need no certificate: each is compared with itself.
        records.append([replace(record, parity={"status": "pass"}) for record in run.store.read()])
    return [row for some in records for row in _rows(some)] + _pooled(records), failed


def _rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    rows = [
        row for data, some in by_dataset(records) for row in interleaved_rows(Results(some, data))
    ]
    kept = ("framework", "kind", "ratio", "ratio_low", "ratio_high", "verdict", "pairs")
    more = ("processes", "detectable", "stopped")
    return [{name: row[name] for name in (*kept, *more)} for row in rows]


def _pooled(runs: Sequence[Sequence[Record]]) -> list[dict[str, Any]]:
    """Rows of all runs taken as one run with more processes."""
    ratios: dict[tuple[str, str], list[list[float]]] = {}
    for records in runs:
        found = experiments(records, INTERLEAVED)
        for first, other in product(found[:1], found[1:]):
            ratios.setdefault((other.case.framework, other.kind), []).extend(
                paired_ratios(other, first)
            )
    rows = []
    for (framework, kind), processes in ratios.items():
        if not processes:  # it failed in every run
            continue
        pooled = estimates.paired(processes)
        value, low, high = pooled.ratio
        row = {"framework": framework, "kind": kind, "ratio": value, "ratio_low": low}
        row |= {"ratio_high": high, "verdict": speed_verdict(pooled).word, "stopped": POOLED}
        row |= {"pairs": pooled.pairs, "processes": pooled.processes}
        row |= {"detectable": pooled.detectable}
        rows.append(row)
    return rows


def counted(rows: Sequence[dict[str, Any]]) -> list[Count]:
    """Right verdicts of real runs: ties with the copy, "slower" for the slowed copy."""
    rows = [row for row in rows if row["stopped"] != POOLED]
    counts = []
    for suffix, injected in ((COPY, 0.0), (SLOWED, SLOWDOWN)):
        for kind in dict.fromkeys(row["kind"] for row in rows):
            mine = [r for r in rows if r["framework"].endswith(suffix) and r["kind"] == kind]
            if mine:
                correct = sum(_is_right(row["verdict"], injected) for row in mine)
                processes = mine[0]["processes"]
                shape = (processes, mine[0]["pairs"] // processes)
                counts.append(Count(kind, *shape, injected, correct, len(mine)))
    return counts


def pooled_as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A table of the pooled rows."""
    headers = ("framework", "measured", "processes", "ratio", "95 %", "verdict", "detectable")
    cells = [
        (
            row["framework"],
            row["kind"],
            str(row["processes"]),
            f"{row['ratio']:.3f}x",
            f"[{row['ratio_low']:.3f}x, {row['ratio_high']:.3f}x]",
            row["verdict"],
            f"± {percent(row['detectable'])}",
        )
        for row in rows
        if row["stopped"] == POOLED
    ]
    return markdown(headers, cells, (False, False, True, True, True, False, True))


def as_markdown(counts: Sequence[Count]) -> str:
    """A table of counts, a row each."""
    headers = ("noise or kind", "processes", "pairs each", "slowed by", "right", "share", "95 %")
    cells = []
    for count in counts:
        share = count.share
        ends = f"[{percent(share.low)}, {percent(share.high)}]"
        shape = (str(count.processes), str(count.pairs))
        injected = percent(count.injected, 0)
        cells.append((count.source, *shape, injected, count.right, percent(share.value), ends))
    return markdown(headers, cells, (False, True, True, True, False, True, True))


def write_simulated(folder: Path, times: int) -> str:
    """Simulate, and write ``simulated.json`` and ``simulated.md``; the latter's text."""
    counts = list(simulate(times))
    title = "A/A tests and injected slowdowns: simulated timings"
    return _write(folder / "simulated", title, counts, [asdict(count) for count in counts])


def write_real(runs: RealRuns) -> tuple[str, int]:
    """Measure, and write ``real.json`` and ``real.md``; the latter's text, and how many
    measurements failed."""
    rows, failed = measured(runs)
    title = (
        f"A/A tests and injected slowdowns: {runs.count} runs of {runs.framework} on {runs.variant}"
    )
    pooled = f"All runs pooled:\n\n{pooled_as_markdown(rows)}"
    return _write(runs.folder / "real", title, counted(rows), rows, pooled), failed


def _write(
    path: Path, title: str, counts: Sequence[Count], rows: Sequence[dict[str, Any]], *more: str
) -> str:
    write_whole(path.with_suffix(".json"), json.dumps(rows, indent=1) + "\n")
    text = "\n\n".join([f"# {title}", as_markdown(counts), *more]) + "\n"
    write_whole(path.with_suffix(".md"), text)
    return text
