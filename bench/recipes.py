"""How a network is trained: optimiser, schedule, augmentation; a row each."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from bench import transfer, tutorials
from bench.errors import UserError
from bench.plan import Augmentation


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
    are not normalised, and the scale of what reads them decides the first epoch: Keras's own
    start is twice PyTorch's."""
    # What belongs to the recipe beside the training. None leaves it to the user and the profile;
    # a selection that says otherwise is a contradiction, and a UserError.
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
        """Whether it makes sense from pretrained weights alone, or is meant for them."""
        return self.frozen or self.trunk_rate != 1 or self.init == "pretrained"

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
        """The recipe with ``budget`` times the epochs; its name says so."""
        if not 0 < budget <= 1:
            raise UserError(f"budget {budget}: must be above 0 and at most 1")
        if budget == 1:
            return self
        name = f"{self.name}@{budget:g}"
        return dataclasses.replace(self, name=name, epochs=self.epochs * budget)

    def to_json(self) -> dict[str, Any]:
        """All settings, for a record."""
        return dataclasses.asdict(self)


def _fast(standard: Recipe) -> tuple[Recipe, Recipe]:
    """`cifar-bn` to 75 % on a CPU in little time, and the same for a look.

    Chosen on the validation split. After four epochs in batches of 256, padded by 2: 66.7 % with
    the rate 0.1, 65.9 % with 0.2, 65.4 % with smoothed labels; padded by 0, 67.5 %; in batches of
    128, 66.5 % and later. Six epochs at 0.05, padded by 4, end at 67.0 %, nine padded by 2 at
    72.7 %.
    """
    fast = dataclasses.replace(
        standard,
        name="fast",
        description="cifar-bn to 75 % on a CPU in little time: a high rate, larger batches",
        learning_rate=0.1,
        epochs=15,
        warmup=0.2,
        augmentation=Augmentation(padding=2, flip=True),
        batch_size=256,
        variant="cifar-bn",
    )
    look = dataclasses.replace(
        fast,
        name="fast-look",
        description="three epochs, beside the tutorials' loops",
        epochs=3,
        augmentation=Augmentation(flip=True),
        batch_size=None,
    )
    return fast, look


def _accurate(standard: Recipe) -> Recipe:
    """How far a network of this family comes on CIFAR-10; meant to reach 90 % on a GPU.

    On pictures that were JPEG at quality 75 all 24 epochs end at 88.2 % (``docs/performance.md``).
    Chosen on the validation split after four epochs: 81.3 % with 256 channels in conv 2 (and no
    hidden dense layer), 80.8 % with 128 (and 1.3 times the pictures a second); pools without
    overlap gain nothing for their cost (75.3 against 76.3 % on the way). Labels were smoothed for
    the length of the training; in a short one they cost (65.7 against 67.6 % on the way, at the
    rate 0.15).
    """
    return dataclasses.replace(
        standard,
        name="accurate",
        description="cifar-3x3 for 24 epochs: the most accurate from scratch; long on a CPU",
        learning_rate=0.1,
        epochs=24,
        warmup=0.2,
        label_smoothing=0.1,
        batch_size=256,
        variant="cifar-3x3",
    )


_STANDARD = Recipe(
    "standard",
    "crop and flip, cosine schedule: the reference training of the CIFAR networks",
    learning_rate=0.02,
    weight_decay=5e-4,
    schedule="cosine",
    warmup=0.1,
    epochs=16,
    augmentation=Augmentation(padding=4, flip=True),
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("steady", "constant rate, no augmentation: for measuring speed", learning_rate=0.01),
        Recipe(
            "short",
            "two epochs over a small set, for the quick profile",
            learning_rate=0.02,
            schedule="cosine",
            warmup=0.15,
            epochs=2,
            augmentation=Augmentation(padding=0, flip=True),
        ),
        _STANDARD,
        Recipe(
            "waterfall",
            "Adam with weight decay, no augmentation: frameworks differ in its eps and its decay",
            optimizer="adam",
            learning_rate=3e-4,  # at Adam's usual 1e-3 the network without BatchNorm may not start
            weight_decay=5e-4,
            epochs=2,
        ),
        *_fast(_STANDARD),
        _accurate(_STANDARD),
        *transfer.rows(Recipe),
        *tutorials.rows(Recipe),
    )
}


def recipe(name: str) -> Recipe:
    """The row called ``name``, shortened when a ``@budget`` stands behind it."""
    base, _, budget = name.partition("@")
    if base not in RECIPES:
        raise UserError(f"unknown recipe {base!r}; known: {', '.join(RECIPES)}")
    try:
        return RECIPES[base].shortened(float(budget)) if budget else RECIPES[base]
    except ValueError as error:
        raise UserError(f"recipe {name!r}: {budget!r} is not a number") from error
