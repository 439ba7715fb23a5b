"""Pixels of images of any kind as upright 8-bit RGB, and in what an image differs from that.

`predict` and the class folders of a dataset convert alike.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageFile, features

SUFFIXES = (*(".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp", ".avif"),)
"""Suffixes of the formats that are read."""

FORMATS = (
    "BMP",
    "GIF",
    "JPEG",
    "PNG",
    "TIFF",
    "WEBP",
    *(("AVIF",) if features.check("avif") else ()),
)
"""Pillow's names of them."""
TURNED = "turned by EXIF"
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by its EXIF orientation."""
_ORIENTATION = 0x0112

_KINDS = {
    "1": "black and white (1 bit)",
    "L": "grey",
    "LA": "grey with alpha",
    "P": "a palette image",
    "PA": "a palette image with alpha",
    "RGBA": "RGB with alpha",
    "RGBX": "RGB with a fourth channel",
    "CMYK": "CMYK",
    "YCbCr": "YCbCr",
    "I": "16-bit grey",
    "I;16": "16-bit grey",
    "I;16L": "16-bit grey",
    "I;16B": "16-bit grey",
    "I;16N": "16-bit grey",
}
"""Pillow's modes that are converted, apart from RGB, with their labels."""


@dataclass
class Conversions:
    """What was converted, counted by kind over all images."""

    images: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, kinds: Iterable[str]) -> None:
        """Count an image that was converted for these reasons; none for one that was not."""
        found = [re.sub(r" \(\d+\)$", "", kind) for kind in kinds]  # without the number of frames
        self.images += bool(found)
        self.kinds.update(found)

    def summary(self) -> str:
        """One line; empty where nothing was converted."""
        if not self.images:
            return ""
        each = ", ".join(f"{count} {kind}" for kind, count in self.kinds.most_common())
        return (
            f"{self.images} {'image' if self.images == 1 else 'images'} converted to upright 8-bit "
            f"RGB: {each}"
        )

    def under_strict(self) -> str:
        """What ``--strict`` does to the converted images."""
        refused = self.kinds.keys() - {TURNED}
        if TURNED not in self.kinds:
            return "--strict refuses them"
        return f"--strict takes those turned as stored{' and refuses the others' * bool(refused)}"


Reopen = Callable[[], ImageFile.ImageFile]
"""Opens the same image again, to decode it with another layout."""


def differences(image: Image.Image) -> list[str]:
    """In what an image differs from plain 8-bit RGB, EXIF's orientation apart.

    Raises:
        ValueError: It cannot be converted, since the range of its pixels is unknown.
    """
    if image.mode not in (*_KINDS, "RGB") or (image.mode == "I" and not _raw16(image)):
        raise ValueError(f"pixels of kind {image.mode}; expected 8-bit RGB")
    if (_raw16(image) or "").endswith("S"):
        raise ValueError("signed 16-bit pixels, which have no white; expected 8-bit RGB")
    if any(_layout(tile[3]) == "I;12" for tile in getattr(image, "tile", ())):
        raise ValueError("12-bit pixels, which are not scaled; expected 8-bit RGB")
    found = [] if image.mode == "RGB" else [_KINDS[image.mode]]
    if _raw16(image) and not image.mode.startswith("I"):
        found.append("16 bits a channel")
    if image.has_transparency_data and image.mode not in ("LA", "PA", "RGBA"):
        found.append("with a transparent colour")
    if frames(image) > 1:
        found.append(f"animated or of several pages ({frames(image)})")
    return found


def frames(image: Image.Image) -> int:
    """Number of frames; 1 for JPEGs of phones that contain a preview or a depth map as well.

    Pillow calls that format MPO; its first frame is the photograph.
    """
    return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """What turns an image upright; None where it is, as TIFFs are when Pillow has loaded them."""
    if image.format == "TIFF":
        return None
    with suppress(Exception):  # damaged EXIF data changes no pixel
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    return None


def to_rgb(image: Image.Image, reopen: Reopen) -> Image.Image:
    """The image as 8-bit RGB: transparent pixels on white, 16 bits scaled to 8, the first frame."""
    raw = _raw16(image)
    if raw:
        image = _from_16_bits(image, reopen, raw)
    return _on_white(image)


def memory_to_rgb(image: Image.Image) -> Image.Image:
    """The same for an image in memory, of which RGB stays as it is.

    Raises:
        ValueError: It cannot be converted, since the range of its pixels is unknown.
    """
    if image.mode == "RGB":
        return image
    differences(image)
    if image.mode.startswith("I"):
        return Image.fromarray(_eight(np.asarray(image).astype(np.uint32))).convert("RGB")
    return _on_white(image)


def square(image: Image.Image, side: int) -> Image.Image:
    """The middle square, antialiased: the shorter side has ``side`` pixels afterwards."""
    shorter = min(image.size)
    left, top = (image.width - shorter) / 2, (image.height - shorter) / 2
    box = (left, top, left + shorter, top + shorter)
    return image.resize((side, side), Image.Resampling.BILINEAR, box=box)


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")


def _raw16(image: Image.Image) -> str | None:
    """The decoder's layout of 16-bit pixels (``RGB;16B``); None where they have 8 bits or fewer.

    Pillow keeps 16 bits of grey only. Of colours it silently drops the low byte, and only the
    decoder's layout shows that.
    """
    for tile in getattr(image, "tile", ()):
        layout = _layout(tile[3])
        if ";16" in layout:
            return layout
    return None


def _layout(arguments: Any) -> str:
    """The layout in a decoder's arguments, which are the layout or begin with it."""
    first = arguments[0] if isinstance(arguments, tuple | list) and arguments else arguments
    return first if isinstance(first, str) else ""


def _from_16_bits(image: Image.Image, reopen: Reopen, raw: str) -> Image.Image:
    """16 bits scaled to 8 and rounded: 65535 becomes 255 (dropping the low byte rounds down)."""
    if image.mode.startswith("I"):
        return Image.fromarray(_eight(np.asarray(image).astype(np.uint32)))
    if raw.startswith("LA"):
        # Four bytes a pixel, grey before alpha; Pillow has no layout for their low bytes.
        four = _decoded(reopen, "RGBA").astype(np.uint32)
        return Image.fromarray(_eight(four[..., 0::2] * 256 + four[..., 1::2]), "LA")
    big = not raw.endswith(("L", "N"))
    channels = raw.partition(";")[0]
    ends = [_decoded(reopen, f"{channels};16{end}").astype(np.uint32) for end in "BL"]
    high, low = ends if big else ends[::-1]
    return Image.fromarray(_eight(high * 256 + low), image.mode)


def _eight(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """round(v / 257): 65535 = 255 · 257."""
    return ((values + 128) // 257).astype(np.uint8)


def _decoded(reopen: Reopen, layout: str) -> np.ndarray[Any, Any]:
    """The pixels as decoded with another layout of as many bits."""
    with reopen() as image:
        image.tile = [_with_layout(tile, layout) for tile in image.tile]
        return np.asarray(image)


def _with_layout(tile: Any, layout: str) -> Any:
    *place, arguments = tile
    changed = layout if isinstance(arguments, str) else (layout, *arguments[1:])
    # A plain tuple before Pillow 11.
    return tile._replace(args=changed) if hasattr(tile, "_replace") else (*place, changed)
