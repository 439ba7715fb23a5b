"""What a report of many records costs: seconds, CPU seconds and the memory of its largest process.

``make bench-report``, or ``python -m tests.benchmarks.report_cost [NUMBER…] [--cases]``. The
records are synthetic (`tests.support.synthetic_records.many_records`): over many seeds, or with
``--cases`` of as many cases. Each report runs in a process of its own, as ``alexbench report``
does, from reading ``records.jsonl`` to the page.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks import page_cost

NUMBERS = (1_000, 10_000, 100_000)
GOALS = {10_000: (10.0, 2**30), 100_000: (90.0, 2 * 2**30)}
"""Seconds and bytes by the number of records, on two cores."""


def write(number: int, folder: Path, *, cases: bool = False) -> None:
    """The ``records.jsonl`` of a run with so many records."""
    from tests.support.synthetic_records.many_records import many_cases, many_records  # noqa: PLC0415

    with (folder / "records.jsonl").open("w", encoding="utf-8") as file:
        for record in (many_cases if cases else many_records)(number):
            file.write(json.dumps(record.to_json()) + "\n")


def main(numbers: list[int], *, cases: bool = False) -> None:
    """Print two lines per number of records: of the report, and of the page that it wrote."""
    for number in numbers:
        with tempfile.TemporaryDirectory() as name:
            run = Path(name)
            write(number, run, cases=cases)
            command = [sys.executable, "-m", "bench", "report", str(run)]
            began, before = time.perf_counter(), os.times()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds, after = time.perf_counter() - began, os.times()
            cpu = (after.children_user - before.children_user) + (
                after.children_system - before.children_system
            )
            # Of the largest child so far: numbers come in ascending order.
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
            print(
                f"{number:,} records: {seconds:.1f} s, {cpu:.1f} s of CPU, "
                f"{peak / 2**20:,.0f} MiB at most"
            )
            print(f"  {page_cost.line(run / 'report.html')}")
    for number, (seconds, most) in GOALS.items():
        print(f"goal for {number:,}: {seconds:g} s, {most / 2**20:,.0f} MiB")
    print(page_cost.goal())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.report_cost",
        description="Measure what a report of so many synthetic records costs.",
    )
    parser.add_argument(
        "numbers",
        nargs="*",
        type=int,
        metavar="NUMBER",
        default=list(NUMBERS),
        help=f"records of a report (default: {' '.join(map(str, NUMBERS))})",
    )
    parser.add_argument(
        "--cases", action="store_true", help="of as many cases, instead of many seeds of a few"
    )
    given = parser.parse_args()
    main(sorted(given.numbers), cases=given.cases)
