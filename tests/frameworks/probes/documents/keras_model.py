"""The second document's Keras model, built by its numbers, and ours from the file it saves."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras.layers import (
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPooling2D,
)

from models_keras import AlexNet
from tests.frameworks.probes import documents


def the_documents() -> keras.Model:
    """Its layers, with weights and moments away from where they start."""
    keras.utils.set_random_seed(5)
    model = keras.Sequential([keras.Input((32, 32, 3))])
    for filters, kernel, stride, pool in (
        (96, 11, 4, True),
        (256, 5, 1, True),
        (384, 3, 1, False),
        (384, 3, 1, False),
        (256, 3, 1, True),
    ):
        model.add(Conv2D(filters, (kernel, kernel), strides=(stride, stride), padding="same"))
        model.add(BatchNormalization())
        model.add(Activation("relu"))
        if pool:
            model.add(MaxPooling2D(pool_size=(2, 2), strides=(2, 2), padding="same"))
    model.add(Flatten())
    for units in (4096, 4096, 1000):
        model.add(Dense(units))
        model.add(BatchNormalization())
        model.add(Activation("relu"))
        model.add(Dropout(0.4))
    model.add(Dense(10))
    model.add(BatchNormalization())
    model.add(Activation("softmax"))
    rng = np.random.default_rng(6)
    for layer in model.layers:
        if isinstance(layer, BatchNormalization):
            values = [rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()]
            layer.set_weights(values)
    return model


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    place = documents.folder() / f"{framework}.keras"
    theirs = the_documents()
    theirs.save(place)
    images = np.random.default_rng(7).random((4, 32, 32, 3), np.float32)
    ours = AlexNet("cifar-bn", weights=place)
    shares = keras.ops.softmax(ours(images, training=False))
    arrays = {
        "images": images,
        "theirs": np.array(theirs.predict(images, verbose=0)),
        "ours": np.array(keras.ops.convert_to_numpy(shares)),
    }
    return {
        "parameters": ours.count_params(),
        "own": theirs.count_params(),
    }, arrays
