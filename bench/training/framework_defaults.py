"""The defaults of each framework, as data; no framework is imported here.

One row per family of frameworks, named by the rows of :mod:`bench.training.frameworks`. The tests
compare every number with the installed framework.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BatchNormDefaults:
    """Constants of the framework's batch normalisation, defined as in
    :mod:`bench.networks.architecture`."""

    eps: float
    momentum: float
    """Weight of the old running value."""
    unbiased: bool
    """Whether the running variance divides by n - 1."""


@dataclass(frozen=True)
class LrnDefaults:
    """Constants of local response normalisation, alpha divided by the size as in
    :mod:`bench.networks.architecture`."""

    alpha: float
    beta: float
    k: float
    size: int | None = None
    """None where the framework has no default: then the network's own."""


@dataclass(frozen=True)
class FrameworkDefaults:
    """A framework's defaults, stage by stage of :data:`bench.training.defaults.STAGES`."""

    batch_norm: BatchNormDefaults
    lrn: LrnDefaults
    words: dict[str, str]
    """A description of its default for every stage."""
    already: frozenset[str]
    """The stages at which the default is the shared value, or where there is nothing to switch.
    Whether the constants of BatchNorm and LRN are the shared ones follows from the network."""


TORCH = FrameworkDefaults(
    # torch/nn/modules/batchnorm.py: eps=1e-5, momentum=0.1 (weight of the new value); the kernel
    # keeps the unbiased variance.
    BatchNormDefaults(eps=1e-5, momentum=0.9, unbiased=True),
    # torch/nn/modules/normalization.py: LocalResponseNorm(size, alpha=1e-4, beta=0.75, k=1.0),
    # alpha divided by size.
    LrnDefaults(alpha=1e-4, beta=0.75, k=1.0),
    words={
        # torch/nn/modules/conv.py and linear.py, reset_parameters: kaiming_uniform_(a=sqrt(5)),
        # which is uniform within ±1/sqrt(fan_in), for the bias as well.
        "initialisation": "uniform ±1/√fan_in, biases too",
        "bn-eps": "1e-5",
        "bn-momentum": "0.9",
        "bn-variance": "n − 1",
        # torch/optim/adam.py: grad = grad.add(param, alpha=weight_decay)
        "weight-decay": "L2 in the gradient",
        "lrn": "alpha 1e-4 ÷ size, beta 0.75, k 1",
        # torch/utils/data/dataloader.py: shuffle=None means False
        "shuffle": "one order, every epoch",
        "layout": "NCHW",
        "precision": "float32 on a CPU",
        # torch/optim/adam.py: eps=1e-8, denom = sqrt(v) / sqrt(1 - beta2^t) + eps
        "adam-eps": "1e-8 after the bias correction",
        # torch/optim/adam.py: fused=None means a loop of single operations on a CPU
        "fused-update": "an operation at a time",
    },
    already=frozenset({"weight-decay", "precision", "adam-eps"}),
)

KERAS = FrameworkDefaults(
    # keras/src/layers/normalization/batch_normalization.py: momentum=0.99 (weight of the old
    # value), epsilon=1e-3; ops.moments gives the biased variance.
    BatchNormDefaults(eps=1e-3, momentum=0.99, unbiased=False),
    # Keras has no such layer; its users find tf.nn.local_response_normalization
    # (tensorflow/python/ops/gen_nn_ops.py, lrn): depth_radius=5, bias=1, alpha=1, beta=0.5, alpha
    # not divided. Divided by a size of 11 it is 11.
    LrnDefaults(alpha=11.0, beta=0.5, k=1.0, size=11),
    words={
        # keras/src/layers/convolutional/base_conv.py and core/dense.py
        "initialisation": "Glorot-uniform, biases 0",
        "bn-eps": "1e-3",
        "bn-momentum": "0.99",
        "bn-variance": "n",
        # keras/src/optimizers/base_optimizer.py, _apply_weight_decay: w -= w * decay * rate
        "weight-decay": "decoupled: w −= rate · decay · w",
        "lrn": "TensorFlow's: radius 5, alpha 1, beta 0.5, k 1",
        # keras/src/trainers/trainer.py: fit(shuffle=True)
        "shuffle": "a new order every epoch",
        # keras/src/backend/config.py: image_data_format "channels_last"
        "layout": "NHWC",
        "precision": "float32 on a CPU",
        # keras/src/optimizers/adam.py: epsilon=1e-7; alpha = rate * sqrt(1 - b2^t) / (1 - b1^t),
        # w -= m * alpha / (sqrt(v) + epsilon)
        "adam-eps": "1e-7 before the bias correction",
        "fused-update": "no such setting",
    },
    already=frozenset({"shuffle", "layout", "precision", "fused-update"}),
)
