"""Writes weights in another form, and does not let go of the file before it is proven.

Read back, every tensor has to have the same bits; and the networks of both frameworks have to give
the same outputs.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.networks.architecture import Architecture, Flatten, Layer
from bench.networks.names import published_names, renamed
from bench.networks.preprocessing import Preprocessing
from bench.networks.pretrained import FACTS, Facts, Pretrained
from bench.training.frameworks import FRAMEWORKS, Framework, for_files
from bench.weights.facts import with_facts
from bench.weights.files import read, suffix_of
from bench.weights.sources import open_weights
from bench.worker import files as helper

TOLERANCE = 1e-5
"""Of the outputs, relative to the largest: float32 with sums in another order stays well below."""
_WHOLE = (".keras", ".weights.h5")
"""Forms that hold a whole network."""
_PICTURES = 4
_SEED = 0


def convert(source: str, out: Path, *, named: str | None = None, force: bool = False) -> list[str]:
    """Write the weights that ``source`` names to ``out``, in the form that its suffix says.

    Gives what was verified, a sentence each. ``named`` is the variant where the file fits several.
    Nothing is left at ``out`` unless all went well; what is there already stays unless ``force``.
    Raises UserError where the source cannot be read, the form does not hold it, or a check fails.
    """
    suffix = suffix_of(out)
    if out.exists() and not (force and out.is_file()):
        raise UserError(f"{out}: is there already; give another name, or --force to replace it")
    if not out.parent.is_dir():
        raise UserError(f"{out.parent}: no such folder; make it first")
    found, prepared = open_weights(source, named=named)
    _check_whole(found.facts, suffix, out)
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".alexbench-") as folder:
            fresh = Path(folder) / f"converted{suffix}"
            _write(found, prepared, fresh)
            said = [_check_bits(found, fresh), *_check_outputs(found.facts, prepared, fresh)]
            os.replace(fresh, out)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or error
        raise UserError(f"{out}: cannot be written ({reason}); make room or write elsewhere") from (
            error
        )
    return said


def _check_whole(facts: Facts, suffix: str, out: Path) -> None:
    if suffix not in _WHOLE:
        return
    steps = facts.architecture().steps()
    weighted = [step.layer.name for step in steps if step.layer.weights(step.before)]
    missing = [name for name in weighted if name not in facts.layers]
    if missing:
        raise UserError(
            f"{out}: a {suffix} file holds a whole network, and {facts.name} lacks "
            f"{', '.join(missing)}; .safetensors, .npz and .pth take the layers that are there"
        )


def _write(found: Pretrained, prepared: Path, fresh: Path) -> None:
    facts = found.facts
    names = published_names(found.tensors, facts.variant, facts.head)
    match suffix_of(fresh):
        case ".safetensors":
            Pretrained(facts, renamed(found.tensors, names)).save(fresh)
        case ".npz":
            told = np.array(json.dumps(facts.to_json()))
            arrays: dict[str, Any] = {FACTS: told, **renamed(found.tensors, names)}
            np.savez(fresh, **arrays)
        case suffix:
            helper.ask(for_files(suffix), "write", source=str(prepared), out=str(fresh))


def _check_bits(found: Pretrained, fresh: Path) -> str:
    again = with_facts(read(fresh), fresh, found.facts.sha256)
    if again.facts != found.facts:
        raise UserError(f"{fresh.suffix}: the facts were not read back as they were written")
    for name, tensor in found.tensors.items():
        if tensor.tobytes() != again.tensors[name].tobytes():
            raise UserError(
                f"{fresh.suffix}: {name} was not read back with the bits it was written"
            )
    return f"{len(found.tensors)} tensors read back, all bits equal"


def _check_outputs(facts: Facts, prepared: Path, fresh: Path) -> list[str]:
    """Run both frameworks on the same pictures, the new file where one takes it as it is."""
    rows, said = _a_row_each()
    architecture = leading(facts)
    if architecture is None:
        return [*said, f"outputs not compared: {facts.layers[0]} is not the network's first layer"]
    outputs: dict[str, NDArray[Any]] = {}
    with tempfile.TemporaryDirectory(prefix="alexbench-") as folder:
        pictures = Path(folder) / "pictures.npy"
        np.save(pictures, _pictures(facts.preprocessing, architecture.input_size))
        for row in rows:
            path = fresh if suffix_of(fresh) in row.suffixes else prepared
            out = Path(folder) / f"{row.name}.npy"
            helper.ask(
                row,
                "logits",
                path=str(path),
                architecture=architecture.to_json(),
                images=str(pictures),
                out=str(out),
            )
            outputs[row.name] = np.load(out)
    return said + _compared(outputs, _part(facts, architecture))


def _a_row_each() -> tuple[list[Framework], list[str]]:
    """A framework that can run here for each way of reading files, and who is missing."""
    rows: dict[str, list[Framework]] = {}
    for row in FRAMEWORKS.values():
        if row.weight_files:
            rows.setdefault(row.weight_files, []).append(row)
    here = {key: [row for row in group if row.missing() is None] for key, group in rows.items()}
    lost = [rows[key][0] for key, group in here.items() if not group]
    said = [f"not verified in {row.name}: {row.missing()}" for row in lost]
    return [group[0] for group in here.values() if group], said


def leading(facts: Facts) -> Architecture | None:
    """The network up to the first layer that the weights do not have; None where that is nothing.

    Where a dense layer is the first that is missing, it ends on the last pool.
    """
    architecture = facts.architecture()
    rows: list[Layer] = []
    for step in architecture.steps():
        if step.layer.weights(step.before) and step.layer.name not in facts.layers:
            rows = [row for row in rows if not isinstance(row, Flatten)] if _flat(rows) else rows
            break
        rows.append(step.layer)
    if not any(row.name in facts.layers for row in rows):
        return None
    return replace(architecture, layers=tuple(rows))


def _flat(rows: list[Layer]) -> bool:
    """Whether nothing with weights comes after the flattening."""
    kinds = [type(row) for row in rows]
    return Flatten in kinds and not any(kind.kind == "dense" for kind in kinds)


def _part(facts: Facts, architecture: Architecture) -> str:
    whole = len(architecture.layers) == len(facts.architecture().layers)
    return "logits" if whole else f"outputs of {architecture.layers[-1].name}"


def _pictures(preprocessing: Preprocessing, size: int) -> NDArray[np.float32]:
    """(4, 3, S, S): random pixels after the weights' own preprocessing."""
    pixels = np.random.default_rng(_SEED).random((_PICTURES, 3, size, size))
    mean, std = (np.array(each).reshape(3, 1, 1) for each in preprocessing.in_unit)
    pictures: NDArray[np.float32] = ((pixels - mean) / std).astype(np.float32)
    return pictures


def _compared(outputs: dict[str, NDArray[Any]], what: str) -> list[str]:
    names = list(outputs)
    if len(names) < 2:
        return [f"{what} computed in {', '.join(names)} only, so not compared"]
    first = outputs[names[0]].astype(np.float64)
    said = []
    for name in names[1:]:
        apart = float(np.abs(first - outputs[name]).max() / np.abs(first).max())
        figure = f"{what} of {names[0]} and {name} differ by {apart:.1e} of the largest"
        if not apart <= TOLERANCE:
            raise UserError(f"{figure}, more than {TOLERANCE:g}; nothing was written")
        said.append(f"{figure} ({_PICTURES} random pictures; {TOLERANCE:g} is allowed)")
    return said
