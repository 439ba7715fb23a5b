"""Limits on memory, and how much is taken: of runs, of reports of many records, of ``predict``.

A command gets so many MiB of addresses on top of what it has after its imports (``RLIMIT_AS``,
which its workers inherit; a control group needs a permission that containers rarely have). It must
do its work, or end with one line, and what it has written must be whole. Without a limit the peaks
of resident memory are read.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from bench.core.records import FILE
from tests.reliability.many_cases import memory_of
from tests.reliability.support import Figures, Place, main, place, problem_with
from tests.support.images_cli import NAMES
from tests.support.plugins import fake_server
from tests.support.synthetic_records.many_records import many_records

ROOMS = (1, 4, 8, 16, 32, 64, 128, 256, 512)
"""MiB of addresses."""
PEAK = 1 << 30
"""Bytes that no command may take, whatever comes in."""
RECORDS = 2_000
LARGE = 12_000
"""Side in pixels of an image of one colour, whose file has 1.3 MB and its pixels 432 MB; one more
pixel than Pillow takes without a warning is refused."""


def run(given: argparse.Namespace, rng: random.Random, figures: Figures) -> None:
    """Every room for a run, a report and a prediction, so many times; then the peaks."""
    with place() as here:
        code, _, err = here.run(here.first("whole"))
        assert code == 0, err
        _many(here.results / "many")
        served = replace(here, environment={**here.environment, **_served(here)})
        images = _images(here.root / "images")
        for number in range(given.rounds):
            for room in ROOMS:
                room = max(1, round(room * rng.uniform(0.7, 1.3)))
                name = f"run-{number}-{room}"
                what = f"{room} MiB"
                figures.count(
                    _ended(here, here.first(name), room, name) or here.left(), "limits of a run"
                )
                figures.count(_reported(here, room, what), "limits of a report")
                figures.count(_predicted(served, images[:20], room), "limits of predict")
        _peaks(here, served, images, figures)


def _limited(room: int) -> Callable[[], None]:
    def limit() -> None:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        size = pages * resource.getpagesize() + (room << 20)
        resource.setrlimit(resource.RLIMIT_AS, (size, size))

    return limit


def _one_line(code: int, err: str) -> str | None:
    if code not in (0, 1):
        return f"exit {code}: {err[-300:]!r}"
    if "Traceback" in err:
        return f"a traceback: {err[-400:]!r}"
    if code == 1 and not err.strip():
        return "exit 1 without a message"
    return None


def _ended(here: Place, command: Sequence[str], room: int, name: str) -> str | None:
    code, _, err = here.finish(here.start(command, first=_limited(room)))
    problem = _one_line(code, err) or _page(here.results / name)
    problem = problem or problem_with(here.records(name), [])
    return problem and f"run with {room} MiB: {problem}"


def _page(folder: Path) -> str | None:
    page = folder / "report.html"
    if page.exists() and not page.read_text("utf-8").rstrip().endswith("</html>"):
        return "a page that is not whole"
    left = [path.name for path in folder.rglob(".alexbench-*")] if folder.exists() else []
    return f"left behind: {left}" if left else None


def _many(folder: Path) -> None:
    folder.mkdir()
    with (folder / FILE).open("w", encoding="utf-8") as file:
        for record in many_records(RECORDS):
            file.write(json.dumps(record.to_json()) + "\n")


def _reported(here: Place, room: int, what: str) -> str | None:
    folder = here.root / "report"
    shutil.rmtree(folder, ignore_errors=True)
    records = here.results / "many"
    command = [*here.command()[:3], "report", str(records), "-o", str(folder)]
    code, out, err = here.finish(here.start(command, first=_limited(room)))
    problem = _one_line(code, err) or _page(folder)
    if not problem and code == 0 and not out.strip().endswith("report.html"):
        problem = "no report and no word"
    return problem and f"report with {what}: {problem}"


def _served(here: Place) -> dict[str, str]:
    """What a process needs to know the fake server of ``predict``."""
    fake_server.pretrained(NAMES).save(here.root / "w.safetensors")
    return fake_server.environment(here.root / "cache")


def _predict(here: Place, images: Sequence[Path]) -> list[str]:
    weights = ("--framework", "served", "--weights", str(here.root / "w.safetensors"), "--json")
    return [*here.command()[:3], "predict", *map(str, images), *weights]


def _predicted(here: Place, images: Sequence[Path], room: int) -> str | None:
    code, _, err = here.finish(here.start(_predict(here, images), first=_limited(room)))
    if code == 2:  # images are refused one by one, each in a line
        code = 1
    problem = _one_line(code, err)
    return problem and f"predict with {room} MiB: {problem}"


def _images(folder: Path) -> list[Path]:
    """Many images, among them a large one, one that declares more than it has, and a bomb."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    paths = []
    for number in range(300):
        paths.append(folder / f"{number}.png")
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(paths[-1])
    for name, width, height in (("large", LARGE, LARGE), ("bomb", 60_000, 60_000)):
        paths.append(folder / f"{name}.png")
        paths[-1].write_bytes(_png(width, height, rows=height if name == "large" else 10))
    paths.append(folder / "short.png")
    paths[-1].write_bytes(_png(8_000, 8_000, rows=1))
    return paths


def _png(width: int, height: int, rows: int) -> bytes:
    """A PNG of one colour that declares a size and holds so many rows."""
    row = b"\0" + bytes(3 * width)
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(inner)) + name + inner + struct.pack(">I", zlib.crc32(name + inner))
        for name, inner in chunks
    )


def _peaks(here: Place, served: Place, images: Sequence[Path], figures: Figures) -> None:
    """Peaks of fresh processes, without a limit."""
    records = here.results / "many"
    report = [*here.command()[:3], "report", str(records), "-o", str(here.root / "report")]
    for what, there, command in (
        ("a run of six cases", here, here.first("peak")),
        (f"a report of {RECORDS:,} records", here, report),
        (f"predict with {len(images)} images, one of {LARGE}x{LARGE}", served,
         _predict(served, images)),
    ):  # fmt: skip
        process = there.start(command, exec=True)
        peak = 0
        while process.poll() is None:
            peak = max(peak, memory_of(process.pid, "VmHWM") or 0)
            time.sleep(0.02)
        code, _, err = there.finish(process)
        problem = None if peak < PEAK else f"{what}: {peak >> 20} MiB"
        if code not in (0, 1, 2) or "Traceback" in err:
            problem = f"{what}: exit {code}: {err[-300:]!r}"
        figures.count(problem)
        figures.notes[f"MiB of {what} at most"] = peak >> 20


if __name__ == "__main__":
    main(run, rounds=1)
