"""The transfer article's loop on a few images (PyTorch only)."""

from __future__ import annotations

import multiprocessing
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from bench.data.dataset import Split
from bench.networks.init import Weights, initial_weights
from bench.networks.variants import variant
from bench.networks.weight_names import TORCHVISION_NAMES
from models_torch.baselines.article_loop import ArticleLoop

CLASSES = 10
STEPS = 30


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    split, weights = _coloured(), _weights()
    loop = ArticleLoop(split, CLASSES, weights, workers=0)
    facts: dict[str, Any] = {
        "parameters": sum(p.numel() for p in loop.network.parameters()),
        "trained": sum(p.numel() for p in loop.network.parameters() if p.requires_grad),
        "started_from": _started_from(loop, weights),
        "dropout_active": any(
            m.training for m in loop.network.modules() if isinstance(m, nn.Dropout)
        ),
        "labels": split.labels.tolist(),
        "order": [int(label) for _, labels in loop.loader for label in labels],
    }
    called: list[None] = []
    facts["losses"] = loop.train(STEPS, lambda: called.append(None))
    facts["called"] = len(called)
    for name, workers in (("without_workers", 0), ("with_workers", 2)):
        torch.manual_seed(0)
        again = ArticleLoop(split, CLASSES, weights, seed=5, workers=workers)
        facts[name] = again.train(3, lambda: None)
    facts["children_left"] = len(multiprocessing.active_children())
    image, _ = loop.loader.dataset[1]
    return facts, {"image": image.numpy(), "expected_image": _prepared(split.images[1])}


def _coloured() -> Split:
    """Twenty images whose colour is their class."""
    rng = np.random.default_rng(0)
    labels = np.arange(20) % CLASSES
    images = rng.integers(0, 256, (CLASSES, 1, 1, 3))[labels] + rng.integers(
        -20, 20, (20, 32, 32, 3)
    )
    return Split(np.clip(images, 0, 255).astype(np.uint8), labels)


def _weights() -> Weights:
    return initial_weights(variant("torchvision").architecture(CLASSES, head="narrow"), 0)


def _started_from(loop: ArticleLoop, weights: Weights) -> list[str]:
    state = loop.network.state_dict()
    return [
        ours
        for theirs, ours in TORCHVISION_NAMES.items()
        if f"{ours}.weight" in weights
        and state[f"{theirs}.weight"].shape == weights[f"{ours}.weight"].shape
        and np.array_equal(state[f"{theirs}.weight"].numpy(), weights[f"{ours}.weight"])
    ]


def _prepared(image: Any) -> Any:
    """By hand: enlarged by Pillow, the middle, normalised."""
    large = Image.fromarray(image).resize((256, 256), Image.Resampling.BILINEAR)
    middle = np.asarray(large)[16:240, 16:240].astype(np.float64) / 255
    normalised = (middle - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return normalised.transpose(2, 0, 1)
