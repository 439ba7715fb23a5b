"""Converts weights to another file format, and verifies the new file before it appears.

Read back, every tensor must have the same bits. The networks of both frameworks must give the same
outputs, and so must the given file where it holds a model: loaded as it is by its own framework.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import UserError, kind_of
from bench.core.files import temporary_directory
from bench.networks.pretrained import FACTS, Facts, Pretrained
from bench.networks.weight_names import published_names, renamed
from bench.training.frameworks import for_files
from bench.weights import exports
from bench.weights.facts import interpret
from bench.weights.files import read, suffix_of
from bench.weights.outputs import GivenModel, check_outputs, given_model
from bench.weights.reading import AS_IT_IS, Reading
from bench.weights.sources import locate, open_weights
from bench.worker.client import call, shared_workers

_WHOLE = (".keras", ".weights.h5")
"""Formats that hold a whole network."""
_READ_ONLY = (".h5",)


def convert(
    source: str,
    out: Path,
    *,
    named: str | None = None,
    force: bool = False,
    reading: Reading = AS_IT_IS,
) -> list[str]:
    """Convert weights to the file format of a suffix.

    Args:
        source: Name of a source, or path of a file.
        out: The new file, which appears only after all checks have passed.
        named: The variant, where the source fits several.
        force: Whether to replace a file at ``out``.
        reading: What else the user says about the source.

    Returns:
        What was verified, a sentence each.

    Raises:
        UserError: The source cannot be read, the format cannot hold it, or a check fails.
    """
    suffix = exports.suffix_of(out) or suffix_of(out)
    if suffix in _READ_ONLY:
        raise UserError(f"{out}: {suffix} is read and not written; take {' or '.join(_WHOLE)}")
    if out.exists() and not (force and out.is_file()):
        raise UserError(f"{out}: is there already; give another name, or --force to replace it")
    if not out.parent.is_dir():
        raise UserError(f"{out.parent}: no such folder; make it first")
    with shared_workers():
        found, prepared = open_weights(source, named=named, reading=reading)
        _check_whole(found.facts, suffix, out)
        given = None if reading.partial else given_model(locate(source)[0], found.facts)
        try:
            return _verified(found, prepared, out, given)
        except OSError as error:
            full = error.errno == errno.ENOSPC
            reason = "the disk is full" if full else error.strerror or error
            advice = "make room or write elsewhere"
            raise kind_of(error)(f"{out}: cannot be written ({reason}); {advice}") from error


def _verified(found: Pretrained, prepared: Path, out: Path, given: GivenModel | None) -> list[str]:
    """Write a temporary file, verify it, and move it to ``out``."""
    with temporary_directory(out.parent) as folder:
        exported = exports.suffix_of(out)
        fresh = Path(folder) / f"converted{exported or suffix_of(out)}"
        if exported:
            bits = exports.written(found, prepared, fresh)
        else:
            _write(found, prepared, fresh)
            bits = _check_bits(found, fresh)
        verified = [
            bits,
            *carried_over(found.facts),
            *check_outputs(found.facts, prepared, fresh, given),
        ]
        os.replace(fresh, out)
    return verified


def carried_over(facts: Facts) -> list[str]:
    """A sentence about the constants of a file that are not the variant's, if there are any."""
    rows = {row.name: row for row in replace(facts, constants={}).architecture().layers}
    layers: dict[str, list[str]] = {}
    for name, values in facts.constants.items():
        for field, value in values.items():
            words = f"{field} {value:g} ({facts.variant} has {getattr(rows[name], field):g})"
            layers.setdefault(words, []).append(name)
    if not layers:
        return []
    each = "; ".join(f"{words} in {', '.join(names)}" for words, names in layers.items())
    return [f"carried over, a network of your own needs the same: {each}"]


def _check_whole(facts: Facts, suffix: str, out: Path) -> None:
    if suffix not in (*_WHOLE, *exports.suffixes()):
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
    if again.facts != replace(found.facts, matched=()):
        raise UserError(f"{fresh.suffix}: the facts were not read back as they were written")
    for name, tensor in found.tensors.items():
        if tensor.tobytes() != again.tensors[name].tobytes():
            raise UserError(
                f"{fresh.suffix}: {name} was not read back with the bits it was written"
            )
    return f"{len(found.tensors)} tensors read back, all bits equal"
