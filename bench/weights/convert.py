"""Converts weights to another file format, and verifies the new file before it appears.

Read back, every tensor must have the same bits, and the networks of both frameworks must give the
same outputs.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.core.files import temporary_directory
from bench.networks.architecture import Architecture, Flatten, Layer
from bench.networks.preprocessing import Preprocessing
from bench.networks.pretrained import FACTS, Facts, Pretrained
from bench.networks.weight_names import published_names, renamed
from bench.training.frameworks import FRAMEWORKS, Framework, for_files
from bench.weights.facts import interpret
from bench.weights.files import read, suffix_of
from bench.weights.sources import open_weights
from bench.worker.client import call, shared_workers

TOLERANCE = 1e-5
"""Allowed difference of outputs over the largest one; sums in another order stay well below."""
_WHOLE = (".keras", ".weights.h5")
"""Formats that hold a whole network."""
_IMAGES = 4
_SEED = 0


def convert(source: str, out: Path, *, named: str | None = None, force: bool = False) -> list[str]:
    """Convert weights to the file format of a suffix.

    Args:
        source: Name of a source, or path of a file.
        out: The new file, which appears only after all checks have passed.
        named: The variant, where the source fits several.
        force: Whether to replace a file at ``out``.

    Returns:
        What was verified, a sentence each.

    Raises:
        UserError: The source cannot be read, the format cannot hold it, or a check fails.
    """
    suffix = suffix_of(out)
    if out.exists() and not (force and out.is_file()):
        raise UserError(f"{out}: is there already; give another name, or --force to replace it")
    if not out.parent.is_dir():
        raise UserError(f"{out.parent}: no such folder; make it first")
    with shared_workers():
        found, prepared = open_weights(source, named=named)
        _check_whole(found.facts, suffix, out)
        try:
            return _verified(found, prepared, out)
        except OSError as error:
            full = error.errno == errno.ENOSPC
            reason = "the disk is full" if full else error.strerror or error
            advice = "make room or write elsewhere"
            raise UserError(f"{out}: cannot be written ({reason}); {advice}") from error


def _verified(found: Pretrained, prepared: Path, out: Path) -> list[str]:
    """Write a temporary file, verify it, and move it to ``out``."""
    with temporary_directory(out.parent) as folder:
        fresh = Path(folder) / f"converted{suffix_of(out)}"
        _write(found, prepared, fresh)
        verified = [_check_bits(found, fresh), *_check_outputs(found.facts, prepared, fresh)]
        os.replace(fresh, out)
    return verified


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
            arrays: dict[str, Any] = {
                FACTS: np.array(json.dumps(facts.to_json())),
                **renamed(found.tensors, names),
            }
            np.savez(fresh, **arrays)
        case suffix:
            call(for_files(suffix), "write", source=str(prepared), out=str(fresh))


def _check_bits(found: Pretrained, fresh: Path) -> str:
    again = interpret(read(fresh), fresh, found.facts.sha256)
    if again.facts != found.facts:
        raise UserError(f"{fresh.suffix}: the facts were not read back as they were written")
    for name, tensor in found.tensors.items():
        if tensor.tobytes() != again.tensors[name].tobytes():
            raise UserError(
                f"{fresh.suffix}: {name} was not read back with the bits it was written"
            )
    return f"{len(found.tensors)} tensors read back, all bits equal"


def _check_outputs(facts: Facts, prepared: Path, fresh: Path) -> list[str]:
    """Run both frameworks on the same images, from the new file where they read its format."""
    rows, missing = _one_row_each()
    architecture = leading(facts)
    if architecture is None:
        return [
            *missing,
            f"outputs not compared: {facts.layers[0]} is not the network's first layer",
        ]
    outputs: dict[str, NDArray[Any]] = {}
    with temporary_directory() as folder:
        images = Path(folder) / "images.npy"
        np.save(images, _images(facts.preprocessing, architecture.input_size))
        for row in rows:
            path = fresh if suffix_of(fresh) in row.suffixes else prepared
            out = Path(folder) / f"{row.name}.npy"
            call(
                row,
                "logits",
                path=str(path),
                architecture=architecture.to_json(),
                images=str(images),
                out=str(out),
            )
            outputs[row.name] = np.load(out)
    return missing + _compared(outputs, _part(facts, architecture))


def _one_row_each() -> tuple[list[Framework], list[str]]:
    """An installed framework per weight-file module, and a sentence for each missing one."""
    rows: dict[str, list[Framework]] = {}
    for row in FRAMEWORKS.values():
        if row.weight_files:
            rows.setdefault(row.weight_files, []).append(row)
    usable = {key: [row for row in group if not row.missing()] for key, group in rows.items()}
    absent = [rows[key][0] for key, group in usable.items() if not group]
    sentences = [f"not verified in {row.name}: {row.missing()}" for row in absent]
    return [group[0] for group in usable.values() if group], sentences


def leading(facts: Facts) -> Architecture | None:
    """The network before the first layer that the weights do not have; None where none is left.

    Where a dense layer is the first that is missing, the network ends with the last pool.
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
    """Whether no dense layer follows the flattening."""
    kinds = [type(row) for row in rows]
    return Flatten in kinds and not any(kind.kind == "dense" for kind in kinds)


def _part(facts: Facts, architecture: Architecture) -> str:
    whole = len(architecture.layers) == len(facts.architecture().layers)
    return "logits" if whole else f"outputs of {architecture.layers[-1].name}"


def _images(preprocessing: Preprocessing, size: int) -> NDArray[np.float32]:
    """(4, 3, S, S): random pixels after the preprocessing of the weights."""
    pixels = np.random.default_rng(_SEED).random((_IMAGES, 3, size, size))
    mean, std = (np.array(each).reshape(3, 1, 1) for each in preprocessing.in_unit)
    images: NDArray[np.float32] = ((pixels - mean) / std).astype(np.float32)
    return images


def _compared(outputs: dict[str, NDArray[Any]], what: str) -> list[str]:
    names = list(outputs)
    if len(names) < 2:
        return [f"{what} computed in {', '.join(names)} only, so not compared"]
    first = outputs[names[0]].astype(np.float64)
    sentences = []
    for name in names[1:]:
        apart = float(np.abs(first - outputs[name]).max() / np.abs(first).max())
        figure = f"{what} of {names[0]} and {name} differ by {apart:.1e} of the largest"
        if not apart <= TOLERANCE:
            raise UserError(f"{figure}, more than {TOLERANCE:g}; nothing was written")
        sentences.append(f"{figure} ({_IMAGES} random images; {TOLERANCE:g} is allowed)")
    return sentences
