"""``records.jsonl``, checkpoints and rounds cut or zeroed; damage to every kind of cached file."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from bench.core.cache import recall
from bench.core.errors import UserError
from bench.core.records import FILE, RecordStore
from bench.data import sources as prepared
from bench.harness import ceilings
from bench.harness.resumption.checkpoints import FOLDER
from bench.weights import sources as weights
from tests.reliability.kills import await_phase, other_bits
from tests.reliability.support import Figures, Place, main, place, problem_with
from tests.support import fakes, weight_examples

RESUMED_EVERY = 10
"""Of so many cuts one is resumed by the command; of the others the reading is checked."""


def run(given: argparse.Namespace, rng: random.Random, figures: Figures) -> None:
    """So many cuts of records, then so many damages of each kind of cached file."""
    with place() as here:
        code, _, err = here.run(here.first("whole"))
        assert code == 0, err
        for number in range(given.cuts):
            problem = _cut(here, f"cut-{number}", rng, resume=number % RESUMED_EVERY == 0)
            figures.lost += problem is not None
            figures.count(problem, "cuts of records.jsonl")
        for what in UNFINISHED:
            _unfinished(here, what, given, rng, figures)
        os.environ.update({**here.environment, "ALEXBENCH_CACHE": str(here.root / "cache")})
        fakes.register()
        with (
            open(os.devnull, "w", encoding="utf-8") as nowhere,
            contextlib.redirect_stderr(nowhere),
        ):
            for what, path, read in _cached(here):
                whole = read()
                assert whole is not None, what
                for _ in range(given.damages):
                    problem = _damaged(path, read, whole, rng)
                    figures.lost += problem is not None
                    figures.count(problem and f"{what}: {problem}", f"damages of {what}")


def _cut(here: Place, name: str, rng: random.Random, *, resume: bool) -> str | None:
    folder = here.results / name
    shutil.copytree(here.results / "whole", folder)
    path = folder / FILE
    whole = path.read_bytes()
    at = rng.randrange(len(whole))
    zeroed = rng.random() < 0.5
    path.write_bytes(whole[:at] + (bytes(rng.randint(1, len(whole) - at)) if zeroed else b""))
    lines = whole[:at].count(b"\n")
    before = here.records("whole")[:lines]
    if RecordStore(folder).read() != before:
        return f"{name}: cut at {at}: other records than the whole lines before"
    if resume:
        code, _, err = here.run(here.resumed(name))
        if code:
            return f"{name}: cut at {at}: resume ended with {code}: {err[-200:]!r}"
        found = here.records(name)
        if len(found) != len(here.records("whole")):
            return f"{name}: cut at {at}: {len(found)} records after resume"
        return problem_with(found, before)
    RecordStore(folder).set_aside_failures()
    kept = path.read_bytes()
    shutil.rmtree(folder)
    return (
        None if kept == whole[: len(kept)] and kept.count(b"\n") == lines else f"{name}: rewritten"
    )


_TRAINING = ("--profile", "tiny", "--frameworks", "fake-slow", "--kinds", "accuracy")
_GROUP = (
    "--profile", "tiny-twice", "--frameworks", "fake,fake-two",
    "--kinds", "startup,train_throughput",
)  # fmt: skip
UNFINISHED = {
    "checkpoints": (_TRAINING, "*/step-*.npz"),
    "rounds of processes": (_GROUP, "group-*.json"),
}
"""What a killed run has left: the options of a run that leaves it, and the names of its files."""


def _unfinished(
    here: Place, what: str, given: argparse.Namespace, rng: random.Random, figures: Figures
) -> None:
    """Damage what a run goes on from, and bring the run to its end."""
    options, pattern = UNFINISHED[what]
    plain = (*options, "--tracks", "closed", "--no-parity", "--data", str(here.data))
    named = what.replace(" ", "-")
    code, _, err = here.run(here.command(*plain, "--run", f"{named}-whole"))
    assert code == 0, err
    whole = here.records(f"{named}-whole")
    left = here.results / f"{named}-left"
    files = lambda: list((left / FOLDER).glob(pattern))  # noqa: E731
    process = here.start(here.command(*plain, "--run", left.name))
    assert await_phase(process, lambda: bool(files())), f"no {what} in a run"
    process.kill()
    here.finish(process)
    here.left()
    (file,) = files()
    for number in range(given.unfinished):
        name = f"{named}-{number}"
        shutil.copytree(left, here.results / name)
        damaged = here.results / name / file.relative_to(left)
        how = _change(damaged, rng)
        code, _, err = here.run(here.resumed(name))
        found = here.records(name)
        problem = other_bits(found, whole) or problem_with(found, [])
        if code or {r.key for r in found if r.ok} != {r.key for r in whole} or "Traceback" in err:
            problem = problem or f"exit {code}, {len(found)} records: {err[-200:]!r}"
        figures.lost += problem is not None
        figures.count(problem and f"{what}, {how}: {problem}", f"damages of {what}")
        shutil.rmtree(here.results / name)


def _cached(here: Place) -> Iterator[tuple[str, Path, Callable[[], Any]]]:
    """What is cached: its name, a file of it, and how it is read."""
    ceilings.obtain("fake-ceiling")
    cache = here.root / "cache"
    for what, folder in (("certificates", "parity"), ("peaks", "ceilings"), ("sources", "sources")):
        path = sorted((cache / folder).glob("*.json"))[0]
        made_from = json.loads(path.read_text("utf-8"))["made_from"]
        yield what, path, lambda path=path, made_from=made_from: recall(path, made_from)
    folder = sorted(path for path in (cache / "prepared").iterdir() if path.is_dir())[0]
    for path in sorted(folder.iterdir()):
        yield f"prepared {path.name}", path, lambda folder=folder: _facts(folder)
    with weight_examples_known():
        source = here.root / "mixed.safetensors"
        save_file(weight_examples.weights(), source)
        _, file = weights.open_weights(str(source))
        for path in (file, file.with_suffix(".json")):
            yield f"weights {path.suffix}", path, lambda file=file: _tensors(file)


@contextlib.contextmanager
def weight_examples_known() -> Iterator[None]:
    """The small network of `weight_examples` in the registry."""
    weight_examples.variants.VARIANTS[weight_examples.MIXED.name] = weight_examples.MIXED
    yield


def _facts(folder: Path) -> Any:
    found = prepared._load_whole(folder)
    return found and (prepared.data.meta(found), found.train.labels.tolist())


def _tensors(file: Path) -> Any:
    found = weights._cached(file)
    tensors = {} if found is None else found.tensors
    return found and (found.facts, {name: array.tobytes() for name, array in tensors.items()})


def _damaged(path: Path, read: Callable[[], Any], whole: Any, rng: random.Random) -> str | None:
    """Damage a file, read it, and put it back; what is wrong with what was read."""
    content = path.read_bytes()
    how = _change(path, rng)
    try:
        found = read()
    except UserError:
        found = None
    except Exception as error:
        return f"{how}: {type(error).__name__}: {error}"
    finally:
        path.write_bytes(content)
    if found is None or found == whole:
        return None
    return f"{how} was believed"


def _change(path: Path, rng: random.Random) -> str:
    """Damage a file; how, in words."""
    content = path.read_bytes()
    changed = bytearray(content)
    how = rng.choice(("flip", "cut", "zero", "insert"))
    at = rng.randrange(len(content))
    match how:
        case "flip":
            for _ in range(rng.randint(1, 4)):
                changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        case "cut":
            del changed[at:]
        case "zero":
            end = min(len(content), at + rng.randint(1, 64))
            changed[at:end] = bytes(end - at)
        case "insert":
            changed[at:at] = rng.randbytes(rng.randint(1, 8))
    path.write_bytes(changed)
    return f"{how} at {at}"


if __name__ == "__main__":
    main(run, cuts=100, unfinished=50, damages=200)
