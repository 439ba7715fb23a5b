"""Runs weights in the frameworks and compares what comes out, also of a given file with a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.core.files import temporary_directory
from bench.networks.architecture import Architecture, Flatten, Layer
from bench.networks.preprocessing import Preprocessing
from bench.networks.pretrained import Facts
from bench.training.frameworks import FRAMEWORKS, Framework, for_files
from bench.weights import exports
from bench.weights.files import format_called, model_config, suffix_of
from bench.weights.keras_models.check import Check, compared
from bench.weights.keras_models.config import foreign
from bench.weights.signatures import KERAS
from bench.worker.client import call

TOLERANCE = 1e-5
"""Allowed difference of outputs over the largest one; sums in another order stay well below."""
MIXED_TOLERANCE = 5e-2
"""The same for a given model that computes in 16 bits: bfloat16 has 8 for the mantissa."""
WEIGHTS_ONLY = "weights only: the architecture was not verified"
_MODEL_SUFFIX = ".keras"
_IMAGES = 4
_SEED = 0

Outputs = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class GivenModel:
    """A file with a model whose layers are those of the network.

    Attributes:
        path: The file.
        check: What the comparison of its config with the network found.
    """

    path: Path
    check: Check

    def shorter(self, architecture: Architecture) -> Architecture:
        """The network up to the last layer that the model has, too."""
        count = min(len(architecture.layers), len(self.check.architecture.layers))
        return replace(architecture, layers=architecture.layers[:count])

    def verified(self, outputs: Outputs, architecture: Architecture, images: Path) -> str:
        """Run the model and compare it with the outputs of the frameworks.

        Raises:
            UserError: One differs by more than is allowed.
        """
        name, last = self.path.name, architecture.layers[-1].name
        if self.check.architecture.layers[-1].name != last:
            return f"outputs of {name} not compared: the weights go as far as {last} only"
        try:
            row = for_files(_MODEL_SUFFIX)
        except UserError as error:
            return f"{name} not run: {error}"
        own = self._logits(row, architecture, images)
        apart = {other: _apart(own, array) for other, array in outputs.items()}
        worst = max(apart, key=lambda other: apart[other])
        allowed = MIXED_TOLERANCE if self.check.precision else TOLERANCE
        softmax = " without its softmax" if self.check.softmax else ""
        figure = f"outputs of {name}{softmax}, as {row.name} loads it, and of {worst}"
        return _sentence(figure, apart[worst], allowed, self.check.precision)

    def _logits(self, row: Framework, architecture: Architecture, images: Path) -> NDArray[Any]:
        """The output of the model; Keras goes by the suffix, which says nothing about the file."""
        suffix = _MODEL_SUFFIX if format_called(self.path) == KERAS else ".h5"
        with temporary_directory() as folder:
            named = Path(folder) / f"given{suffix}"
            named.symlink_to(self.path.absolute())
            return logits(row, named, architecture, images)


def given_model(path: Path, facts: Facts) -> GivenModel | None:
    """The model in a file; None where it holds weights alone.

    Raises:
        UserError: Its layers are not those of the network, or one of its classes is not Keras's.
    """
    config = model_config(path)
    if config is None:
        return None
    name = foreign(config.get("config"))
    if name is not None:
        raise UserError(
            f"{path}: its config names {name}, which is not Keras's own, so the model is not "
            "loaded; save its weights alone (model.save_weights)"
        )
    rows = replace(facts, constants={}).architecture()
    return GivenModel(path, compared(config, rows, str(path)))


def check_outputs(facts: Facts, prepared: Path, fresh: Path, given: GivenModel | None) -> list[str]:
    """Compare what the frameworks compute from the same images.

    Args:
        facts: Of the weights.
        prepared: The weights as workers read them.
        fresh: The new file, for the framework that reads its format, or the program that an
            exported one is for.
        given: The model that the given file holds, loaded as it is; None where it holds none.

    Returns:
        What was compared and what was not, a sentence each.

    Raises:
        UserError: Two outputs differ by more than `TOLERANCE`, or a framework fails.
    """
    rows, missing = _one_row_each()
    exported = exports.suffix_of(fresh)
    architecture = leading(facts)
    if architecture is None:
        return [
            *missing,
            f"outputs not compared: {facts.layers[0]} is not the network's first layer",
            *([WEIGHTS_ONLY] if given is None else []),
        ]
    if given is not None:
        architecture = given.shorter(architecture)
    with temporary_directory() as folder:
        images = Path(folder) / "images.npy"
        np.save(images, _images(facts.preprocessing, architecture.input_size))
        outputs: Outputs = {}
        for row in rows:
            own = exported is None and suffix_of(fresh) in row.suffixes
            outputs[row.name] = logits(row, fresh if own else prepared, architecture, images)
        if exported is not None:
            program, output = exports.outputs_of(fresh, images)
            outputs[f"{exported} in {program}"] = output
        verified = _compared(outputs, _part(facts, architecture))
        if given is None:
            verified.append(WEIGHTS_ONLY)
        elif outputs:
            verified.append(given.verified(outputs, architecture, images))
    return missing + verified


def logits(row: Framework, path: Path, architecture: Architecture, images: Path) -> NDArray[Any]:
    """What a framework computes from a file of weights, in a worker: the network's output for the
    images in a .npy file."""
    out = images.with_name(f"output-{row.name}.npy")
    call(
        row,
        "logits",
        path=str(path),
        architecture=architecture.to_json(),
        images=str(images),
        out=str(out),
    )
    found: NDArray[Any] = np.load(out)
    return found


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


def _compared(outputs: Outputs, what: str) -> list[str]:
    names = list(outputs)
    if len(names) < 2:
        return [f"{what} computed in {', '.join(names)} only, so not compared"]
    first, *others = names
    return [
        _sentence(f"{what} of {first} and {name}", _apart(outputs[first], outputs[name]), TOLERANCE)
        for name in others
    ]


def _apart(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The largest difference over the largest entry of the first; NaN where shapes differ."""
    if one.shape != other.shape:
        return float("nan")
    wide = one.astype(np.float64)
    return float(np.abs(wide - other).max() / np.abs(wide).max())


def _sentence(figure: str, apart: float, allowed: float, precision: str | None = None) -> str:
    """How far two outputs are apart. Raises UserError where that is more than is allowed."""
    figure = f"{figure} differ by {apart:.1e} of the largest"
    if not apart <= allowed:
        raise UserError(f"{figure}, more than {allowed:g}; nothing was written")
    why = f" where one computes in {precision}" if precision else ""
    return f"{figure} ({_IMAGES} random images; {allowed:g} is allowed{why})"
