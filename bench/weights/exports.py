"""Networks written for other programs and not read here as weights: ONNX, torch.export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from bench.core.errors import UserError
from bench.core.files import temporary_directory
from bench.networks.pretrained import Pretrained
from bench.training.frameworks import FRAMEWORKS, Framework
from bench.worker.client import call


def suffixes() -> tuple[str, ...]:
    """Suffixes of the files that a framework here can write."""
    return tuple(dict.fromkeys(each for row in FRAMEWORKS.values() for each in row.exports))


def suffix_of(path: Path) -> str | None:
    """The suffix of an exported network; None where the file is one of weights."""
    return next((each for each in suffixes() if path.name.lower().endswith(each)), None)


def written(found: Pretrained, prepared: Path, fresh: Path) -> str:
    """Write a network, and compare the tensors in the new file with those that were given.

    Args:
        found: The weights.
        prepared: Their prepared copy.
        fresh: The new file.

    Returns:
        What was compared, as a sentence.

    Raises:
        UserError: A package is not installed, or a tensor has other bits.
    """
    row = _row(fresh)
    call(row, "export", source=str(prepared), out=str(fresh.absolute()))
    with temporary_directory() as folder:
        state = Path(folder) / "state.safetensors"
        call(row, "export_state", path=str(fresh.absolute()), out=str(state))
        again = load_file(state)
    for name, tensor in found.tensors.items():
        if name not in again or again[name].tobytes() != tensor.tobytes():
            raise UserError(f"{fresh.suffix}: {name} was not read back with the bits it had")
    return f"{len(found.tensors)} tensors read back, all bits equal"


def outputs_of(path: Path, images: Path) -> tuple[str, NDArray[np.float32]]:
    """What an exported network makes of prepared images in a .npy file.

    Returns:
        The program that evaluated it, and the output, (B, classes).
    """
    out = images.with_name("output-exported.npy")
    found = call(
        _row(path), "export_logits", path=str(path.absolute()), images=str(images), out=str(out)
    )
    return str(found["runtime"]), np.load(out)


def _row(path: Path) -> Framework:
    suffix = suffix_of(path)
    rows = [row for row in FRAMEWORKS.values() if suffix in row.exports]
    for row in rows:
        if row.missing() is None:
            return row
    raise UserError(f"{suffix} files: {rows[0].missing()}")
