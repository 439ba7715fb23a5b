"""Weight sources by name or path, brought into the one form that workers read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from safetensors import safe_open

from bench.errors import UserError
from bench.preprocessing import BVLC
from bench.pretrained import Facts, Pretrained
from bench.sources import cache_folder


def open_weights(spec: str) -> tuple[Pretrained, Path]:
    """The weights that ``spec`` names (a source of the registry, else a file), and where they lie
    in the form that workers read."""
    path = Path(spec)
    if spec == "bvlc":
        path = Path(os.environ.get("ALEXBENCH_DATA", ".")) / "bvlc-alexnet-trunk.safetensors"
    if not path.is_file():
        raise UserError(f"weights {spec!r}: no such file")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with safe_open(path, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    layers = tuple(dict.fromkeys(name.rpartition(".")[0] for name in tensors))
    facts = Facts("bvlc", digest, "imagenet-lrn", layers, BVLC)
    found = Pretrained(facts, tensors)
    kept = cache_folder() / "weights" / f"{digest}.safetensors"
    kept.parent.mkdir(parents=True, exist_ok=True)
    found.save(kept)
    return found, kept
