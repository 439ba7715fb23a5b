"""``kill -9`` of parent, worker or both at random moments; then ``--resume`` without options."""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import time

from bench.harness.resumption.run_settings import RUN_FILE
from tests.reliability.support import Figures, Place, main, place, problem_with

TARGETS = ("parent", "worker", "both")


def run(given: argparse.Namespace, rng: random.Random, figures: Figures) -> None:
    """Kill runs until so many kills are done; each run is then brought to its end."""
    with place() as here:
        seconds = _undisturbed(here)
        number = 0
        while figures.tried < given.kills:
            number += 1
            name = f"run-{number}"
            for _ in range(rng.randint(2, 6)):
                if figures.tried < given.kills:
                    _kill(here, name, rng, seconds, figures)
            _complete(here, name, figures)
        left = here.temporaries()
        figures.notes["temporary folders left at the end"] = len(left)
        if left:
            figures.faults.append(f"temporary folders left: {left[:5]}")


def _undisturbed(here: Place) -> float:
    """Seconds of a whole run, its certificates and report included."""
    began = time.monotonic()
    code, _, err = here.run(here.first("whole"))
    assert code == 0, err
    wanted = len(here.records("whole"))
    print(f"  a run has {wanted} records and takes {time.monotonic() - began:.1f} s")
    return time.monotonic() - began


def _begin(here: Place, name: str) -> subprocess.Popen[str]:
    begun = (here.results / name / RUN_FILE).exists()
    return here.start(here.resumed(name) if begun else here.first(name))


def _kill(here: Place, name: str, rng: random.Random, seconds: float, figures: Figures) -> None:
    before = here.records(name)
    if rng.random() < 0.3:
        here.forget_certificates()
    process = _begin(here, name)
    target = rng.choice(TARGETS)
    moment = rng.uniform(0, 0.7 * seconds)  # a resumed run is shorter
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        pass
    workers = [pid for pid in here.processes() if pid != process.pid]
    if process.poll() is not None:
        figures.notes["runs that ended before the kill"] += 1
        process.communicate()
        return
    if target != "worker":
        process.kill()
    elif not workers:
        target = "parent"
        process.kill()
    if target != "parent":
        for pid in workers:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    code, _, err = here.finish(process)
    problem = problem_with(here.records(name), before)
    figures.lost += problem is not None
    if target == "worker" and (code not in (0, 1) or "Traceback" in err):
        problem = problem or f"{target} at {moment:.1f} s: exit {code}, {err[-300:]}"
    figures.count(problem or here.left(), f"kills of {target}")


def _complete(here: Place, name: str, figures: Figures) -> None:
    before = here.records(name)
    wanted = {record.key for record in here.records("whole")}
    code, out, err = here.finish(_begin(here, name))
    found = here.records(name)
    problem = problem_with(found, before)
    if {record.key for record in found if record.ok} != wanted:
        problem = problem or f"{name}: {len(found)} of {len(wanted)} records: {err[-300:]}"
    figures.lost += problem is not None
    if code or not out.strip().endswith("report.html"):
        problem = problem or f"{name}: exit {code}: {err[-300:]}"
    figures.notes["records at the ends"] += len(found)
    figures.notes["runs resumed to their end"] += 1
    if problem:
        figures.faults.append(problem)


if __name__ == "__main__":
    main(run, kills=100)
