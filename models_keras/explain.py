"""Keras's :data:`bench.training.interfaces.Explain` on any backend.

No library computes Grad-CAM on all of Keras's backends (docs/predict.md lists those that were
tried), so it is written with Keras's own layers: the network is cut at the layer, and the backend
differentiates the second half.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from bench.networks.resize import interpolation_matrix
from bench.training.interfaces import Explanation, InferenceSetup, PreparedImages
from models_keras import alexnet
from models_keras.backend import current
from models_keras.settings import use_precision

_EPSILON = 1e-7
"""Of the division by a map's largest value, as the library ``grad-cam`` has it."""


def explain(setup: InferenceSetup, images: PreparedImages, wanted: int | None) -> Explanation:
    """The network up to the layer, then the gradient of each image's class after it."""
    backend, device = current(), setup.device_kind
    backend.configure(setup.threads, device == "cpu", device, False)
    use_precision("float32")
    models = alexnet.build_closed(setup.architecture)
    alexnet.load_weights(models.evaluation, setup.architecture, setup.weights)
    layers = models.evaluation.layers
    cut = next(i for i, layer in enumerate(layers) if layer.name == setup.embedding) + 1
    x = ops.convert_to_tensor(np.ascontiguousarray(images.transpose(0, 2, 3, 1)))
    for layer in layers[1:cut]:
        x = layer(x, training=False)

    def rest(x: Any) -> Any:
        for layer in layers[cut:]:
            x = layer(x, training=False)
        return x

    best = _numpy(rest(x)).argmax(axis=1)
    classes = best if wanted is None else np.full(len(images), wanted)
    of_class = np.eye(setup.architecture.classes, dtype=np.float32)[classes]
    both = backend.forward_and_backward(rest)
    logits, gradient = both(x, ops.convert_to_tensor(of_class))
    maps = _maps(_numpy(x), _numpy(gradient), setup.architecture.input_size)
    return Explanation(np.asarray(_numpy(logits), np.float32), classes.astype(np.int64), maps)


def _maps(
    activations: NDArray[np.float32], gradients: NDArray[np.float32], size: int
) -> NDArray[np.float32]:
    """Maps and gradients, (B, h, w, C) both, to (B, S, S) between 0 and 1.

    Each channel's weight is the mean of its gradient over the places; negative sums become 0.
    """
    weights = gradients.mean(axis=(1, 2), keepdims=True)
    found = np.maximum((weights * activations).sum(axis=-1), 0)
    rows, columns = (interpolation_matrix(extent, size) for extent in found.shape[1:])
    enlarged = rows @ _scaled(found) @ columns.T
    return _scaled(enlarged).astype(np.float32)


def _scaled(maps: NDArray[Any]) -> NDArray[Any]:
    low = maps - maps.min(axis=(1, 2), keepdims=True)
    found: NDArray[Any] = low / (_EPSILON + low.max(axis=(1, 2), keepdims=True))
    return found


def _numpy(x: Any) -> NDArray[Any]:
    return np.array(ops.convert_to_numpy(x))
