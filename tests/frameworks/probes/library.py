"""The library's ``AlexNet`` in one framework: small networks, files, errors, the harness's own."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import UserError
from bench.networks.preprocessing import Preprocessing
from bench.networks.variants import VARIANTS
from bench.training.frameworks import framework as row_of
from tests.frameworks.support.networks import setup
from tests.frameworks.support.trainers import create, undrawn_weights

IMAGES = np.random.default_rng(2).normal(size=(2, 3, 32, 32)).astype(np.float32)
"""(B, 3, 32, 32)."""


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    keras = "keras" in row_of(framework).modules
    library = importlib.import_module("models_keras" if keras else "models_torch")
    place = Path(os.environ["PROBES"]) / "library"
    place.mkdir(exist_ok=True)
    os.environ["ALEXBENCH_CACHE"] = str(place.parent / "cache")
    output = _in_keras if keras else _in_torch
    arrays: dict[str, Any] = {}
    shared = place / "pytorch.safetensors"
    model = library.AlexNet("cifar-lrn", classes=4)
    own = place / f"{framework}.safetensors"
    library.save_weights(model, own, categories=["a", "b", "c", "d"])
    arrays["before"] = output(model, IMAGES)
    arrays["after"] = output(library.AlexNet("cifar-lrn", weights=own), IMAGES)
    loaded = library.AlexNet("cifar-lrn", weights=shared)
    arrays["loaded"] = output(loaded, IMAGES)
    trunk = library.AlexNet("cifar-lrn", weights=shared, include_top=False)
    arrays["map"] = output(trunk, IMAGES)
    arrays["library"], arrays["harness"] = _both(framework, library, output, shared)
    facts = {
        "signature": [
            [name, repr(p.default)]
            for name, p in inspect.signature(library.AlexNet).parameters.items()
        ],
        "categories": list(loaded.categories),
        "built": {name: _built(library, name, keras) for name in VARIANTS},
        "errors": _errors(library, shared, model),
    }
    if not keras:
        facts |= _heads(library, place) | _inputs(model) | {"tensors": _of_tensors(loaded)}
    return facts, arrays


def _in_torch(model: Any, images: Any) -> Any:
    import torch  # noqa: PLC0415

    with torch.no_grad():
        return model.eval()(torch.from_numpy(images)).numpy()


def _in_keras(model: Any, images: Any) -> Any:
    found = np.array(model.predict(images.transpose(0, 2, 3, 1), verbose=0))
    return found.transpose(0, 3, 1, 2) if found.ndim == 4 else found


def _built(library: Any, name: str, keras: bool) -> dict[str, Any]:
    if keras:
        with undrawn_weights():
            model = library.AlexNet(name)
        return {
            "parameters": sum(int(np.prod(v.shape)) for v in model.trainable_variables),
            "weighted": [layer.name for layer in model.layers if layer.trainable_variables],
        }
    import torch  # noqa: PLC0415

    with torch.device("meta"):  # shapes without memory
        model = library.AlexNet(name)
    weighted = [
        layer
        for layer, path in model.layer_paths.items()
        if next(model.get_submodule(path).parameters(), None) is not None
    ]
    return {"parameters": sum(p.numel() for p in model.parameters()), "weighted": weighted}


def _both(framework: str, library: Any, output: Callable[..., Any], file: Path) -> tuple[Any, Any]:
    """Logits of bytes as images: of the library's network, and of the closed track's trainer."""
    from bench.networks.pretrained import Pretrained  # noqa: PLC0415
    from bench.networks.variants import variant  # noqa: PLC0415

    rows = variant("cifar-lrn").architecture(4)
    given = setup(rows)
    trainer = create(framework, given)
    trainer.load_weights(Pretrained.load(file).tensors)
    stored = np.random.default_rng(3).integers(0, 256, (2, 32, 32, 3), np.uint8)
    prepared = (stored / 255 - given.mean) / given.std
    images = np.ascontiguousarray(prepared.transpose(0, 3, 1, 2).astype(np.float32))
    return output(library.AlexNet("cifar-lrn", weights=file), images), trainer.predict(stored)


def _errors(library: Any, file: Path, model: Any) -> dict[str, str]:
    make = library.AlexNet
    tried: dict[str, Callable[[], object]] = {
        "unknown variant": lambda: make("alexnet"),
        "unknown head": lambda: make(head="new"),
        "no such file": lambda: make(weights="nowhere.pth"),
        "classes of weights": lambda: make("cifar-lrn", weights=file, classes=10),
        "no imagenet weights": lambda: make("cifar-bn", weights="imagenet"),
        "size of weights": lambda: make("cifar-lrn", weights=file, input_size=64),
        "no class": lambda: make(classes=0),
        "other suffix": lambda: library.save_weights(model, "weights.pth"),
        "other names": lambda: library.save_weights(model, "w.safetensors", ["a", "b", "c"]),
    }
    return {name: _message(call) for name, call in tried.items()}


def _message(call: Callable[[], object]) -> str:
    try:
        call()
    except UserError as error:
        return str(error)
    return "no error"


def _heads(library: Any, place: Path) -> dict[str, Any]:
    """A user's own layers at the end of the network, saved."""
    from torch import nn  # noqa: PLC0415

    def saved(model: Any) -> list[Any]:
        library.save_weights(model, place / "head.safetensors")
        again = library.AlexNet("cifar-plain", weights=place / "head.safetensors")
        return [again._chosen.head, again._chosen.architecture.classes]

    one = library.AlexNet("cifar-plain")
    one.classifier[9] = nn.Linear(1000, 7)
    two = library.AlexNet("cifar-plain")
    two.classifier[6] = nn.Linear(4096, 1024)
    two.classifier[9] = nn.Linear(1024, 5)
    inside = library.AlexNet("cifar-plain")
    inside.classifier[9] = nn.Sequential(nn.Dropout(0.5), nn.Linear(1000, 6))
    whole = library.AlexNet("cifar-plain")
    whole.classifier = nn.Linear(whole.classifier[0].in_features, 3)
    wrong = library.AlexNet("cifar-plain")
    wrong.classifier[0] = nn.Linear(1024, 8)
    group = library.AlexNet("cifar-bn")
    norms = [i for i, layer in enumerate(group.features) if isinstance(layer, nn.BatchNorm2d)]
    group.features[norms[0]] = nn.GroupNorm(1, group.features[norms[0]].num_features)
    return {
        "replaced in place": saved(one),
        "replaced by two": saved(two),
        "replaced inside": saved(inside),
        "replaced as a whole": saved(whole),
        "of no row": _message(lambda: library.save_weights(wrong, place / "wrong.safetensors")),
        "of another type": _message(lambda: library.save_weights(group, place / "g.safetensors")),
    }


def _of_tensors(model: Any) -> list[float]:
    """The largest difference between a prepared tensor and the same Pillow image, for weights that
    were trained here on images of its size and of half of it."""
    import torch  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    y, x = np.mgrid[:40, :48]
    pixels = np.stack([4 * y, 3 * x, 2 * (x + y)], 2).astype(np.uint8)
    found = []
    for stored in (40, 20):
        model.preprocessing = Preprocessing((0.5,) * 3, (0.25,) * 3, 56, 60, stored=stored)
        one = model.transforms()(Image.fromarray(pixels))
        other = model.transforms()(torch.from_numpy(pixels).permute(2, 0, 1))
        assert one.shape == other.shape == (3, 56, 56)
        found.append(float((one - other).abs().max()))
    return found


def _inputs(model: Any) -> dict[str, str]:
    """What is said of wrong images."""
    import torch  # noqa: PLC0415

    pixels = torch.zeros(3, 32, 32, dtype=torch.int64)
    return {
        "size": _message(lambda: model(torch.zeros(2, 3, 64, 64))),
        "channels last": _message(lambda: model(torch.zeros(2, 32, 32, 3))),
        "whole numbers": _message(lambda: model.transforms()(pixels)),
    }
