"""Pretrained weights in the core's names and layouts, with their facts.

Whatever their source (see `bench.weights.sources`), a worker gets them as one safetensors file
in this form: it does not need the framework that wrote them, nor to trust the original file.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bench.core.errors import UserError, reason_of
from bench.core.files import usual_mode
from bench.networks.architecture import Architecture, BatchNorm, Dense
from bench.networks.init import Weights, initial_weights
from bench.networks.preprocessing import Preprocessing
from bench.networks.variants import variant

FACTS = "alexbench"
FACTS_FILE = "alexbench.json"
"""In a ``.keras`` zip; in a ``.weights.h5`` they are a text next to the layers."""
_KEY = "alexbench"
"""Of the safetensors metadata that holds the facts, as JSON."""


@dataclass(frozen=True)
class Facts:
    """The facts about a set of weights: provenance, network, preprocessing."""

    name: str
    """Of the source: a registry's name, or the file's."""
    sha256: str
    """Of the file that was read, in hex."""
    variant: str
    """The network whose layers they are."""
    layers: tuple[str, ...]
    """The layers that are there, in order; the network may have more."""
    preprocessing: Preprocessing
    head: str = "source"
    classes: int | None = None
    """Number of logits; None where the last layer is not there."""
    input_size: int | None = None
    """Side of the image that the first dense layer fits; None without one."""
    categories: tuple[str, ...] = ()
    """Names of the logits, where they are known."""
    notes: str = ""
    """Precision, licence and other facts for a reader of the results."""
    constants: Mapping[str, Mapping[str, float]] = field(default_factory=dict, hash=False)
    """Constants that the weights were trained with and that differ from the variant's: by layer and
    field of its row, as BatchNorm's ``eps``."""
    training: dict[str, Any] = field(default_factory=dict)
    """Of weights that this suite has trained: ``case``, ``recipe``, ``dataset``, ``test_accuracy``,
    ``train_images``, ``train_seconds`` and ``weights_sha256``, the digest of the tensors; else
    empty."""
    matched: tuple[str, ...] = ()
    """What was dropped, reshaped, left out and matched when a file of another program was read."""

    @property
    def label(self) -> str:
        """The name of the weights in a case: unique, and without a ``/``."""
        return f"{self.name.replace('/', '_')}@{self.sha256[:8]}"

    def architecture(self) -> Architecture:
        """The whole network, with the weights' own constants; the source's classes and input size
        where weights fix none."""
        rows = variant(self.variant).architecture(
            self.classes, head=self.head, input_size=self.input_size
        )
        return rows.with_constants(self.constants)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that :meth:`from_json` reads back."""
        return {**dataclasses.asdict(self), "preprocessing": self.preprocessing.to_json()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Facts:
        """The facts that :meth:`to_json` wrote."""
        return cls(
            **{
                **value,
                "layers": tuple(value["layers"]),
                "categories": tuple(value["categories"]),
                "matched": tuple(value.get("matched", ())),
                "preprocessing": Preprocessing.from_json(value["preprocessing"]),
            }
        )


@dataclass(frozen=True)
class Pretrained:
    """A set of weights with its facts; ``tensors`` is float32 under the core's names."""

    facts: Facts
    tensors: Weights

    def save(self, path: Path, texts: Mapping[str, str] | None = None) -> None:
        """Write both into one safetensors file, with further ``texts`` in its metadata.

        Raises:
            OSError: It cannot be written.
        """
        arrays = {name: np.ascontiguousarray(array) for name, array in self.tensors.items()}
        partial = path.with_name(f"{path.name}.part")
        metadata = {**(texts or {}), _KEY: json.dumps(self.facts.to_json())}
        try:
            save_file(arrays, partial, metadata)
            partial.chmod(usual_mode())  # safetensors makes it its user's alone
            partial.replace(path)
        except SafetensorError as error:  # the library's own class for an error of the system
            code = re.search(r"os error (\d+)", str(error))
            raise OSError(
                *((int(code[1]), os.strerror(int(code[1]))) if code else error.args)
            ) from error
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> Pretrained:
        """The weights that :meth:`save` wrote; UserError for any other file."""
        try:
            with safe_open(path, "numpy") as file:
                facts = Facts.from_json(json.loads((file.metadata() or {})[_KEY]))
                return cls(facts, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        except (
            OSError,
            SafetensorError,
            KeyError,
            TypeError,
            ValueError,
            RecursionError,
        ) as error:
            raise UserError(
                f"{path}: not a file of prepared weights ({reason_of(error)})"
            ) from error

    def fit(self, architecture: Architecture, seed: int) -> tuple[Weights, tuple[str, ...]]:
        """Weights to start ``architecture`` from, and the layers that these are of.

        Layers that the source does not have get the seeded initial weights, and so does a head that
        replaces the network's own, whatever the source's head is. Raises UserError where
        a layer of the same name has another shape, or nothing of the network is in the source.
        """
        start = initial_weights(architecture, seed)
        taken = self._taken(start)
        if not taken:
            raise UserError(
                f"weights {self.facts.name}: of {self.facts.variant}; no layer of "
                f"{architecture.name} is in them"
            )
        for name in taken:
            _check_shape(self.facts, name, self.tensors[name], start[name])
        _check_constants(self.facts, architecture)
        names = dict.fromkeys(name.rpartition(".")[0] for name in taken)
        return start | {name: self.tensors[name] for name in taken}, tuple(names)

    def _taken(self, wanted: Iterable[str]) -> list[str]:
        """Those of the network as its source has it: a head of an earlier transfer is replaced."""
        own = {row.name for row in variant(self.facts.variant).architecture().layers}
        there = [name for name in wanted if name in self.tensors]
        return [name for name in there if name.rpartition(".")[0] in own]


def _check_constants(facts: Facts, architecture: Architecture) -> None:
    """Whether the network computes with the weights what it did where they come from.

    A momentum or a dropout's rate is a part of the training, and may be another.
    """
    for row in architecture.layers:
        theirs = facts.constants.get(row.name, {}).get("eps")
        if isinstance(row, BatchNorm) and theirs not in (None, row.eps):
            raise UserError(
                f"weights {facts.name}: {row.name} has epsilon {theirs:g}, and {architecture.name} "
                f"is trained with {row.eps:g}; predict, embed and convert take it as it is, to go "
                f"on training here save the model with epsilon={row.eps:g}"
            )


def _check_shape(facts: Facts, name: str, found: NDArray[Any], wanted: NDArray[Any]) -> None:
    if found.shape == wanted.shape:
        return
    rows = variant(facts.variant).architecture().layers
    last = [row.name for row in rows if isinstance(row, Dense)][-1]
    hint = (
        "take --heads replace-last or narrow for another number of classes"
        if name.startswith(f"{last}.")
        else f"they fit images of {facts.input_size} pixels; a head on the last pool "
        "(--heads pool-linear, pool-narrow) takes any size"
    )
    raise UserError(
        f"weights {facts.name}: {name} is {found.shape}, the network wants {wanted.shape}; {hint}"
    )
