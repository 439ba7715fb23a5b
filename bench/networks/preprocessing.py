"""The preprocessing of images that a set of weights was trained with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """(pixel in 0..``pixel_range`` - mean) / std, by channel, at ``size`` × ``size`` pixels."""

    mean: Triple
    """Red, green, blue; in the units of ``pixel_range``."""
    std: Triple
    size: int
    """Side of the square that the network takes."""
    resize: int
    """The shorter side is brought to this first; the middle square is then cut out."""
    pixel_range: float = 1.0
    """1 where pixels are divided by 255 first, 255 where they are not."""
    channel_order: str = "RGB"
    """In which the weights were published. Here they always take RGB: a source in BGR has the
    input channels of its first convolution turned round when it is read."""
    interpolation: str = "bilinear"
    stored: int | None = None
    """Side of the images of the training set, which the network enlarged on the device without
    antialiasing: the middle square of an image is brought to it first. None for weights of others,
    who resize images before the training."""

    @property
    def in_unit(self) -> tuple[Triple, Triple]:
        """Mean and deviation for pixels in 0..1, as trainers take them."""
        (a, b, c), (d, e, f), r = self.mean, self.std, self.pixel_range
        return (a / r, b / r, c / r), (d / r, e / r, f / r)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that :meth:`from_json` reads back."""
        found = dataclasses.asdict(self)
        if self.stored is None:
            del found["stored"]
        return found

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Preprocessing:
        """The preprocessing that :meth:`to_json` wrote."""
        fields: dict[str, Any] = {
            name: tuple(item) if isinstance(item, list) else item for name, item in value.items()
        }
        return cls(**fields)


# torchvision.models.AlexNet_Weights.IMAGENET1K_V1.transforms()
TORCHVISION = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), size=224, resize=256)
# The mean of BVLC's ImageNet training images; caffe/models/bvlc_alexnet cuts 227 out of 256.
BVLC = Preprocessing(
    (122.679, 116.669, 104.007), (1.0, 1.0, 1.0), size=227, resize=256, pixel_range=255.0
)
