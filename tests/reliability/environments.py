"""Environments that have ended a run with a traceback: each with a whole run and its report."""

from __future__ import annotations

import argparse
import os
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.reliability.support import Figures, Place, main, place

NAMELESS = ("unshare", "-m", "sh", "-c", 'mount --bind /dev/null /etc/passwd && exec "$@"', "sh")
"""Start of a command whose user has neither a name nor a home, as in a container."""


@dataclass(frozen=True)
class Environment:
    """What is special about it, and how a run must end in it.

    Attributes:
        name: For the figures.
        variables: Set, or removed where None.
        arguments: More of the command's.
        code: Exit code.
        prepare: Called with the place before.
        nameless: Whether the user has neither a name nor a home.
        starter: Code that starts the command, in the place of ``-m bench``.
    """

    name: str
    variables: dict[str, str | None] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    code: int = 0
    prepare: Callable[[Place], None] = lambda here: None
    nameless: bool = False
    starter: str = ""


def _bench_of_a_project(here: Place) -> None:
    (here.root / "project").mkdir()
    (here.root / "project" / "bench.py").write_text("MINE = True\n")


def _data_not_utf8(here: Place) -> None:
    os.rename(here.data, os.fsencode(here.root) + b"/data/r4\xe9")


def _matplotlibrc(here: Place) -> None:
    (here.root / "matplotlibrc").write_text("text.usetex: True\nbackend: no_such_backend\n")


NO_HOME = {"HOME": None, "USER": None, "LOGNAME": None, "XDG_CACHE_HOME": None}
ENVIRONMENTS = (
    Environment("notebook", {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}),
    Environment("backend that is not there", {"MPLBACKEND": "module://no_such_backend"}),
    Environment("matplotlibrc with usetex", {"MATPLOTLIBRC": "."}, prepare=_matplotlibrc),
    Environment("no HOME", NO_HOME),
    Environment("empty HOME", {"HOME": ""}),
    Environment("neither home nor name", NO_HOME, nameless=True),
    Environment(
        "neither home, name nor cache",
        {**NO_HOME, "ALEXBENCH_CACHE": None},
        nameless=True,
    ),
    Environment("data of a user that is not there", arguments=("--data", "~nosuchuser/x"), code=2),
    Environment("weights of one", arguments=("--weights", "~nosuchuser/x"), code=2),
    Environment("results of one", arguments=("--results", "~nosuchuser/x"), code=2),
    Environment("cache of one", {"ALEXBENCH_CACHE": "~nosuchuser/x"}, code=2),
    Environment("cache folder of the system with ~", {"XDG_CACHE_HOME": "~/x"}),
    Environment("variable with data of one", {"ALEXBENCH_DATA": "~nosuchuser/x"}, (), 2),
    Environment(
        "bench.py of a project on PYTHONPATH",
        {"PYTHONPATH": "project"},
        prepare=_bench_of_a_project,
        starter="import alexbench; alexbench.main()",
    ),
    Environment(
        "data whose name is not UTF-8",
        arguments=("--data", os.fsdecode(b"data/r4\xe9")),
        prepare=_data_not_utf8,
    ),
    Environment("run whose name is not UTF-8", arguments=("--run", os.fsdecode(b"r4\xe9")), code=2),
    Environment(
        "names in a locale that is not UTF-8",
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        arguments=("--run", "é"),
    ),
    Environment("settings of JAX and XLA", {"JAX_PLATFORMS": "none", "XLA_FLAGS": "--no_such"}),
)


def run(given: argparse.Namespace, rng: random.Random, figures: Figures) -> None:
    """Each environment once."""
    for one in ENVIRONMENTS:
        if one.nameless and subprocess.run([*NAMELESS, "true"], check=False).returncode:
            figures.notes["skipped (mounting is not permitted)"] += 1
            continue
        with place() as here:
            problem = _outcome(here, one)
        figures.count(problem and f"{one.name}: {problem}")


def _outcome(here: Place, one: Environment) -> str | None:
    one.prepare(here)
    environment = {**here.environment, **one.variables}
    given = {name: value for name, value in environment.items() if value is not None}
    command = [*(NAMELESS if one.nameless else ()), *here.first("run", *one.arguments)]
    if one.name.startswith("variable"):
        command = [part for part in command if part not in ("--data", str(here.data))]
    if one.starter:
        command = [command[0], "-c", one.starter, *command[3:]]
        given["PYTHONPATH"] = f"{here.root / given['PYTHONPATH']}:{here.environment['PYTHONPATH']}"
    before = set(here.root.iterdir())
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=given,
        cwd=here.root,
        check=False,
    )
    if done.returncode != one.code or "Traceback" in done.stderr:
        return f"exit {done.returncode}: {done.stderr[-600:]!r}"
    if one.code == 2 and done.stderr.count("\n") != 1:
        return f"more than a line: {done.stderr!r}"
    new = [path.name for path in set(here.root.iterdir()) - before if path.name != "cache"]
    if any(name.startswith("~") for name in new):
        return f"folders {new}"
    if one.code == 0 and not list(here.results.glob("*/plots/*.png")):
        return f"no plots: {done.stderr[-300:]!r}"
    return None


if __name__ == "__main__":
    main(run)
