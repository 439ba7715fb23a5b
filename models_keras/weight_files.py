"""Keras's own files of weights: written, tried. They are read without Keras, in
`bench.weights.hdf5`.

`bench.worker.client.call` runs these functions in a worker; paths are strings.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from bench.networks.architecture import Architecture
from bench.networks.pretrained import FACTS, FACTS_FILE, Pretrained
from models_keras.alexnet import build, load_weights
from models_keras.export import plain_model


def write(source: str, out: str) -> None:
    """Write prepared weights as a whole model (``.keras``) or as weights alone."""
    found = Pretrained.load(Path(source))
    architecture = found.facts.architecture()
    facts = json.dumps(found.facts.to_json())
    if out.endswith(".keras"):
        plain_model(architecture, found.tensors).save(out)
        with zipfile.ZipFile(out, "a") as archive:
            archive.writestr(FACTS_FILE, facts)
        return
    model = build(architecture)
    load_weights(model, architecture, found.tensors)
    model.save_weights(out)
    with h5py.File(out, "a") as file:
        file[FACTS] = facts


def logits(path: str, architecture: dict[str, Any], images: str, out: str) -> None:
    """Evaluate what a file holds on prepared images (npy, (B, 3, S, S)); write the output (npy).

    A ``.keras`` is loaded as it is, anything else into ``architecture``. A picture comes out as
    (B, C, H, W).
    """
    model = _model(path, Architecture.from_json(architecture))
    x = np.load(images).transpose(0, 2, 3, 1)
    y = keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(x), training=False))
    np.save(out, y.transpose(0, 3, 1, 2) if y.ndim == 4 else y)


def _model(path: str, architecture: Architecture) -> keras.Model:
    if path.endswith(".keras"):
        return keras.models.load_model(path)
    model = build(architecture)
    if path.endswith(".weights.h5"):
        model.load_weights(path)
        return model
    tensors = Pretrained.load(Path(path)).tensors
    wanted = architecture.weight_shapes() | architecture.statistic_shapes()
    load_weights(model, architecture, {name: tensors[name] for name in wanted})
    return model
