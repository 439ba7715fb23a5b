"""AlexNet for a user's own script: an ``nn.Module`` with the names of torchvision's.

The modules come from `models_torch.alexnet.build`, as those of the harness do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.core.errors import UserError
from bench.networks import architecture as spec
from bench.networks import library
from bench.networks.init import Weights
from bench.networks.preprocessing import Preprocessing
from models_torch.alexnet import STOCK, build


class AlexNet(nn.Module):
    """AlexNet: ``features``, ``avgpool`` and ``classifier``, as torchvision has them.

    (B, 3, S, S) float -> (B, classes) logits. ``state_dict`` has torchvision's names for the
    network ``torchvision``, and the same scheme for the others: ``imagenet-lrn`` has
    ``features.0, 4, 8, 10, 12`` and ``classifier.0, 3, 6``. Layers are those of ``torch.nn``.

    Args:
        variant: Name of the network: a row of ``alexbench list``.
        weights: None: PyTorch's initial values. ``"imagenet"``: torchvision's, for
            ``torchvision`` (``alexbench fetch weights`` downloads them). ``"bvlc"``: the
            convolutions of BVLC's, for ``imagenet-lrn``. Else the path of a file, of any format of
            docs/pretrained.md.
        include_top: Whether the dense layers are there. Without them the network gives the map of
            the last pool, (B, C, H, W).
        classes: Number of logits; None takes that of the weights, or of the source.
        input_size: Height and width of the images in pixels; None takes those of the weights, or of
            the source.
        head: ``source`` keeps the dense layers as they are (those of the weights, where they have
            other ones). ``replace-last`` puts a new last layer on them, ``narrow`` two, and
            ``pool-linear`` and ``pool-narrow`` a new head on the last pool. New layers have
            PyTorch's initial values.

    Attributes:
        categories: Names of the logits; empty where they are not known.
        preprocessing: Of the images that the weights were trained on, or what is usual for the
            network.
        layer_paths: Path of the module of each row: ``{"conv1": "features.0", …}``.

    Raises:
        UserError: A name is unknown, the arguments contradict each other or the weights, or the
            weights cannot be read (`bench.UserError`).

    Sources: Krizhevsky et al. 2012 (``imagenet-lrn``), Krizhevsky 2014 (``torchvision``); each row
    of ``alexbench list`` names its own.

    Example:
        >>> model = AlexNet("cifar-bn", classes=10).eval()
        >>> model(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 10])
    """

    def __init__(
        self,
        variant: str = "torchvision",
        weights: str | os.PathLike[str] | None = None,
        include_top: bool = True,
        classes: int | None = None,
        input_size: int | None = None,
        head: str = "source",
    ) -> None:
        super().__init__()
        chosen = library.choose(variant, weights, include_top, classes, input_size, head)
        rows = chosen.architecture
        modules = dict(build(rows, STOCK, initialise=not chosen.whole).named_children())
        flat = next((n for n, m in modules.items() if isinstance(m, nn.Flatten)), None)
        names = list(modules)
        end = names.index(flat) if flat else len(names)
        self.features = nn.Sequential(*(modules[name] for name in names[:end]))
        self.avgpool: nn.Module = nn.Identity()
        if chosen.pooled and flat:
            self.avgpool = nn.AdaptiveAvgPool2d(chosen.pooled)
        self.classifier = nn.Sequential(*(modules[name] for name in names[end + 1 :]))
        paths = {name: f"features.{i}" for i, name in enumerate(names[:end])}
        paths |= {name: f"classifier.{i}" for i, name in enumerate(names[end + 1 :])}
        own = {layer.name for layer in rows.layers}
        self.layer_paths = {name: path for name, path in paths.items() if name in own}
        self.categories, self.preprocessing = chosen.categories, chosen.preprocessing
        self._chosen = replace(chosen, weights={})  # else they would be held in memory twice
        self._load(chosen.weights)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, classes), or (B, C, H, W) without the top.

        Raises:
            UserError: The images have another size than the dense layers were built for.
        """
        size = self._chosen.architecture.input_size
        if self._chosen.has_top and not self._chosen.pooled and x.shape[1:] != (3, size, size):
            raise UserError(
                f"expected images of the shape (B, 3, {size}, {size}), channels first. Received: "
                f"{tuple(x.shape)}; another size is AlexNet(..., input_size=...)"
            )
        x = self.features(x)
        if not self._chosen.has_top:
            return x
        y: Tensor = self.classifier(torch.flatten(self.avgpool(x), 1))
        return y

    def get_layer(self, name: str) -> nn.Module:
        """The module of a row, ``conv1`` or ``dense2_relu``, as Keras's ``get_layer``.

        Raises:
            KeyError: The network has no such row, or it is the flattening.
        """
        return self.get_submodule(self.layer_paths[name])

    def transforms(self) -> Callable[[Any], Tensor]:
        """From a Pillow image to the network's input, (3, S, S) float32.

        A tensor of images is taken as well: (3, H, W) or (B, 3, H, W), uint8 or floats of 0 to 1.
        For torchvision's weights the result equals ``weights.transforms()`` to the bit.
        """
        return _Transforms(self.preprocessing)

    def _load(self, weights: Weights) -> None:
        state = self.state_dict()
        for name, array in weights.items():
            layer, _, part = name.rpartition(".")
            state[f"{self.layer_paths[layer]}.{part}"].copy_(torch.from_numpy(np.array(array)))


class _Transforms:
    """A class, not a closure: a DataLoader's workers may have to pickle it."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing

    def __call__(self, image: Any) -> Tensor:
        """(3, S, S) float32; (B, 3, S, S) of a tensor with a batch axis."""
        if isinstance(image, Tensor):
            return _prepared(image, self.preprocessing)
        return torch.from_numpy(library.prepared(image, self.preprocessing))

    def __repr__(self) -> str:
        return f"Transforms({self.preprocessing})"


def _prepared(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """The steps of torchvision's ``ImageClassification`` preset on tensors."""
    from torchvision.transforms import InterpolationMode, functional  # noqa: PLC0415  (a second)

    if images.ndim not in (3, 4) or images.shape[-3] != 3:
        raise UserError(
            "a tensor of images must be RGB, (3, H, W) or (B, 3, H, W). Received: the shape "
            f"{tuple(images.shape)}"
        )
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise UserError(
            f"a tensor of images must be uint8, or floats of 0 to 1. Received: {images.dtype}"
        )
    mean, std = preprocessing.in_unit
    how = InterpolationMode(preprocessing.interpolation)
    if preprocessing.stored is not None:
        stored = [preprocessing.stored] * 2
        x = functional.center_crop(images, [min(images.shape[-2:])])
        x = functional.resize(x, stored, interpolation=how, antialias=True)
        x = functional.convert_image_dtype(x, torch.float32)
        x = functional.normalize(x, list(mean), list(std))
        sides = [preprocessing.resize] * 2
        x = functional.resize(x, sides, interpolation=how, antialias=False)
        return functional.center_crop(x, [preprocessing.size])
    x = functional.resize(images, [preprocessing.resize], interpolation=how, antialias=True)
    x = functional.center_crop(x, [preprocessing.size])
    x = functional.convert_image_dtype(x, torch.float32)
    return functional.normalize(x, list(mean), list(std))


def save_weights(
    model: AlexNet, path: str | os.PathLike[str], categories: Iterable[str] = (), notes: str = ""
) -> None:
    """Save the weights of an `AlexNet` with architecture, preprocessing and class names.

    The file is one that `AlexNet` takes as ``weights`` here and in Keras, and that
    ``alexbench predict``, ``embed``, ``convert`` and ``run --weights`` take. A last layer that was
    replaced in place (``model.classifier[6] = nn.Linear(4096, 10)``) is saved as it is now.

    Args:
        model: The model.
        path: A ``.safetensors`` file, which is replaced.
        categories: Names of the logits; by default those of the weights it started from.
        notes: Provenance, for a reader.

    Raises:
        UserError: The suffix is another one, the model's layers are of no row any more, or there is
            another number of names than of logits.
        OSError: The file cannot be written.
    """
    parts = (model.features, model.classifier)
    shapes = [tuple(p.shape) for part in parts for p in part.parameters()]
    chosen = library.as_it_is_now(model._chosen, shapes)
    steps = chosen.architecture.steps()
    weighted = [step.layer for step in steps if step.layer.weights(step.before)]
    leaves = (module for part in parts for module in part.modules() if not any(module.children()))
    modules = [module for module in leaves if next(module.parameters(), None) is not None]
    found: dict[str, NDArray[Any]] = {}
    for layer, module in zip_longest(weighted, modules):
        found |= _tensors(layer, module)
    library.save(chosen, found, path, categories, notes)


def _tensors(layer: spec.Layer | None, module: nn.Module | None) -> dict[str, NDArray[Any]]:
    """The tensors of a row's layer, from the module that is there now."""
    names = ["weight", "bias"]
    if isinstance(layer, spec.BatchNorm):
        names += ["running_mean", "running_var"]
    state = {} if module is None else module.state_dict()
    if layer is None or not state.keys() >= set(names):
        where, there = (layer.name if layer else "no row"), type(module).__name__
        raise UserError(f"the layer of {where} is of the type {there} now; expected {names} in it")
    return {f"{layer.name}.{name}": state[name].cpu().numpy() for name in names}
