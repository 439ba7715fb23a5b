"""The contract of a network that answers, and the worker's end of it.

Pictures come prepared (see `preparing`), so that every framework sees the same numbers; arrays
travel as .npy files, since the pipe is for short lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.networks.architecture import Architecture
from bench.networks.inference import weights_for
from bench.networks.pretrained import Pretrained
from bench.training.interfaces import InferenceFactory, InferenceSetup, Outputs


class InferenceWorker:
    """Answers a worker's ``serve`` commands: one that opens, then one per batch."""

    def __init__(self, create: InferenceFactory, command: Mapping[str, Any]) -> None:
        """``command``: ``architecture``, ``weights`` (a file), ``embedding``, ``batch_size``."""
        architecture = Architecture.from_json(command["architecture"])
        tensors = Pretrained.load(Path(command["weights"])).tensors
        self._embeds = command["embedding"] is not None
        self._checked = not self._embeds
        self._server = create(
            InferenceSetup(
                architecture,
                weights_for(architecture, tensors),
                command["embedding"],
                command["batch_size"],
                threads=len(command["cpus"]),
            )
        )

    def answer(self, pictures: Path, out: Path) -> dict[str, Any]:
        """Rows for the pictures in one .npy file, written to another.

        ``difference`` is that of the two ways to the features, on the first batch of an embedding.
        """
        given = np.load(pictures)
        rows = self._server.embed(given) if self._embeds else self._server.logits(given)
        found: dict[str, Any] = {}
        if not self._checked:
            found["difference"] = difference(rows, self._server.embed_by_slice(given))
            self._checked = True
        np.save(out, rows)
        return found


def difference(ours: Outputs, theirs: Outputs) -> float | None:
    """The largest difference over the largest entry; None where that is not a number."""
    if ours.shape != theirs.shape:
        return None
    apart = float(np.abs(ours - theirs).max()) / max(float(np.abs(theirs).max()), 1e-30)
    return apart if np.isfinite(apart) else None
