"""Keras behind :class:`bench.worker.serve.InferenceModel`, on any backend, through
``predict_on_batch``."""

from __future__ import annotations

import importlib

import keras
import numpy as np

from bench.training.interfaces import InferenceSetup, Outputs, PreparedImages
from models_keras import alexnet, precision
from models_keras.idiomatic import JIT


class KerasServer:
    """One network in evaluation mode."""

    def __init__(self, setup: InferenceSetup) -> None:
        backend = importlib.import_module(f"models_keras.step_{keras.backend.backend()}")
        backend.configure(setup.threads, deterministic=setup.device == "cpu")
        precision.use("float32")
        self._jit = JIT[keras.backend.backend()]
        # Compiled code is made for one shape: what is left at the end is filled up to a batch.
        self._full = setup.batch_size if self._jit else 0
        models = alexnet.build_closed(setup.architecture)
        alexnet.load_weights(models.evaluation, setup.architecture, setup.weights)
        self._network = models.evaluation
        self._embedding = setup.embedding
        wanted = models.outputs[setup.embedding] if setup.embedding else models.evaluation.output
        self._model = keras.Model(models.evaluation.input, wanted)
        self._model.compile(jit_compile=self._jit)

    def logits(self, pictures: PreparedImages) -> Outputs:
        """(B, 3, S, S) -> (B, classes)."""
        return self._rows(pictures)

    def embed(self, pictures: PreparedImages) -> Outputs:
        """By a sub-model from the pictures to the layer's output, compiled as the backend does."""
        return self._rows(pictures)

    def embed_by_slice(self, pictures: PreparedImages) -> Outputs:
        """By the network's layers, one called after the other up to the wanted one."""
        x = keras.ops.convert_to_tensor(_channels_last(pictures))
        first, *layers = self._network.layers
        assert isinstance(first, keras.layers.InputLayer)
        for layer in layers:
            x = layer(x, training=False)
            if layer.name == self._embedding:
                break
        return np.asarray(keras.ops.convert_to_numpy(x))

    def _rows(self, pictures: PreparedImages) -> Outputs:
        x = _channels_last(pictures)
        lacking = max(self._full - len(x), 0)
        if lacking:
            x = np.concatenate([x, np.zeros((lacking, *x.shape[1:]), x.dtype)])
        return np.asarray(self._model.predict_on_batch(x))[: len(pictures)]


def _channels_last(pictures: PreparedImages) -> PreparedImages:
    """(B, 3, S, S) -> (B, S, S, 3)."""
    return np.ascontiguousarray(pictures.transpose(0, 2, 3, 1))


def create(setup: InferenceSetup) -> KerasServer:
    """What ``bench.training.frameworks`` names; the backend is the one of this process."""
    return KerasServer(setup)
