"""SIGINT, SIGTERM and SIGHUP at every phase of a run, and a second one shortly after the first."""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import time

from bench.core.signals import STOPPING
from tests.reliability.support import Figures, Place, main, place, problem_with

PHASES = {"imports": (0.0, 0.12), "opening": (0.12, 0.3), "measuring": (0.3, 0.8), "end": (0.8, 1)}
"""As shares of the time of an undisturbed run."""
NOT_OURS_SECONDS = 0.15
"""Python's own start: no code of the command runs before."""


def run(given: argparse.Namespace, rng: random.Random, figures: Figures) -> None:
    """Every signal in every phase, so many times; half of them with a second signal."""
    with place() as here:
        began = time.monotonic()
        code, _, err = here.run(here.first("whole"))
        assert code == 0, err
        seconds = time.monotonic() - began
        for number in range(given.rounds):
            for phase, (low, high) in PHASES.items():
                for which in STOPPING:
                    moment = max(NOT_OURS_SECONDS, rng.uniform(low, high) * seconds)
                    second = rng.uniform(0.01, 1.0) if number % 2 else None
                    _stop(here, figures, phase, which, moment, second)
        left = here.temporaries()
        figures.notes["temporary folders left at the end"] = len(left)


def _stop(
    here: Place,
    figures: Figures,
    phase: str,
    which: signal.Signals,
    moment: float,
    second: float | None,
) -> None:
    name = f"{phase}-{figures.tried}"
    here.forget_certificates()
    process = here.start(here.first(name))
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        pass
    if process.poll() is not None:
        figures.notes["runs that ended before the signal"] += 1
        process.communicate()
        return
    process.send_signal(which)
    began = time.monotonic()
    if second is not None:
        try:
            process.wait(second)
        except subprocess.TimeoutExpired:
            process.send_signal(which)
    code, out, err = here.finish(process)
    took = time.monotonic() - began
    if code == 0 and "stopping" not in err:
        figures.notes["signals after the report, when Python ends"] += 1
        return
    problem = _problem(here, name, which, code, out, err, second)
    if problem:
        problem = f"{which.name} in {phase} at {moment:.2f} s, second {second}: {problem}"
    figures.count(problem, f"in {phase}")
    slowest = max(figures.notes["seconds to the end at most"], round(took))
    figures.notes["seconds to the end at most"] = slowest


def _problem(
    here: Place,
    name: str,
    which: signal.Signals,
    code: int,
    out: str,
    err: str,
    second: float | None,
) -> str | None:
    if code != 128 + which:
        return f"exit {code}: {err[-200:]!r}"
    if "Traceback" in err or "alexbench: " not in err:
        return f"said {err[-300:]!r}"
    records = here.records(name)
    reported = out.strip().endswith("report.html")
    if second is None and records and not reported:
        return f"no report of {len(records)} records"
    there = len(records) == len(here.records("whole"))
    if second is None and not there and records and f"--resume {here.results / name}" not in err:
        return f"does not say how to go on: {err[-200:]!r}"
    return problem_with(records, []) or here.left()


if __name__ == "__main__":
    main(run, rounds=4)
