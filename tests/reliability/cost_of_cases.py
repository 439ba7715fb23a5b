"""Many cases through matrix, executor, records, resumption and report: seconds, memory, files.

``python -m tests.reliability.cost_of_cases [NUMBER…] [--executor local|ray] [--address A]``. The
fake framework is measured in no time (`tests.support.instant`), so that what is left is the suite's
own cost of a case. Each stage runs in a process of its own, as the command does:

- run: matrix, executor, and one fsynced record for each case
- resume: the same command when every record is there
- report: ``alexbench report``
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from math import log
from pathlib import Path
from typing import NamedTuple

from tests.support import fakes

NUMBERS = (1_000, 10_000, 100_000)
FRAMEWORKS = ("fake", "fake-two")
KINDS = ("accuracy",)
_SCRIPT = """
import resource, sys, time
from bench.cli import main
from bench.core import signals
stage, *arguments = sys.argv[1:]
# without report
sys.argv = ["alexbench", *arguments]
began = time.perf_counter()
code = 0
try:
    main.main()
except SystemExit as error:
    code = error.code or 0
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"FIGURES {time.perf_counter() - began:.2f} {time.process_time():.2f} {peak:.0f}")
sys.exit(code)
"""
_WITHOUT_REPORT = """
import bench.cli.measuring
bench.cli.measuring.report_of = lambda *_, **__: None
"""


class Figures(NamedTuple):
    """What a stage cost."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def main() -> None:
    """Print a line for every stage and number of cases, and the ratio to the number before."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.cost_of_cases")
    parser.add_argument("numbers", type=int, nargs="*", default=NUMBERS)
    parser.add_argument("--executor", default="local")
    parser.add_argument("--address")
    parser.add_argument("--no-report", action="store_true")
    parser.add_argument("--folder", type=Path, help="where runs are written; by default temporary")
    given = parser.parse_args()
    before: dict[str, tuple[int, Figures]] = {}
    print(f"{'cases':>8} {'stage':8} {'s':>9} {'CPU s':>9} {'MiB':>7} {'ms/case':>8}  exponent")
    for number in sorted(given.numbers):
        root = Path(tempfile.mkdtemp(prefix="alexbench-many-", dir=given.folder))
        try:
            for stage, figures in _stages(root, number, given):
                _show(number, stage, figures, before.get(stage))
                before[stage] = (number, figures)
            _show_files(root)
        finally:
            shutil.rmtree(root, ignore_errors=True)


def _stages(root: Path, number: int, given: argparse.Namespace) -> Iterator[tuple[str, Figures]]:
    data = fakes.write_batches(root / "data", fakes.images())
    seeds = -(-number // len(FRAMEWORKS))
    where = ["--executor", given.executor, *(["--address", given.address] if given.address else [])]
    if given.executor == "ray":
        where += ["--threads", "1"]
    run = [
        "run", "--profile", "tiny", "--tracks", "closed", "--frameworks", ",".join(FRAMEWORKS),
        "--kinds", ",".join(KINDS), "--seeds", str(seeds), "--data", str(data), "--no-parity",
        "--results", str(root / "results"), "--run", "many", *where,
    ]  # fmt: skip
    resume = ["run", "--results", str(root / "results"), "--resume", "many"]
    if given.address:
        resume += ["--address", given.address]
    stages = {"run": run, "resume": resume}
    if not given.no_report:
        stages["report"] = ["report", str(root / "results" / "many")]
    for stage, arguments in stages.items():
        yield stage, _measured(root, stage, arguments)


def _measured(root: Path, stage: str, arguments: list[str]) -> Figures:
    text = _SCRIPT.replace("# without report", "" if stage == "report" else _WITHOUT_REPORT)
    environment = {
        **os.environ,
        **fakes.environment(root / "cache"),
        "ALEXBENCH_EXTENSIONS": "tests.support.instant_framework",
    }
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", text, stage, *arguments],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES")]
    if done.returncode or not lines:
        print(f"  FAULT {stage}: exit {done.returncode} after {time.perf_counter() - began:.0f} s")
        print(done.stderr[-2000:])
        sys.exit(1)
    return Figures(*map(float, lines[0].split()[1:]))


def _show(number: int, stage: str, now: Figures, before: tuple[int, Figures] | None) -> None:
    exponent = ""
    if before:
        fewer, then = before
        exponent = f"{log(now.cpu_seconds / then.cpu_seconds) / log(number / fewer):.2f}"
    print(
        f"{number:8,} {stage:8} {now.seconds:9.1f} {now.cpu_seconds:9.1f} {now.peak_mib:7.0f} "
        f"{1000 * now.seconds / number:8.2f}  {exponent}",
        flush=True,
    )


def _show_files(root: Path) -> None:
    run = root / "results" / "many"
    files = [path for path in run.rglob("*") if path.is_file()]
    records = (run / "records.jsonl").stat().st_size
    print(f"{'':8} {len(files)} files, records.jsonl {records / 2**20:.1f} MiB", flush=True)


if __name__ == "__main__":
    main()
