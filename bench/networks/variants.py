"""The networks, a row each. Both frameworks build from these rows and from nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.core.errors import UserError, unknown
from bench.networks.architecture import (
    Architecture,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LocalResponseNorm,
    MaxPool,
    ReLU,
)

HEADS = ("source", "replace-last", "narrow", "pool-linear", "pool-narrow")
"""``source``: the network's own last layer, with as many units as there are classes.
``replace-last``: the last dense layer (and what follows it) is replaced by a new Dense(classes).
``narrow``: the last two are replaced by Dense(1024), ReLU, Dense(classes): the transfer article's.
``pool-linear``: Dense(classes) on the last pool replaces all dense layers, so that images may have
another size than the source's.
``pool-narrow``: the same with Dense(1024), ReLU, Dropout, Dense(classes)."""


@dataclass(frozen=True)
class Variant:
    """A network that can be asked for by name."""

    name: str
    source: str
    input_size: int
    classes: int
    """Number of classes of the source: the basis of ``parameters`` in ``alexbench list``."""
    layers: Callable[[int], tuple[Layer, ...]]
    trunk_of: str | None = None
    """Another network with convolutions of the same shapes, which a file of convolutions alone is
    taken for."""
    adaptive_pool: bool = False
    """Whether the source averages its last map to a fixed size, the identity at its own."""

    def architecture(
        self, classes: int | None = None, *, head: str = "source", input_size: int | None = None
    ) -> Architecture:
        """The rows for ``classes`` logits at ``input_size`` pixels, the source's own by default."""
        count = self.classes if classes is None else classes
        layers = _with_head(self.layers(count), head, count)
        size = self.input_size if input_size is None else input_size
        return Architecture(self.name, self.source, size, layers)


def _with_head(layers: tuple[Layer, ...], head: str, classes: int) -> tuple[Layer, ...]:
    if head not in HEADS:
        raise unknown("head", head, HEADS)
    if head == "source":
        return layers
    dense = [place for place, layer in enumerate(layers) if isinstance(layer, Dense)]
    flat = next(place for place, layer in enumerate(layers) if isinstance(layer, Flatten))
    if head == "replace-last":
        return (*layers[: dense[-1]], Dense("head", classes))
    if head == "pool-linear":
        return (*layers[: flat + 1], Dense("head", classes))
    hidden = (Dense("head1", 1024), ReLU("head1_relu"))
    if head == "narrow":
        return (*layers[: dense[-2:][0]], *hidden, Dense("head2", classes))
    return (*layers[: flat + 1], *hidden, Dropout("head1_dropout", 0.5), Dense("head2", classes))


def _cifar(norm: str) -> Callable[[int], tuple[Layer, ...]]:
    """The Keras tutorial's network for 32x32 images.

    ``norm`` is ``bn`` (a BatchNorm after each of its nine layers with weights, as in the tutorial),
    ``lrn`` (LRN where it stood in 2012, after the first two ReLUs), ``bn2`` (a BatchNorm in each of
    these two places, so that nothing else differs from ``lrn``) or ``none``.

    Its ``padding="same"`` is written out: at stride 4 an 11×11 kernel on 32 pixels is padded by
    (3, 4), not symmetrically. Its "same" 2×2 pools see even extents only and pad nothing.
    """

    def block(name: str, layer: Layer, *, relu: bool = True) -> Iterable[Layer]:
        yield layer
        if norm == "bn":
            yield BatchNorm(f"{name}_bn")
        if relu:
            yield ReLU(f"{name}_relu")
        if norm == "lrn" and name in ("conv1", "conv2"):
            yield LocalResponseNorm(f"{name}_lrn")
        if norm == "bn2" and name in ("conv1", "conv2"):
            yield BatchNorm(f"{name}_bn")

    def dense(name: str, units: int) -> Iterable[Layer]:
        yield from block(name, Dense(name, units))
        yield Dropout(f"{name}_dropout", 0.4)

    def layers(classes: int) -> tuple[Layer, ...]:
        return (
            *block("conv1", Conv("conv1", 96, 11, stride=4, padding=(3, 4))),
            MaxPool("pool1", 2, 2),
            *block("conv2", Conv("conv2", 256, 5, padding=(2, 2))),
            MaxPool("pool2", 2, 2),
            *block("conv3", Conv("conv3", 384, 3, padding=(1, 1))),
            *block("conv4", Conv("conv4", 384, 3, padding=(1, 1))),
            *block("conv5", Conv("conv5", 256, 3, padding=(1, 1))),
            MaxPool("pool5", 2, 2),
            Flatten("flatten"),
            *dense("dense1", 4096),
            *dense("dense2", 4096),
            *dense("dense3", 1000),
            *block("dense4", Dense("dense4", classes), relu=False),
        )

    return layers


def _cifar_3x3(width: int) -> Callable[[int], tuple[Layer, ...]]:
    """AlexNet's five convolutions and three overlapping pools on maps that images of 32 pixels
    still fill: 3×3 kernels at stride 1, ``width`` times 64 filters and then ``width`` times 256.

    Pools come before BatchNorm: a quarter of the values are left to normalise.
    """

    def conv(index: int, filters: int) -> Iterable[Layer]:
        yield Conv(f"conv{index}", width * filters, 3, padding=(1, 1))
        if index in (1, 2, 5):
            yield MaxPool(f"pool{index}", 3, 2)
        yield BatchNorm(f"conv{index}_bn")
        yield ReLU(f"conv{index}_relu")

    def layers(classes: int) -> tuple[Layer, ...]:
        return (
            *conv(1, 64),
            *conv(2, 256),
            *conv(3, 256),
            *conv(4, 256),
            *conv(5, 256),
            Flatten("flatten"),
            Dense("dense1", 1024),
            BatchNorm("dense1_bn"),
            ReLU("dense1_relu"),
            Dropout("dense1_dropout", 0.2),
            Dense("dense2", classes),
        )

    return layers


def _cifar_dense(classes: int) -> tuple[Layer, ...]:
    """The AlexNet of PyTorch's CIFAR collections with three dense layers
    (soapisnotfat/pytorch-cifar10, models/AlexNet.py): torchvision's numbers of filters, 3×3 kernels
    throughout, pools that do not overlap."""

    def conv(index: int, filters: int, stride: int = 1) -> list[Layer]:
        row = Conv(f"conv{index}", filters, 3, stride=stride, padding=(1, 1))
        return [row, ReLU(f"conv{index}_relu")]

    def dense(index: int) -> list[Layer]:
        name = f"dense{index}"
        return [Dropout(f"{name}_dropout", 0.5), Dense(name, 4096), ReLU(f"{name}_relu")]

    return (
        *conv(1, 64, stride=2),
        MaxPool("pool1", 2, 2),
        *conv(2, 192),
        MaxPool("pool2", 2, 2),
        *conv(3, 384),
        *conv(4, 256),
        *conv(5, 256),
        MaxPool("pool5", 2, 2),
        Flatten("flatten"),
        *dense(1),
        *dense(2),
        Dense("dense3", classes),
    )


def _cifar_linear(classes: int) -> tuple[Layer, ...]:
    """The AlexNet of PyTorch's CIFAR collections (bearpaw/pytorch-classification,
    models/cifar/alexnet.py): torchvision's five convolutions, pools that do not overlap, and one
    dense layer on the one pixel of 256 channels that is left."""

    def conv(index: int, filters: int, kernel: int, stride: int = 1, pad: int = 1) -> list[Layer]:
        row = Conv(f"conv{index}", filters, kernel, stride=stride, padding=(pad, pad))
        return [row, ReLU(f"conv{index}_relu")]

    return (
        *conv(1, 64, 11, stride=4, pad=5),
        MaxPool("pool1", 2, 2),
        *conv(2, 192, 5, pad=2),
        MaxPool("pool2", 2, 2),
        *conv(3, 384, 3),
        *conv(4, 256, 3),
        *conv(5, 256, 3),
        MaxPool("pool5", 2, 2),
        Flatten("flatten"),
        Dense("dense1", classes),
    )


def _imagenet_bn5(classes: int) -> tuple[Layer, ...]:
    """The single-tower network of most Keras tutorials and textbooks: the sizes of 2012 without
    groups, and a BatchNorm after the ReLU of every convolution."""

    def block(index: int, conv: Conv) -> Iterable[Layer]:
        yield conv
        yield ReLU(f"conv{index}_relu")
        yield BatchNorm(f"conv{index}_bn")
        if index in (1, 2, 5):
            yield MaxPool(f"pool{index}", 3, 2)

    return (
        *block(1, Conv("conv1", 96, 11, stride=4)),
        *block(2, Conv("conv2", 256, 5, padding=(2, 2))),
        *block(3, Conv("conv3", 384, 3, padding=(1, 1))),
        *block(4, Conv("conv4", 384, 3, padding=(1, 1))),
        *block(5, Conv("conv5", 256, 3, padding=(1, 1))),
        Flatten("flatten"),
        *_dense_after(1, 4096),
        *_dense_after(2, 4096),
        Dense("dense3", classes),
    )


def _imagenet(norm: str) -> Callable[[int], tuple[Layer, ...]]:
    """The network of Krizhevsky et al. 2012 as BVLC trained it, two groups in conv 2, 4 and 5.

    With ``norm="bn"`` a BatchNorm replaces each LRN in its place, so that nothing else differs.
    """
    normalise = {"lrn": LocalResponseNorm, "bn": BatchNorm}[norm]

    def block(index: int, conv: Conv) -> Iterable[Layer]:
        yield conv
        yield ReLU(f"conv{index}_relu")
        if index in (1, 2):
            yield normalise(f"conv{index}_{norm}")
        if index in (1, 2, 5):
            yield MaxPool(f"pool{index}", 3, 2)

    def layers(classes: int) -> tuple[Layer, ...]:
        return (
            *block(1, Conv("conv1", 96, 11, stride=4)),
            *block(2, Conv("conv2", 256, 5, padding=(2, 2), groups=2)),
            *block(3, Conv("conv3", 384, 3, padding=(1, 1))),
            *block(4, Conv("conv4", 384, 3, padding=(1, 1), groups=2)),
            *block(5, Conv("conv5", 256, 3, padding=(1, 1), groups=2)),
            Flatten("flatten"),
            *_dense_after(1, 4096),
            *_dense_after(2, 4096),
            Dense("dense3", classes),
        )

    return layers


def _dense_after(index: int, units: int) -> Iterable[Layer]:
    """Dense, ReLU, dropout 0.5: the order of the 2012 network."""
    yield Dense(f"dense{index}", units)
    yield ReLU(f"dense{index}_relu")
    yield Dropout(f"dense{index}_dropout", 0.5)


def _torchvision(classes: int) -> tuple[Layer, ...]:
    """torchvision/models/alexnet.py (Krizhevsky 2014, "One weird trick").

    Its adaptive average pool to 6×6 is the identity at 224 pixels and is left out.
    """

    def conv(index: int, filters: int, kernel: int, stride: int = 1, pad: int = 1) -> list[Layer]:
        row = Conv(f"conv{index}", filters, kernel, stride=stride, padding=(pad, pad))
        return [row, ReLU(f"conv{index}_relu")]

    return (
        *conv(1, 64, 11, stride=4, pad=2),
        MaxPool("pool1", 3, 2),
        *conv(2, 192, 5, pad=2),
        MaxPool("pool2", 3, 2),
        *conv(3, 384, 3),
        *conv(4, 256, 3),
        *conv(5, 256, 3),
        MaxPool("pool5", 3, 2),
        Flatten("flatten"),
        Dropout("dense1_dropout", 0.5),
        Dense("dense1", 4096),
        ReLU("dense1_relu"),
        Dropout("dense2_dropout", 0.5),
        Dense("dense2", 4096),
        ReLU("dense2_relu"),
        Dense("dense3", classes),
    )


_KERAS_TUTORIAL = "Keras BatchNorm AlexNet tutorial for CIFAR-10"
_KRIZHEVSKY = "Krizhevsky et al. 2012 as released by BVLC"

VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("cifar-bn", _KERAS_TUTORIAL, 32, 10, _cifar("bn")),
        Variant("cifar-lrn", f"{_KERAS_TUTORIAL}, 2 LRN for its 9 BN", 32, 10, _cifar("lrn")),
        Variant(
            "cifar-bn2", f"{_KERAS_TUTORIAL}, 2 BN where cifar-lrn has LRN", 32, 10, _cifar("bn2")
        ),
        Variant("cifar-plain", f"{_KERAS_TUTORIAL}, no normalisation", 32, 10, _cifar("none")),
        Variant(
            "cifar-3x3", "ours: AlexNet's rows for 32 pixels, with BatchNorm", 32, 10, _cifar_3x3(1)
        ),
        Variant(
            "cifar-3x3-wide",
            "ours: cifar-3x3 with twice as many filters",
            32,
            10,
            _cifar_3x3(2),
        ),
        Variant(
            "cifar-dense",
            "AlexNet of PyTorch's CIFAR collections, three dense layers",
            32,
            10,
            _cifar_dense,
        ),
        Variant(
            "cifar-linear",
            "AlexNet of PyTorch's CIFAR collections, one linear classifier",
            32,
            10,
            _cifar_linear,
            trunk_of="torchvision",
        ),
        Variant("imagenet-lrn", _KRIZHEVSKY, 227, 1000, _imagenet("lrn")),
        Variant("imagenet-bn", f"{_KRIZHEVSKY}, 2 BN for its 2 LRN", 227, 1000, _imagenet("bn")),
        Variant(
            "imagenet-bn5",
            "single tower of Keras tutorials and textbooks, 5 BN",
            227,
            1000,
            _imagenet_bn5,
            trunk_of="cifar-bn",
        ),
        Variant(
            "torchvision",
            "torchvision.models.alexnet (Krizhevsky 2014)",
            224,
            1000,
            _torchvision,
            adaptive_pool=True,
        ),
    )
}


def variant(name: str) -> Variant:
    """The row called ``name``; UserError with the known names when there is none."""
    if name not in VARIANTS:
        raise unknown("variant", name, VARIANTS)
    return VARIANTS[name]


def register(row: Variant) -> Variant:
    """Add a row at run time (for extensions and tests); its name must be new."""
    if row.name in VARIANTS:
        raise UserError(f"variant {row.name!r} exists already; give the new one another name")
    VARIANTS[row.name] = row
    return row
