"""Image files of a user: which files are meant, and their pixels as 8-bit RGB.

Images of other kinds are converted and counted, so that one line can say what was converted; a
strict reader refuses them, since a network gives an output for a grey or half transparent one as
well.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from bench.core.errors import UserError
from bench.data.pixels import (
    FORMATS,
    SUFFIXES,
    TURNED,
    Conversions,
    differences,
    frames,
    to_rgb,
    turn_of,
)
from bench.inference.limits import MAX_PIXELS

_EXPECTED = "expected PNG, JPEG, WEBP, AVIF, BMP, GIF or TIFF"
_CONVERT = "without --strict it is taken as RGB"
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")


@dataclass(frozen=True)
class FoundImages:
    """The files that are meant.

    Attributes:
        paths: In the order given, those of a folder sorted.
        skipped: Other files in the folders, hidden ones apart.
        folders: Sub-folders that were not looked into.
        links: Links to folders elsewhere, which are not followed.
    """

    paths: list[Path]
    skipped: list[Path]
    folders: list[Path]
    links: list[Path] = field(default_factory=list)

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
        if self.links:
            words = "link to a folder" if len(self.links) == 1 else "links to folders"
            parts.append(f"{len(self.links)} {words} (give the path of each)")
        return f"passed over: {' and '.join(parts)}" if parts else ""


def find_images(given: Iterable[Path], recursive: bool = False) -> FoundImages:
    """All images: files in the order given, folders replaced by their images, sorted.

    A folder without images stays, so that reading it raises the error.
    """
    found = FoundImages([], [], [])
    for path in given:
        if not os.path.isdir(path):  # unlike the method of Path, never raises
            found.paths.append(path)
            continue
        before = len(found.paths)
        _look_into(path, recursive, found)
        if len(found.paths) == before:
            found.paths.append(path)
    return found


def _look_into(folder: Path, recursive: bool, found: FoundImages) -> None:
    try:
        with os.scandir(folder) as listed:
            # Some systems keep data of their own in hidden files with these suffixes.
            shown = [entry for entry in listed if not entry.name.startswith(".")]
    except OSError:
        found.paths.append(folder)  # reading it raises the error
        return
    for entry in sorted(shown, key=lambda entry: os.fsencode(entry.name)):
        path = folder / entry.name
        folder_there = os.path.isdir(path)
        if path.suffix.lower() in SUFFIXES and not (recursive and folder_there):
            found.paths.append(path)
        elif folder_there:
            if not recursive:
                found.folders.append(path)
            elif not entry.is_symlink():
                _look_into(path, recursive, found)
            elif not _leads_back(path):
                found.links.append(path)
        elif _looks_like_image(path):
            found.paths.append(path)
        else:
            found.skipped.append(path)


def _leads_back(link: Path) -> bool:
    """Whether a link leads to a folder that it is in, which is looked into anyway."""
    with suppress(OSError):
        return link.resolve() in link.parent.resolve().parents or link.samefile(link.parent)
    return True


def _looks_like_image(path: Path) -> bool:
    """Whether the first bytes are those of an image, whatever the name."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    if head.startswith(b"BM") and head[6:10] != bytes(4):  # reserved in a BMP; letters in a text
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
        with _limited(max_pixels), Image.open(path, formats=FORMATS) as image:
            kinds = _check_kind(path, image, convert)
            rgb = to_rgb(image, partial(Image.open, path, formats=FORMATS))
            turn = turn_of(image) if convert else None  # reads a PNG to its end, so it comes last
        if turn is not None:
            rgb, kinds = rgb.transpose(turn), [*kinds, TURNED]
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
    if "AVIF" in FORMATS or path.suffix.lower() != ".avif":
        return ""
    return "; this Pillow was built without AVIF: pip install 'pillow>=11.3'"


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
    try:
        found = differences(image)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    if found and not convert:
        first = " (its first frame)" if frames(image) > 1 else ""
        raise UserError(f"{path}: {', '.join(found)}; expected 8-bit RGB; {_CONVERT}{first}")
    return found
