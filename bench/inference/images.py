"""Pictures that a user names: which files they are, and their pixels as 8-bit RGB, or why not.

What is not plainly such a picture is refused rather than guessed at: a network fed with a grey
or a half transparent picture would answer all the same. ``convert`` says that it is wanted.
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
"""What is taken from a folder; a file named by itself may be called as it likes."""

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_EXPECTED = "expected PNG, JPEG, WEBP, BMP, GIF or TIFF"
_CONVERT = "--convert takes it as RGB"

_KINDS = {
    "1": "black and white (1 bit)",
    "L": "grey",
    "LA": "grey with alpha",
    "P": "a palette picture",
    "PA": "a palette picture with alpha",
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
"""Pillow's modes that ``--convert`` takes, beside RGB."""


def image_paths(given: Iterable[Path]) -> Iterator[Path]:
    """Every picture that is meant, in the order given: files as they are, folders by what is in
    them, sorted. An empty folder stands for itself, so that reading it says what is wrong."""
    for path in given:
        yield from (_in_folder(path) or [path]) if path.is_dir() else [path]


def _in_folder(folder: Path) -> list[Path]:
    try:
        # A name with a dot in front is no picture: some systems keep their own data there.
        return sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
    except OSError:
        return []


def read_rgb(path: Path, convert: bool = False) -> Image.Image:
    """The picture in ``path``, of mode RGB, not rotated by its EXIF data (torchvision does not).

    With ``convert`` also what is grey, CMYK, of a palette, transparent (then on white), of 16 bits
    (then scaled to 8) or animated (then its first frame). Raises UserError that begins with the
    path and says in one line what is wrong and what would be right.
    """
    _check_file(path)
    try:
        # Pillow warns of bombs from a first limit on; what else it warns of changes no pixel.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as picture:
                _check_kind(path, picture, convert)
                return _rgb(path, picture)
    except UserError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise UserError(
            f"{path}: more than {Image.MAX_IMAGE_PIXELS:,} pixels, which may be a decompression "
            "bomb; make it smaller first"
        ) from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: not a picture; {_EXPECTED}") from None
    except Exception as error:  # damaged files raise nearly every type there is
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a whole picture ({reason}); {_EXPECTED}") from error


def _check_file(path: Path) -> None:
    try:
        found = path.stat()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"{path}: {reason}; expected a picture or a folder of pictures") from None
    except ValueError as error:  # a zero byte in the name
        raise UserError(f"{path!r}: {error}; expected a picture") from None
    if stat.S_ISDIR(found.st_mode):
        suffixes = ", ".join(f"*{suffix}" for suffix in SUFFIXES)
        raise UserError(f"{path}: no picture in this folder; expected {suffixes}")
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path}: not a file; expected a picture or a folder of pictures")
    if not found.st_size:
        raise UserError(f"{path}: an empty file; {_EXPECTED}")


def _check_kind(path: Path, picture: Image.Image, convert: bool) -> None:
    """Refuse what cannot be taken as RGB, or only when asked to."""
    width, height = picture.size
    if not width or not height:
        raise UserError(f"{path}: {width}x{height} pixels; expected at least one")
    if picture.mode not in (*_KINDS, "RGB") or (picture.mode == "I" and not _raw16(picture)):
        raise UserError(f"{path}: pixels of kind {picture.mode}; expected 8-bit RGB")
    odd = _oddities(picture)
    if odd and not convert:
        first = " (its first frame)" if _frames(picture) > 1 else ""
        raise UserError(f"{path}: {', '.join(odd)}; expected 8-bit RGB; {_CONVERT}{first}")


def _oddities(picture: Image.Image) -> list[str]:
    """What keeps a picture from being plain 8-bit RGB, in words."""
    mode = picture.mode
    found = [] if mode == "RGB" else [_KINDS[mode]]
    if _raw16(picture) and not mode.startswith("I"):
        found.append("16 bits a channel")
    if picture.has_transparency_data and mode not in ("LA", "PA", "RGBA"):
        found.append("with a transparent colour")
    if _frames(picture) > 1:
        found.append(f"animated or of several pages ({_frames(picture)})")
    return found


def _frames(picture: Image.Image) -> int:
    """Number of frames. Phones put a preview or a depth map behind a JPEG (Pillow calls that MPO):
    the first is the picture, and nothing moves."""
    return 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)


def _rgb(path: Path, picture: Image.Image) -> Image.Image:
    raw = _raw16(picture)
    if raw:
        picture = _from_16_bits(path, picture, raw)
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")


def _raw16(picture: Image.Image) -> str | None:
    """How the file stores pixels of 16 bits (``RGB;16B``), None where they have 8 or fewer.

    Pillow keeps 16 bits of grey only: of colours it drops the low byte without a word, and the
    decoder's own name of the layout is what tells.
    """
    for tile in getattr(picture, "tile", ()):
        layout = _layout(tile[3])
        if ";16" in layout:
            return layout
    return None


def _layout(arguments: Any) -> str:
    """Of a decoder's arguments, which are the layout or begin with it."""
    first = arguments[0] if isinstance(arguments, tuple | list) and arguments else arguments
    return first if isinstance(first, str) else ""


def _from_16_bits(path: Path, picture: Image.Image, raw: str) -> Image.Image:
    """8 bits for 16, rounded: 65535 becomes 255 (dropping the low byte would round down)."""
    if picture.mode.startswith("I"):
        return Image.fromarray(_eight(np.asarray(picture).astype(np.uint32)))
    if raw.startswith("LA"):
        # Four bytes a pixel, grey before alpha: Pillow has no name for their low bytes.
        four = _decoded(path, "RGBA").astype(np.uint32)
        return Image.fromarray(_eight(four[..., 0::2] * 256 + four[..., 1::2]), "LA")
    big = not raw.endswith(("L", "N"))
    channels = raw.partition(";")[0]
    ends = [_decoded(path, f"{channels};16{end}").astype(np.uint32) for end in "BL"]
    high, low = ends if big else ends[::-1]
    return Image.fromarray(_eight(high * 256 + low), picture.mode)


def _eight(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """round(v / 257): 65535 = 255 · 257."""
    return ((values + 128) // 257).astype(np.uint8)


def _decoded(path: Path, layout: str) -> np.ndarray[Any, Any]:
    """The pixels as they come out when the decoder is told another layout of as many bits."""
    with Image.open(path, formats=_FORMATS) as picture:
        picture.tile = [_told(tile, layout) for tile in picture.tile]
        return np.asarray(picture)


def _told(tile: Any, layout: str) -> Any:
    *place, arguments = tile
    told = layout if isinstance(arguments, str) else (layout, *arguments[1:])
    # A plain tuple before Pillow 11.
    return tile._replace(args=told) if hasattr(tile, "_replace") else (*place, told)
