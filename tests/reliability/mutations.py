"""Mutated inputs of every reader of untrusted data, in processes with limits on memory and time.

``python -m tests.reliability.mutations --inputs 1000000``; ``--readers records,cases`` tries these
alone, with their shares of the inputs. Inputs of a batch are drawn from its
seed, so that one that has crashed the process is drawn again from its number. What finds something
is written to `X, and belongs into a test.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import resource
import select
import signal
import struct
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.system.process import die_with_parent
from tests.reliability.readers import READERS, Reader, accepted
from tests.reliability.support import Figures, main

BATCH = 2_000
"""Inputs of one process."""
MEMORY = 1 << 30
"""Bytes of addresses that a process may take on top of those that it begins with."""
CPU_SECONDS = 3.0
"""For one input: thousands of times what the slowest of our own files takes."""
BATCH_SECONDS = 600
"""After which a batch hangs."""
_MEBIBYTE = 1 << 20


@dataclass
class Found:
    """What came of the inputs of one batch."""

    tried: int = 0
    taken: int = 0
    peak: int = 0
    """Bytes of resident memory of the process at most."""
    slowest: float = 0.0
    """CPU seconds of the slowest input."""
    faults: list[tuple[int, str]] = field(default_factory=list)
    """Number of an input, and what was wrong."""


def run(given: argparse.Namespace, rng: random.Random, figures: Figures) -> None:
    """So many inputs, spread over the readers."""
    whole = sum(reader.share for reader in READERS)
    names = given.readers.split(",") if given.readers else [reader.name for reader in READERS]
    for reader in [reader for reader in READERS if reader.name in names]:
        wanted = max(1, round(given.inputs * reader.share / whole))
        try:
            seeds = reader.seeds() if reader.name != "pth" else _in_child(reader)
        except ImportError as error:
            figures.notes[f"{reader.name} (skipped: {error.name} is not installed)"] = 0
            continue
        began, faults = time.monotonic(), Counter[str]()
        total = Found()
        for number in range(-(-wanted // BATCH)):
            size = min(BATCH, wanted - number * BATCH)
            found = _batch(reader, seeds, f"{given.seed} {reader.name} {number}", size)
            total.tried += found.tried
            total.taken += found.taken
            total.peak = max(total.peak, found.peak)
            total.slowest = max(total.slowest, found.slowest)
            for place, problem in found.faults:
                content = _inputs(reader, seeds, f"{given.seed} {reader.name} {number}", place)
                faults[problem.splitlines()[0][:160]] += 1
                _keep(reader.name, content, problem)
        figures.tried += total.tried
        figures.survived += total.tried - sum(faults.values())
        figures.lost += sum(faults.values())
        figures.notes[f"{reader.name} ({total.taken:,} of them taken)"] += total.tried
        figures.faults += [f"{reader.name}: {words} ({n} times)" for words, n in faults.items()]
        print(
            f"  {reader.name}: {total.tried:,} tried, {total.taken:,} taken, "
            f"{sum(faults.values())} faults, {total.peak / _MEBIBYTE:.0f} MiB, slowest "
            f"{total.slowest:.2f} s, {time.monotonic() - began:.0f} s",
            flush=True,
        )


def _in_child(reader: Reader) -> list[bytes]:
    """The seeds, made in a process of their own: PyTorch is imported there alone."""
    found = _forked(lambda: {"seeds": [seed.hex() for seed in reader.seeds()]})
    if "seeds" not in found:
        raise ImportError("PyTorch is not installed", name="torch")
    return [bytes.fromhex(seed) for seed in found["seeds"]]


def _inputs(reader: Reader, seeds: list[bytes], seed: str, place: int) -> bytes:
    """One input of a batch."""
    draw = random.Random(f"{seed} {place}")
    return reader.mutate(seeds, draw)


def _batch(reader: Reader, seeds: list[bytes], seed: str, size: int) -> Found:
    """Read the inputs of a batch in processes; one that a crash leaves goes on after it."""
    total, start = Found(), 0
    with (
        mmap.mmap(-1, 8) as shared,
        tempfile.TemporaryDirectory(prefix="mutations-", dir=_memory_folder()) as name,
    ):
        inputs = _Inputs(reader, seeds, seed, shared, Path(name))
        while start < size:
            shared[:] = struct.pack("<q", start)
            found = _forked(lambda first=start: inputs.read(first, size))
            (reached,) = struct.unpack("<q", shared[:])
            if "ended" in found:  # a crash, or a hang
                total.faults.append((reached, f"the process {found['ended']}"))
                total.tried += reached + 1 - start
                start = reached + 1
                continue
            total.tried += size - start
            total.taken += found["taken"]
            total.peak = max(total.peak, found["peak"])
            total.slowest = max(total.slowest, found["slowest"])
            total.faults += [(place, words) for place, words in found["faults"]]
            break
    return total


class _Slow(BaseException):
    """An input takes longer than it may."""


def _slow(number: int, frame: object) -> None:
    raise _Slow


@dataclass(frozen=True)
class _Inputs:
    """The inputs of one batch, and where the number of the one in hand stands."""

    reader: Reader
    seeds: list[bytes]
    seed: str
    shared: mmap.mmap
    folder: Path

    def read(self, first: int, size: int) -> dict[str, Any]:
        """Read inputs one after the other; the figures, as JSON has them."""
        warnings.simplefilter("ignore")
        signal.signal(signal.SIGVTALRM, _slow)
        if self.reader.name == "pth":
            self.reader.seeds()  # imports PyTorch before the limit
        _limit_memory()
        taken, slowest, faults = 0, 0.0, []
        for place in range(first, size):
            self.shared[:] = struct.pack("<q", place)
            began = time.process_time()
            try:
                taken += self._accepted(place)
            except _Slow:
                faults.append((place, f"more than {CPU_SECONDS:g} s of CPU"))
            except BaseException as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                words = f"{type(error).__name__}: {str(error)[:200]!r}"
                faults.append((place, f"{words} at {Path(where.filename).name}:{where.lineno}"))
            slowest = max(slowest, time.process_time() - began)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"taken": taken, "slowest": slowest, "faults": faults, "peak": peak}

    def _accepted(self, place: int) -> bool:
        content = _inputs(self.reader, self.seeds, self.seed, place)
        signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
        try:
            return accepted(self.reader, content, self.folder)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _memory_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _forked(work: Any) -> dict[str, Any]:
    """What ``work`` returns in a forked process; ``ended`` says how the process ended without."""
    reading, writing = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            die_with_parent(parent)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            content = json.dumps(work()).encode()
            while content:
                content = content[os.write(writing, content) :]
            os._exit(0)
        except BaseException:
            os._exit(1)
    os.close(writing)
    content, ends = bytearray(), time.monotonic() + BATCH_SECONDS
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, ends - time.monotonic()))
        chunk = os.read(reading, 1 << 16) if ready else b""
        if not chunk:
            break
        content += chunk
    hangs = time.monotonic() >= ends
    if hangs:
        os.kill(pid, signal.SIGKILL)
    os.close(reading)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        found: dict[str, Any] = json.loads(content)
        return found
    if hangs:
        return {"ended": "hangs"}
    return {"ended": f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"}


_KEPT = Path(tempfile.gettempdir()) / "alexbench-mutations"


def _keep(name: str, content: bytes, problem: str) -> None:
    """Write an input that has found something, and say where."""
    _KEPT.mkdir(exist_ok=True)
    path = _KEPT / f"{name.replace(' ', '-')}-{zlib.crc32(problem.encode()):08x}.bin"
    if not path.exists():
        path.write_bytes(content)
        print(f"  FAULT {name}: {problem[:300]}: {path}", flush=True)


if __name__ == "__main__":
    main(run, inputs=1_000_000, readers="")
