"""Keras's :class:`bench.training.interfaces.InferenceModel`, on any backend, through
``predict_on_batch``."""

from __future__ import annotations

import keras
import numpy as np

from bench.training.interfaces import InferenceSetup, Outputs, PreparedImages
from models_keras import alexnet
from models_keras.backend import current
from models_keras.settings import use_precision


class KerasInference:
    """One network in evaluation mode."""

    def __init__(self, setup: InferenceSetup) -> None:
        backend = current()
        device = setup.device_kind
        backend.configure(setup.threads, device == "cpu", device, False)
        use_precision("float32")
        self._jit = backend.JIT
        # Compiled code is specialised for one shape: a partial batch is padded to a full one.
        self._full = setup.batch_size if self._jit else 0
        models = alexnet.build_closed(setup.architecture)
        alexnet.load_weights(models.evaluation, setup.architecture, setup.weights)
        self._network = models.evaluation
        self._embedding = setup.embedding
        wanted = models.outputs[setup.embedding] if setup.embedding else models.evaluation.output
        self._model = keras.Model(models.evaluation.input, wanted)
        self._model.compile(jit_compile=self._jit)

    def logits(self, images: PreparedImages) -> Outputs:
        """(B, 3, S, S) -> (B, classes)."""
        return self._rows(images)

    def embed(self, images: PreparedImages) -> Outputs:
        """By a sub-model from the images to the layer's output, compiled as the backend does."""
        return self._rows(images)

    def embed_by_slice(self, images: PreparedImages) -> Outputs:
        """By the network's layers, one called after the other up to the wanted one."""
        x = keras.ops.convert_to_tensor(_channels_last(images))
        first, *layers = self._network.layers
        assert isinstance(first, keras.layers.InputLayer)
        for layer in layers:
            x = layer(x, training=False)
            if layer.name == self._embedding:
                break
        return np.asarray(keras.ops.convert_to_numpy(x))

    def _rows(self, images: PreparedImages) -> Outputs:
        x = _channels_last(images)
        missing = max(self._full - len(x), 0)
        if missing:
            x = np.concatenate([x, np.zeros((missing, *x.shape[1:]), x.dtype)])
        return np.asarray(self._model.predict_on_batch(x))[: len(images)]


def _channels_last(images: PreparedImages) -> PreparedImages:
    """(B, 3, S, S) -> (B, S, S, 3)."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


def create(setup: InferenceSetup) -> KerasInference:
    """What ``bench.training.frameworks`` names; the backend is the one of this process."""
    return KerasInference(setup)
