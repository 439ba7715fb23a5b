"""A recipe: everything about training that is not the network, the data or the framework."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from bench.core.errors import UserError
from bench.data.batching import Augmentation

PIXELS = (None, "imagenet", "data")

_YOUNGER = {"dropout": True, "resize": None, "pixels": None}
"""Settings that the first records did not have, and their values then."""


@dataclass(frozen=True)
class Recipe:
    """Everything about training that is not the network, the data or the framework.

    The closed track computes exactly this arithmetic in every framework (SGD: weight decay as L2
    in the gradient, v = m·v + g, w -= lr·v, or lr·(g + m·v) with Nesterov; Adam: bias-corrected
    moments, eps outside the square root). The idiomatic track hands the numbers to each
    framework's own optimiser.
    """

    name: str
    description: str
    optimizer: str = "sgd"
    learning_rate: float = 0.02
    """The highest of the schedule."""
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 0.0
    eps: float = 1e-8
    """Adam's."""
    schedule: str = "constant"
    warmup: float = 0.0
    """Fraction of all steps over which the rate rises linearly from 0."""
    epochs: float = 1.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    label_smoothing: float = 0.0
    trunk_rate: float = 1.0
    """Fraction of the learning rate at which layers that came with pretrained weights are trained;
    their own optimum is far below that of a new head, and beyond it they forget."""
    zero_last: bool = False
    """Start the last layer from zeros where the weights do not have it: the first gradients that
    reach pretrained layers then are not those of a random head."""
    head_scale: float | None = None
    """New layers under pretrained ones start from the harness's seeded weights times this, in
    every framework and track; None leaves them to the track. Features of pretrained convolutions
    are not normalised, and the scale of the layer after them decides the first epoch: Keras's own
    start is twice PyTorch's."""
    dropout: bool = True
    """Whether dropout acts in training; False leaves the layers out."""
    resize: int | None = None
    """Side to which the whole image is enlarged, of which the middle ``input_size`` pixels are cut
    out; None enlarges it to ``input_size`` itself."""
    pixels: str | None = None
    """Whose mean and deviation images are normalised by: ``imagenet``, or ``data`` for those of the
    training set. None takes those of pretrained weights, and the training set's without."""
    # Fixed by the recipe in addition to the training. None leaves it to the user and the profile;
    # a selection that contradicts it is a UserError.
    frozen: bool = False
    """Only the layers that the pretrained weights do not have are trained."""
    input_size: int | None = None
    batch_size: int | None = None
    variant: str | None = None
    head: str | None = None
    init: str | None = None
    weights: str | None = None
    """The weight source that is taken when none is named; another one is no contradiction."""

    @property
    def starts_pretrained(self) -> bool:
        """Whether it is meant for pretrained weights."""
        return self.frozen or self.trunk_rate != 1 or self.init == "pretrained"

    def __post_init__(self) -> None:
        if self.pixels not in PIXELS:
            raise UserError(f"recipe {self.name}: unknown pixels {self.pixels!r}; known: {PIXELS}")

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of ``step`` (from 0) out of ``steps``."""
        if self.schedule == "constant":
            return self.learning_rate
        # A warm-up of n steps ends on the full rate; the first step already moves.
        rising = self.warmup * steps
        if step < rising:
            return self.learning_rate * (step + 1) / (math.floor(rising) + 1)
        progress = (step - rising) / max(steps - rising, 1)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))

    def shortened(self, budget: float) -> Recipe:
        """The recipe with ``budget`` times the epochs; its name ends in ``@`` and its share of the
        row's own epochs."""
        if not 0 < budget <= 1:
            raise UserError(f"budget {budget}: must be above 0 and at most 1")
        if budget == 1:
            return self
        row, _, share = self.name.partition("@")
        name = f"{row}@{budget * float(share or 1):g}"
        return dataclasses.replace(self, name=name, epochs=round(self.epochs * budget, 9))

    def to_json(self) -> dict[str, Any]:
        """All settings, for a record. Settings that older records lack are left out where they have
        the value that held then, so that old and new records of a recipe have equal settings."""
        found = dataclasses.asdict(self)
        if not self.augmentation.cutout:
            del found["augmentation"]["cutout"]
        return {k: v for k, v in found.items() if k not in _YOUNGER or v != _YOUNGER[k]}
