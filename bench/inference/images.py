"""Image files of a user: which files are meant, and their pixels as 8-bit RGB.

Images of other kinds are converted and counted, so that one line can say what was converted; a
strict reader refuses them, since a network gives an output for a grey or half transparent one as
well.
"""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from bench.core.errors import UserError
from bench.inference.limits import MAX_PIXELS

SUFFIXES = (*(".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp", ".avif"),)
"""Suffixes of the files that are taken from a folder; others by their first bytes. A file given by
its path may have any."""

_FORMATS = (
    "BMP",
    "GIF",
    "JPEG",
    "PNG",
    "TIFF",
    "WEBP",
    *(("AVIF",) if features.check("avif") else ()),
)
_EXPECTED = "expected PNG, JPEG, WEBP, AVIF, BMP, GIF or TIFF"
_CONVERT = "without --strict it is taken as RGB"
_TURNED = "turned by EXIF"
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

_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")


@dataclass
class Conversions:
    """What was converted, counted by kind over the images of one call."""

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
            f"RGB: {each}; --strict refuses them"
        )


@dataclass(frozen=True)
class FoundImages:
    """The files that are meant.

    Attributes:
        paths: In the order given, those of a folder sorted.
        skipped: Other files in the folders, hidden ones apart.
        folders: Sub-folders that were not looked into.
    """

    paths: list[Path]
    skipped: list[Path]
    folders: list[Path]

    def summary(self) -> str:
        """One line about what was passed over; empty where that is nothing."""
        parts = []
        if self.skipped:
            suffixes = Counter(path.suffix.lower() or "no suffix" for path in self.skipped)
            kinds = ", ".join(f"{count} {name}" for name, count in suffixes.most_common(5))
            files = "file that is" if len(self.skipped) == 1 else "files that are"
            parts.append(f"{len(self.skipped)} {files} no image ({kinds}; --show-skipped)")
        if self.folders:
            word = "sub-folder" if len(self.folders) == 1 else "sub-folders"
            parts.append(f"{len(self.folders)} {word} (--recursive takes them)")
        return f"passed over: {' and '.join(parts)}" if parts else ""


def find_images(given: Iterable[Path], recursive: bool = False) -> FoundImages:
    """All images: files in the order given, folders replaced by their images, sorted.

    A folder without images stays, so that reading it raises the error.
    """
    found = FoundImages([], [], [])
    for path in given:
        if not path.is_dir():
            found.paths.append(path)
            continue
        before = len(found.paths)
        _look_into(path, recursive, found)
        if len(found.paths) == before:
            found.paths.append(path)
    return found


def image_paths(given: Iterable[Path]) -> Iterator[Path]:
    """Paths of all images, as `find_images` has them; sub-folders are skipped."""
    yield from find_images(given).paths


def _look_into(folder: Path, recursive: bool, found: FoundImages) -> None:
    try:
        with os.scandir(folder) as listed:
            # Some systems keep data of their own in hidden files with these suffixes.
            shown = [entry for entry in listed if not entry.name.startswith(".")]
    except OSError:
        return
    for entry in sorted(shown, key=lambda entry: os.fsencode(entry.name)):
        path = folder / entry.name
        if path.suffix.lower() in SUFFIXES and not (recursive and entry.is_dir()):
            found.paths.append(path)
        elif entry.is_dir():
            if not recursive:
                found.folders.append(path)
            elif not entry.is_symlink():  # a link may lead round in a circle
                _look_into(path, recursive, found)
        elif _looks_like_image(path):
            found.paths.append(path)
        else:
            found.skipped.append(path)


def _looks_like_image(path: Path) -> bool:
    """Whether the first bytes are those of an image, whatever the name."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    riff = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return head.startswith(_STARTS) or riff or head[4:12] in (b"ftypavif", b"ftypavis")


def read_rgb(
    path: Path,
    convert: bool = False,
    *,
    max_pixels: int = MAX_PIXELS,
    conversions: Conversions | None = None,
) -> Image.Image:
    """The image in a file, of mode RGB.

    Args:
        path: The file.
        convert: Whether to convert grey, CMYK, palette, transparent (on white), 16-bit (scaled to
            8) and animated (first frame) images, and to turn images by their EXIF orientation;
            else these are refused, and the orientation is ignored, as in torchvision.
        max_pixels: Larger images are refused before a pixel is decoded.
        conversions: Counts what was converted.

    Raises:
        UserError: It is not such an image; one line, which begins with the path.
    """
    _check_file(path)
    try:
        with _limited(max_pixels), Image.open(path, formats=_FORMATS) as image:
            kinds = _check_kind(path, image, convert)
            rgb = _rgb(path, image)
            turn = _turn(image) if convert else None  # reads a PNG to its end, so it comes last
        if turn is not None:
            rgb, kinds = rgb.transpose(turn), [*kinds, _TURNED]
        if conversions is not None:
            conversions.add(kinds)
        return rgb
    except UserError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise UserError(
            f"{path}: more than {max_pixels:,} pixels, which may be a decompression "
            "bomb; make it smaller first, or give a larger --max-pixels"
        ) from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: not an image; {_EXPECTED}{_without_avif(path)}") from None
    except Exception as error:  # damaged files raise nearly every type
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a whole image ({reason}); {_EXPECTED}") from error


@contextmanager
def _limited(max_pixels: int) -> Iterator[None]:
    """Pillow's limit of pixels set; what else it warns of changes no pixel."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _without_avif(path: Path) -> str:
    """A hint where the file is an AVIF and this Pillow was built without it."""
    if "AVIF" in _FORMATS or path.suffix.lower() != ".avif":
        return ""
    return "; this Pillow was built without AVIF: pip install 'pillow>=11.3'"


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What turns an image upright; None where it is, as TIFFs are when Pillow has loaded them."""
    if image.format == "TIFF":
        return None
    with suppress(Exception):  # damaged EXIF data changes no pixel
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    return None


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
        raise UserError(f"{path}: no image in this folder; expected {suffixes}{_sub_folders(path)}")
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path}: not a file; expected an image or a folder of images")
    if not found.st_size:
        raise UserError(f"{path}: an empty file; {_EXPECTED}")


def _sub_folders(folder: Path) -> str:
    """A hint where the images may be in sub-folders."""
    with suppress(OSError), os.scandir(folder) as entries:
        if any(entry.is_dir() for entry in entries):
            return "; --recursive looks into its sub-folders"
    return ""


def _check_kind(path: Path, image: Image.Image, convert: bool) -> list[str]:
    """In what an image differs from plain 8-bit RGB.

    Raises UserError for those that cannot be converted, and without ``convert`` for all that
    differ.
    """
    width, height = image.size
    if not width or not height:
        raise UserError(f"{path}: {width}x{height} pixels; expected at least one")
    if image.mode not in (*_KINDS, "RGB") or (image.mode == "I" and not _raw16(image)):
        raise UserError(f"{path}: pixels of kind {image.mode}; expected 8-bit RGB")
    odd = _oddities(image)
    if odd and not convert:
        first = " (its first frame)" if _frames(image) > 1 else ""
        raise UserError(f"{path}: {', '.join(odd)}; expected 8-bit RGB; {_CONVERT}{first}")
    return odd


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
