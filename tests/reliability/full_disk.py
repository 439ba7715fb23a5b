"""A disk that fills up: a small tmpfs where mounting is permitted, else a limit on file sizes."""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.reliability.support import Figures, Place, main, place, problem_with

ROOMS = (16, 64, 150, 300, 600, 2000)
"""kB that results have."""


def run(given: argparse.Namespace, rng: random.Random, figures: Figures) -> None:
    """Every size of disk so many times, then every limit on the size of a file."""
    with place() as here:
        code, _, err = here.run(here.first("whole"))  # fills the cache, which has room
        assert code == 0, err
        for number in range(given.rounds):
            for room in ROOMS:
                room = round(room * rng.uniform(0.7, 1.3))
                reason = _on_tmpfs(here, room, f"disk-{number}", figures)
                if reason:
                    figures.notes[f"sizes of disk skipped ({reason})"] += 1
                figures.count(_limited(here, room, f"limit-{number}-{room}"), "limits of a file")


def _on_tmpfs(here: Place, room: int, name: str, figures: Figures) -> str | None:
    with _tmpfs(room) as disk:
        if isinstance(disk, str):
            return disk
        there = replace(here, results=disk)
        figures.count(_outcome(there, name, there.run(there.first(name))), "sizes of disk")
    return None


@contextmanager
def _tmpfs(kilobytes: int) -> Iterator[Path | str]:
    """A mounted folder of this size; the reason where there can be none."""
    with tempfile.TemporaryDirectory(prefix="reliability-disk-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder]
        try:
            done = subprocess.run(mount, capture_output=True, text=True, check=False)
        except OSError as error:
            yield str(error)
            return
        if done.returncode:
            yield done.stderr.strip().splitlines()[0].partition(": ")[2] or "mount failed"
            return
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=False)


def _limited(here: Place, room: int, name: str) -> str | None:
    size = room << 10
    command = here.first(name)
    limit = f"import resource; resource.setrlimit({resource.RLIMIT_FSIZE}, ({size}, {size}))"
    starter = f"{limit}; import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
    return _outcome(here, name, here.run([command[0], "-c", starter, *command]))


def _outcome(here: Place, name: str, ended: tuple[int, str, str]) -> str | None:
    code, out, err = ended
    if code not in (0, 1):
        return f"exit {code}: {err[-300:]!r}"
    if "Traceback" in err:
        return f"a traceback: {err[-500:]!r}"
    folder = here.results / name
    page = folder / "report.html"
    if page.exists() and not page.read_text("utf-8").rstrip().endswith("</html>"):
        return "a page that is not whole"
    if code == 0 and not out.strip().endswith("report.html"):
        return f"no report and no word: {out!r}"
    if code == 1 and not err.splitlines()[-1].startswith(("alexbench: ", "fail", "ok", "oom")):
        return f"last line {err[-200:]!r}"
    left = [path.name for path in folder.rglob(".alexbench-*")] if folder.exists() else []
    if left:
        return f"left behind: {left}"
    return problem_with(here.records(name), []) or here.left()


if __name__ == "__main__":
    main(run, rounds=1)
