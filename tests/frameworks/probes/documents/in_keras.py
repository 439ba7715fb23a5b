"""The documents with `models_keras.AlexNet`, as far as Keras can express them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from PIL import Image

from models_keras import AlexNet, decode_predictions
from tests.frameworks.probes import documents
from tests.frameworks.support import photos


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    place = documents.folder()
    facts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    model = AlexNet(weights=place / "alexnet.pth")
    paths = [place / name for name in ("whole.jpg", *list(photos.SIZES)[:2])]
    batch = np.stack([model.transforms(Image.open(path)) for path in paths])
    arrays["batch"] = batch.transpose(0, 3, 1, 2)
    single = batch[:1]
    logits = model.predict(single, verbose=0)
    arrays["scores"] = logits[0]
    arrays["probabilities"] = np.array(ops.convert_to_numpy(ops.softmax(logits[0])))
    (best,) = decode_predictions(logits, top=5, categories=model.categories)
    facts["top5"] = [(name, index, share) for index, name, share in best]
    arrays["slice"] = _sliced(model, single, "dense2_relu")
    inner = keras.Model(model.input, model.get_layer("dense2_relu").output)
    arrays["hook"] = inner.predict(single, verbose=0)
    arrays["mini-batch"] = model.predict(batch, verbose=0)
    _replaced_and_frozen(place, batch, facts, arrays)
    _others(place, arrays)
    return facts, arrays


def _sliced(model: Any, images: Any, last: str) -> Any:
    x = ops.convert_to_tensor(images)
    for layer in model.layers[1:]:
        x = layer(x, training=False)
        if layer.name == last:
            break
    return np.array(ops.convert_to_numpy(x))


def _replaced_and_frozen(
    place: Any, batch: Any, facts: dict[str, Any], arrays: dict[str, Any]
) -> None:
    reference = np.load(place / "head.npz")
    model = AlexNet(weights=place / "alexnet.pth", head="replace-last", classes=10)
    head = model.get_layer("head")
    head.set_weights([reference["weight"].T, reference["bias"]])
    arrays["new head"] = model.predict(batch, verbose=0)
    for layer in model.layers:
        layer.trainable = layer is head
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # the documents train a network in evaluation mode
    facts["trained"] = [variable.path for variable in model.trainable_variables]
    model.compile(
        keras.optimizers.SGD(documents.RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    arrays["frozen loss"] = np.array(model.train_on_batch(batch, np.arange(len(batch))))
    arrays["frozen weight"] = np.array(head.get_weights()[0].T)


def _others(place: Any, arrays: dict[str, Any]) -> None:
    images = np.load(place / "lrn.npy").transpose(0, 2, 3, 1)
    model = AlexNet("imagenet-lrn", weights=place / "lrn.pth")
    arrays["lrn"] = model.predict(images, verbose=0)
    inner = keras.Model(model.input, model.get_layer("conv2_lrn").output)
    arrays["lrn inside"] = inner.predict(images, verbose=0).transpose(0, 3, 1, 2)
    narrow = AlexNet(weights=place / "narrow.pth")
    given = documents.enlarged_and_cut(documents.step_images()).transpose(0, 2, 3, 1)
    arrays["narrow"] = narrow.predict(given, verbose=0)
    guide = AlexNet(weights=place / "guide.pth")
    small = np.load(place / "guide.npy").transpose(0, 2, 3, 1)
    arrays["guide"] = guide.predict(small, verbose=0)
