"""What the scripts share: runs of the command on fakes, and what must hold after each fault."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench.core.records import FILE, Record, RecordStore
from bench.data.dataset import Dataset
from tests.reliability.starts import Forked, Started, become_reaper, default_signals, fresh, reap
from tests.support import fakes

__all__ = ["Figures", "Place", "Started", "default_signals", "main", "place", "problem_with"]

RUN_SECONDS = 900
"""After which a run counts as hanging."""
END_SECONDS = 5
"""In which the processes of a killed run must be gone."""
OPTIONS = (
    "--profile", "tiny", "--frameworks", "fake-certified,fake-slow", "--tracks", "closed",
    "--kinds", "startup,train_throughput,accuracy",
)  # fmt: skip
"""Of every run: six measurements in two frameworks, and certificates where the cache has none."""


@dataclass
class Figures:
    """What was tried in one script, and what came of it."""

    name: str
    tried: int = 0
    survived: int = 0
    lost: int = 0
    """Records lost, doubled or damaged, and damage that was believed."""
    notes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def count(self, problem: str | None, note: str = "") -> None:
        """One attempt; ``problem`` is what went wrong in it."""
        self.tried += 1
        self.survived += problem is None
        if problem:
            self.faults.append(problem)
        if note:
            self.notes[note] += 1

    @property
    def words(self) -> str:
        """The notes in a line."""
        return ", ".join(f"{number:,} {note}" for note, number in sorted(self.notes.items()))

    def report(self) -> int:
        """Print the figures; the exit code of the script."""
        print(f"{self.name}: tried {self.tried:,}, survived {self.survived:,}, lost {self.lost:,}")
        if self.notes:
            print(f"  {self.words}")
        for fault in self.faults[:20]:
            print(f"  FAULT {fault}")
        sys.stdout.flush()
        return 1 if self.lost or self.faults else 0


@dataclass(frozen=True)
class Place:
    """Folders of one script, and the environment of its processes.

    Attributes:
        root: All others are below it.
        data: The images, in CIFAR-10's form.
        results: Of the runs.
        temporary: What ``$TMPDIR`` names.
        environment: Of the processes.
        workers: Of a forked run every so many-th worker is a fresh process; 0 has all forked.
    """

    root: Path
    data: Path
    results: Path
    temporary: Path
    environment: dict[str, str]
    workers: int = 0

    def command(self, *arguments: str) -> list[str]:
        """``alexbench run`` on the fakes, below this place's results."""
        return [sys.executable, "-m", "bench", "run", "--results", str(self.results), *arguments]

    def first(self, name: str | None = None, *more: str) -> list[str]:
        """The command that begins a run."""
        named = ("--run", name) if name else ()
        return self.command(*OPTIONS, "--data", str(self.data), *named, *more)

    def resumed(self, name: str, *more: str) -> list[str]:
        """The command that goes on with it, without any of its options."""
        return self.command("--resume", name, *more)

    def start(
        self,
        command: Sequence[str],
        *,
        exec: bool = False,
        first: Callable[[], object] = lambda: None,
    ) -> Started:
        """The command in a process of its own, its signals as a terminal has them.

        Args:
            command: It with its arguments.
            exec: Whether the process is a fresh one, with its imports before it; other commands
                than ours always are.
            first: Called in a forked process before the command.
        """
        head = [sys.executable, "-m", "bench"]
        if exec or list(command[:3]) != head:
            return fresh(command, self.environment, self.root)
        return Forked(command[3:], self.environment, self.root, first, self.workers)

    def finish(self, process: Started) -> tuple[int, str, str]:
        """Exit code, stdout and stderr; a hanging run is killed, and its code is that."""
        try:
            out, err = process.communicate(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            err += "\nhangs"
        assert process.returncode is not None
        return process.returncode, out, err

    def run(self, command: Sequence[str]) -> tuple[int, str, str]:
        """Run the command to its end."""
        return self.finish(self.start(command))

    def processes(self) -> list[int]:
        """Processes of this place that are alive: children of this one, and theirs."""
        return [pid for pid in reap() if fakes.alive(pid)]

    def left(self) -> str | None:
        """Processes that are still there after a while, in words; they are killed."""
        ends = time.monotonic() + END_SECONDS
        while (found := self.processes()) and time.monotonic() < ends:
            time.sleep(0.05)
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return f"{len(found)} processes left" if found else None

    def forget_certificates(self) -> None:
        """Have the next run make its certificates."""
        shutil.rmtree(self.root / "cache" / "parity", ignore_errors=True)

    def temporaries(self) -> list[str]:
        """What lies in the temporary folder."""
        return sorted(os.listdir(self.temporary))

    def records(self, name: str) -> list[Record]:
        """The records of a run; none where the file is not there."""
        folder = self.results / name
        return RecordStore(folder).read() if (folder / FILE).exists() else []


@contextmanager
def place(images: Dataset | None = None, **more: str) -> Iterator[Place]:
    """Folders of a script, removed at its end; with other images than the fakes' few."""
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        root = Path(folder)
        for name in ("results", "temporary"):
            (root / name).mkdir()
        data = fakes.write_batches(root / "data" / "small", images or fakes.images())
        environment = {
            **os.environ,
            **fakes.environment(root / "cache"),
            "TMPDIR": str(root / "temporary"),
            **more,
        }
        for name in ("ALEXBENCH_DATA", "MPLBACKEND"):
            environment.pop(name, None)
        found = Place(root, data, root / "results", root / "temporary", environment)
        try:
            yield found
        finally:
            found.left()


def problem_with(records: Sequence[Record], before: Sequence[Record]) -> str | None:
    """Whether a record of before is lost or changed, or a key is there twice."""
    keys = Counter(record.key for record in records)
    doubled = [key for key, number in keys.items() if number > 1]
    now = {record.key: record for record in records}
    lost = [r.key for r in before if r.ok and now.get(r.key) != r]
    if lost or doubled:
        return f"lost {lost}, doubled {doubled}"
    return None


def options(name: str, **numbers: int | str) -> tuple[argparse.Namespace, random.Random]:
    """The options of a script: how often, of what, and the seed of what is drawn."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.reliability.{name}")
    for option, default in numbers.items():
        parser.add_argument(f"--{option.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="Append the figures to this file, one line.")
    given = parser.parse_args()
    return given, random.Random(given.seed)


def main(
    run: Callable[[argparse.Namespace, random.Random, Figures], None], **numbers: int | str
) -> None:
    """The entry point of a script; a signal ends it with the figures so far."""
    name = Path(sys.argv[0]).stem
    given, rng = options(name, **numbers)
    figures = Figures(name.replace("_", " "))
    become_reaper()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    began = time.monotonic()
    try:
        run(given, rng, figures)
    except KeyboardInterrupt:
        print("  interrupted")
    code = figures.report()
    seconds = time.monotonic() - began
    print(f"  {seconds:.0f} s, seed {given.seed}")
    if given.json:
        line = _as_json(figures, given, seconds)
        with given.json.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    sys.exit(code)


def _as_json(figures: Figures, given: argparse.Namespace, seconds: float) -> dict[str, object]:
    """What ``docs/reliability.md`` has of a script (`tests.reliability.table`)."""
    options = {name: value for name, value in vars(given).items() if name != "json"}
    typed = " ".join(
        f"--{name.replace('_', '-')} {value}" for name, value in options.items() if value != ""
    )
    return {
        "script": figures.name,
        "command": f"python -m tests.reliability.{Path(sys.argv[0]).stem} {typed}".strip(),
        "tried": figures.tried,
        "survived": figures.survived,
        "lost": figures.lost,
        "faults": len(figures.faults),
        "notes": figures.words,
        "seconds": round(seconds),
        "date": datetime.now(UTC).date().isoformat(),
    }
