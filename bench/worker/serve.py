"""Inference in a worker: a network of a framework, and one batch after the other.

Images arrive prepared (:mod:`bench.inference.transforms`), so that every framework gets the same
numbers. Arrays travel as .npy files, since the pipe is for short lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.networks.architecture import Architecture
from bench.networks.inference import weights_for
from bench.networks.pretrained import Pretrained
from bench.training.interfaces import Explain, InferenceFactory, InferenceSetup, Outputs


class InferenceWorker:
    """A network with its weights, ready for batches of images."""

    def __init__(self, create: InferenceFactory, command: Mapping[str, Any]) -> None:
        """Build it.

        Args:
            create: The framework's factory.
            command: ``architecture``, ``weights`` (path of a file of prepared weights),
                ``embedding`` (name of the layer whose output is wanted; None for logits),
                ``batch_size``, ``cpus`` and ``device``.
        """
        self._embeds = command["embedding"] is not None
        self._compared = not self._embeds
        self._model = create(_setup(command))

    def run(self, images: Path, out: Path) -> dict[str, Any]:
        """Compute the output for the images in one .npy file, (B, 3, S, S), into another.

        Returns:
            ``compared``: whether the two ways to the features were compared, which is done on the
            first batch of an embedding. ``difference``: see :func:`difference`.
        """
        batch = np.load(images)
        outputs = self._model.embed(batch) if self._embeds else self._model.logits(batch)
        compared = not self._compared
        apart = difference(outputs, self._model.embed_by_slice(batch)) if compared else None
        self._compared = True
        np.save(out, outputs)
        return {"compared": compared, "difference": apart}


def explained(explain: Explain, command: Mapping[str, Any]) -> None:
    """Write ``logits``, ``classes`` and ``maps`` of images into an .npz.

    Args:
        explain: The framework's function.
        command: As for :class:`InferenceWorker`, where ``embedding`` is the layer that is looked
            at; ``images`` (.npy, (B, 3, S, S)), ``class`` (None: the most probable one of each) and
            ``out`` (.npz).
    """
    found = explain(_setup(command), np.load(command["images"]), command["class"])
    np.savez(command["out"], logits=found.logits, classes=found.classes, maps=found.maps)


def _setup(command: Mapping[str, Any]) -> InferenceSetup:
    architecture = Architecture.from_json(command["architecture"])
    tensors = Pretrained.load(Path(command["weights"])).tensors
    return InferenceSetup(
        architecture,
        weights_for(architecture, tensors),
        command["embedding"],
        command["batch_size"],
        threads=len(command["cpus"]),
        device=command["device"],
    )


def difference(one: Outputs, other: Outputs) -> float | None:
    """The largest difference over the largest entry; None where that is not a finite number."""
    if one.shape != other.shape:
        return None
    apart = float(np.abs(one - other).max()) / max(float(np.abs(other).max()), 1e-30)
    return apart if np.isfinite(apart) else None
