"""Image files of a user: which files are meant, and their pixels as 8-bit RGB.

Any other image is refused rather than guessed at, since a network gives an output for a grey or
half transparent one as well. ``convert`` asks for the conversion.
"""

from __future__ import annotations

import stat
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from bench.core.errors import UserError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Suffixes of the files that are taken from a folder; a file given by its path may have any."""

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_EXPECTED = "expected PNG, JPEG, WEBP, BMP, GIF or TIFF"
_CONVERT = "--convert takes it as RGB"

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
"""Pillow's modes that ``convert`` takes, apart from RGB, with their labels."""


def image_paths(given: Iterable[Path]) -> Iterator[Path]:
    """Paths of all images: files in the order given, folders replaced by their images, sorted.

    A folder without images stays, so that reading it raises the error.
    """
    for path in given:
        yield from (_in_folder(path) or [path]) if path.is_dir() else [path]


def _in_folder(folder: Path) -> list[Path]:
    try:
        # Some systems keep data of their own in hidden files with these suffixes.
        return sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
    except OSError:
        return []


def read_rgb(path: Path, convert: bool = False) -> Image.Image:
    """The image in a file, of mode RGB, not rotated by its EXIF data (as in torchvision).

    Args:
        path: The file.
        convert: Whether to convert grey, CMYK, palette, transparent (on white), 16-bit (scaled to
            8) and animated (first frame) images.

    Raises:
        UserError: It is not such an image; one line, which begins with the path.
    """
    _check_file(path)
    try:
        # Pillow warns of bombs from a first limit on; what else it warns of changes no pixel.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                _check_kind(path, image, convert)
                return _rgb(path, image)
    except UserError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise UserError(
            f"{path}: more than {Image.MAX_IMAGE_PIXELS:,} pixels, which may be a decompression "
            "bomb; make it smaller first"
        ) from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: not an image; {_EXPECTED}") from None
    except Exception as error:  # damaged files raise nearly every type
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a whole image ({reason}); {_EXPECTED}") from error


def _check_file(path: Path) -> None:
    try:
        found = path.stat()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"{path}: {reason}; expected an image or a folder of images") from None
    except ValueError as error:  # a zero byte in the name
        raise UserError(f"{path!r}: {error}; expected an image") from None
    if stat.S_ISDIR(found.st_mode):
        suffixes = ", ".join(f"*{suffix}" for suffix in SUFFIXES)
        raise UserError(f"{path}: no image in this folder; expected {suffixes}")
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path}: not a file; expected an image or a folder of images")
    if not found.st_size:
        raise UserError(f"{path}: an empty file; {_EXPECTED}")


def _check_kind(path: Path, image: Image.Image, convert: bool) -> None:
    """Refuse images that cannot be converted, and without ``convert`` all that are not RGB."""
    width, height = image.size
    if not width or not height:
        raise UserError(f"{path}: {width}x{height} pixels; expected at least one")
    if image.mode not in (*_KINDS, "RGB") or (image.mode == "I" and not _raw16(image)):
        raise UserError(f"{path}: pixels of kind {image.mode}; expected 8-bit RGB")
    odd = _oddities(image)
    if odd and not convert:
        first = " (its first frame)" if _frames(image) > 1 else ""
        raise UserError(f"{path}: {', '.join(odd)}; expected 8-bit RGB; {_CONVERT}{first}")


def _oddities(image: Image.Image) -> list[str]:
    """In what an image differs from plain 8-bit RGB."""
    mode = image.mode
    found = [] if mode == "RGB" else [_KINDS[mode]]
    if _raw16(image) and not mode.startswith("I"):
        found.append("16 bits a channel")
    if image.has_transparency_data and mode not in ("LA", "PA", "RGBA"):
        found.append("with a transparent colour")
    if _frames(image) > 1:
        found.append(f"animated or of several pages ({_frames(image)})")
    return found


def _frames(image: Image.Image) -> int:
    """Number of frames; 1 for JPEGs of phones that contain a preview or a depth map as well.

    Pillow calls that format MPO; its first frame is the photograph.
    """
    return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)


def _rgb(path: Path, image: Image.Image) -> Image.Image:
    raw = _raw16(image)
    if raw:
        image = _from_16_bits(path, image, raw)
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


def _from_16_bits(path: Path, image: Image.Image, raw: str) -> Image.Image:
    """16 bits scaled to 8 and rounded: 65535 becomes 255 (dropping the low byte rounds down)."""
    if image.mode.startswith("I"):
        return Image.fromarray(_eight(np.asarray(image).astype(np.uint32)))
    if raw.startswith("LA"):
        # Four bytes a pixel, grey before alpha; Pillow has no layout for their low bytes.
        four = _decoded(path, "RGBA").astype(np.uint32)
        return Image.fromarray(_eight(four[..., 0::2] * 256 + four[..., 1::2]), "LA")
    big = not raw.endswith(("L", "N"))
    channels = raw.partition(";")[0]
    ends = [_decoded(path, f"{channels};16{end}").astype(np.uint32) for end in "BL"]
    high, low = ends if big else ends[::-1]
    return Image.fromarray(_eight(high * 256 + low), image.mode)


def _eight(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """round(v / 257): 65535 = 255 · 257."""
    return ((values + 128) // 257).astype(np.uint8)


def _decoded(path: Path, layout: str) -> np.ndarray[Any, Any]:
    """The pixels as decoded with another layout of as many bits."""
    with Image.open(path, formats=_FORMATS) as image:
        image.tile = [_with_layout(tile, layout) for tile in image.tile]
        return np.asarray(image)


def _with_layout(tile: Any, layout: str) -> Any:
    *place, arguments = tile
    changed = layout if isinstance(arguments, str) else (layout, *arguments[1:])
    # A plain tuple before Pillow 11.
    return tile._replace(args=changed) if hasattr(tile, "_replace") else (*place, changed)
