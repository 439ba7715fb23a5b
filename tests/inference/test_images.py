"""Files that are images, files that are not, and what --convert makes of the odd ones."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps, features
from PIL.TiffImagePlugin import SAMPLEFORMAT

from bench.core.errors import UserError
from bench.data.pixels import Conversions
from bench.inference.images import find_images, read_rgb
from tests.frameworks.support.photos import photograph

Array = NDArray[np.integer]


def refusal(path: Path, convert: bool = False) -> str:
    with pytest.raises(UserError) as caught:
        read_rgb(path, convert)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert "expected" in message or "make it smaller" in message
    return message.removeprefix(f"{path}: ")


def pixels(path: Path, convert: bool = True) -> Array:
    image = read_rgb(path, convert)
    assert image.mode == "RGB"
    return np.asarray(image)


def png16(array: Array, kind: int) -> bytes:
    """A PNG of 16 bits a channel, which Pillow cannot write; ``kind`` is PNG's colour type."""
    height, width = array.shape[:2]
    rows = array.astype(">u2").reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    return png(width, height, 16, kind, raw)


def png(width: int, height: int, bits: int, kind: int, raw: bytes) -> bytes:
    """A PNG file with any header; ``raw`` are its rows, each after a filter byte."""

    def chunk(name: bytes, data: bytes) -> bytes:
        whole = name + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff16(array: Array, order: str) -> bytes:
    """An RGB TIFF of 16 bits a channel, not compressed; ``order`` is "<" or ">"."""
    height, width, _ = array.shape
    data = array.astype(f"{order}u2").tobytes()
    tags = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, 3, None),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, None),
        (277, 3, 1, 3),
        (278, 3, 1, height),
        (279, 4, 1, len(data)),
    ]
    bits = 8 + 2 + 12 * len(tags) + 4
    places = {258: bits, 273: bits + 6}
    entries = b""
    for tag, kind, count, value in tags:
        wide = value is None or kind == 4
        value = places.get(tag, value)
        packed = struct.pack(f"{order}I" if wide else f"{order}Hxx", value)
        entries += struct.pack(f"{order}HHI", tag, kind, count) + packed
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(f"{order}I", 8) + struct.pack(f"{order}H", len(tags))
    return head + entries + b"\0\0\0\0" + struct.pack(f"{order}3H", 16, 16, 16) + data


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def small(mode: str) -> Image.Image:
    return photograph().resize((20, 24)).convert(mode)


ODD: dict[str, tuple[Callable[[], bytes], str]] = {
    "bits.png": (lambda: encoded(small("1"), "PNG"), "black and white (1 bit)"),
    "grey.jpg": (lambda: encoded(small("L"), "JPEG"), "grey"),
    "grey-alpha.png": (lambda: encoded(small("LA"), "PNG"), "grey with alpha"),
    "palette.gif": (lambda: encoded(small("P"), "GIF"), "a palette image"),
    "alpha.png": (lambda: encoded(small("RGBA"), "PNG"), "RGB with alpha"),
    "cmyk.jpg": (lambda: encoded(small("CMYK"), "JPEG"), "CMYK"),
    "grey16.png": (
        lambda: encoded(Image.fromarray(np.full((3, 4), 999, np.uint16)), "PNG"),
        "16-bit grey",
    ),
    "colour16.png": (lambda: png16(np.ones((3, 4, 3), np.uint16), 2), "16 bits a channel"),
    "colour16.tif": (lambda: tiff16(np.ones((3, 4, 3), np.uint16), "<"), "16 bits a channel"),
    "key.png": (
        lambda: encoded(small("RGB"), "PNG", transparency=(1, 2, 3)),
        "with a transparent colour",
    ),
    "moving.webp": (
        lambda: encoded(
            small("RGB"), "WEBP", save_all=True, append_images=[Image.new("RGB", (20, 24))]
        ),
        "animated or of several pages (2)",
    ),
    "moving.png": (
        lambda: encoded(
            small("RGB"), "PNG", save_all=True, append_images=[Image.new("RGB", (20, 24))]
        ),
        "animated or of several pages (2)",
    ),
    "pages.tif": (
        lambda: encoded(
            small("RGB"), "TIFF", save_all=True, append_images=[Image.new("RGB", (20, 24))]
        ),
        "animated or of several pages (2)",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_other_modes_than_rgb_are_named_in_the_error(tmp_path: Path, name: str) -> None:
    make, what = ODD[name]
    path = tmp_path / name
    path.write_bytes(make())
    message = refusal(path)
    assert message.startswith(what)
    assert "without --strict it is taken as RGB" in message
    assert ("first frame" in message) == ("animated" in what)
    assert pixels(path).shape[2] == 3


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("convert", [False, True])
def test_plain_rgb_is_unchanged(tmp_path: Path, kind: str, convert: bool) -> None:
    path = tmp_path / "named-as-one-likes"
    small("RGB").save(path, kind)
    with Image.open(path) as image:
        assert image.mode == "RGB"
        np.testing.assert_array_equal(pixels(path, convert), np.asarray(image))


def test_a_jpeg_with_a_preview_is_one_image(tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    small("RGB").save(path, "MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))])
    assert pixels(path, convert=False).shape == (24, 20, 3)


def turned(path: Path, orientation: int, kind: str = "PNG") -> Path:
    """A photograph that is stored turned, with the EXIF orientation that says so."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    small("RGB").save(path, kind, exif=exif)
    return path


def test_exif_rotation_is_ignored_as_in_torchvision_by_a_strict_reader(tmp_path: Path) -> None:
    path = turned(tmp_path / "turned.jpg", 6, "JPEG")
    assert pixels(path, convert=False).shape == (24, 20, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_images_are_turned_upright_by_exif(tmp_path: Path, orientation: int, kind: str) -> None:
    path = turned(tmp_path / "turned", orientation, kind)
    conversions = Conversions()
    found = read_rgb(path, True, conversions=conversions)
    with Image.open(path) as image:
        wanted = ImageOps.exif_transpose(image).convert("RGB")
    np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))
    said = orientation != 1 and kind == "PNG"  # Pillow turns a TIFF when it loads it
    assert conversions.images == said
    assert ("1 turned by EXIF" in conversions.summary()) == said


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")
def test_avif_is_read(tmp_path: Path) -> None:
    path = tmp_path / "photo.avif"
    small("RGB").save(path, "AVIF", quality=100, subsampling="4:4:4")
    apart = np.asarray(pixels(path), int) - np.asarray(small("RGB"), int)
    assert np.abs(apart).mean() < 3


def test_conversions_are_counted_by_kind(tmp_path: Path) -> None:
    conversions = Conversions()
    for name, (make, _) in ODD.items():
        (tmp_path / name).write_bytes(make())
        read_rgb(tmp_path / name, True, conversions=conversions)
    small("RGB").save(tmp_path / "plain.png")
    read_rgb(tmp_path / "plain.png", True, conversions=conversions)
    summary = conversions.summary()
    assert summary.startswith(f"{len(ODD)} images converted to upright 8-bit RGB: ")
    for words in ("3 animated or of several pages,", "1 CMYK", "2 16 bits a channel"):
        assert words in summary
    assert Conversions().summary() == ""


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    small("L").save(path)
    found = pixels(path)
    np.testing.assert_array_equal(found, np.asarray(small("L"))[..., None].repeat(3, axis=2))


def test_transparent_images_are_put_on_white(tmp_path: Path) -> None:
    path = tmp_path / "alpha.png"
    Image.fromarray(np.array([[[0, 0, 0, 0], [0, 100, 200, 255], [0, 0, 0, 51]]], np.uint8)).save(
        path
    )
    assert pixels(path)[0].tolist() == [[255] * 3, [0, 100, 200], [204] * 3]


def test_a_transparent_colour_becomes_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[[1, 2, 3], [9, 9, 9]]], np.uint8))
    image.save(tmp_path / "key.png", transparency=(1, 2, 3))
    assert pixels(tmp_path / "key.png")[0].tolist() == [[255] * 3, [9] * 3]
    image.convert("P").save(tmp_path / "key.gif", transparency=image.convert("P").getpixel((0, 0)))
    assert pixels(tmp_path / "key.gif")[0, 0].tolist() == [255] * 3


def test_the_first_frame_of_an_animation_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "moving.png"
    first, second = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    first.save(path, save_all=True, append_images=[second])
    assert pixels(path)[0, 0].tolist() == [255, 0, 0]


VALUES = np.array([0, 1, 128, 129, 255, 256, 385, 386, 32768, 65279, 65407, 65535], np.uint16)
EIGHT = np.round(VALUES / 257).astype(np.uint8)
"""None is in the middle between two: 257 is odd."""


def test_sixteen_bits_are_scaled_and_rounded(tmp_path: Path) -> None:
    assert not np.array_equal(EIGHT, VALUES >> 8), "values that tell the two apart"
    colour = np.stack([VALUES, VALUES[::-1], VALUES], axis=1).reshape(3, 4, 3)
    wanted = np.stack([EIGHT, EIGHT[::-1], EIGHT], axis=1).reshape(3, 4, 3)
    opaque = np.full((3, 4, 1), 65535, np.uint16)
    grey = VALUES.reshape(3, 4, 1)
    files = {
        "rgb.png": (png16(colour, 2), wanted),
        "rgba.png": (png16(np.concatenate([colour, opaque], axis=2), 6), wanted),
        "grey.png": (png16(grey, 0), EIGHT.reshape(3, 4, 1).repeat(3, axis=2)),
        "grey-alpha.png": (
            png16(np.concatenate([grey, opaque], axis=2), 4),
            EIGHT.reshape(3, 4, 1).repeat(3, axis=2),
        ),
        "little.tif": (tiff16(colour, "<"), wanted),
        "big.tif": (tiff16(colour, ">"), wanted),
    }
    for name, (content, expected) in files.items():
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(pixels(tmp_path / name), expected, err_msg=name)


def test_a_text_is_not_an_image(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("no image at all\n" * 100)
    assert refusal(path).startswith("not an image; expected PNG, JPEG, WEBP")


def test_an_unsupported_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ppm"
    small("RGB").save(path)
    assert refusal(path).startswith("not an image; expected PNG, JPEG, WEBP")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_truncated_file_is_not_a_whole_image(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / "half"
    whole = encoded(photograph().resize((128, 150)), kind)
    path.write_bytes(whole[: int(share * len(whole))])
    assert refusal(path, convert=True).startswith("not a")


def test_empty_files_folders_and_missing_files_have_errors_of_their_own(tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.touch()
    assert refusal(empty).startswith("an empty file")
    folder = tmp_path / "folder"
    folder.mkdir()
    assert refusal(folder).startswith("no image in this folder; expected *.bmp")
    assert refusal(tmp_path / "nothing").startswith("No such file")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert refusal(pipe).startswith("not a file")


def test_an_image_without_pixels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.gif"
    path.write_bytes(b"GIF89a\0\0\0\0\0\0\0,\0\0\0\0\0\0\0\0\0\x02\x02D\x01\0;")
    assert refusal(path).startswith(("0x0 pixels", "not a"))
    bitmap = tmp_path / "none.png"
    bitmap.write_bytes(encoded(Image.new("RGB", (1, 1)), "PNG").replace(b"\0\0\0\1" * 2, bytes(8)))
    assert refusal(bitmap).startswith(("0x0 pixels", "not a"))


@pytest.mark.parametrize("side", [15_000, 21_000])  # as Pillow: warned of, refused
def test_a_decompression_bomb_is_refused_unread(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side, bits=1, kind=0, raw=bytes(1000)))
    message = refusal(path, convert=True)
    assert message.startswith("more than 200,000,000 pixels, which may be a decompression bomb")
    assert "--max-pixels" in message


def test_large_images_are_read_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "scan.png"
    path.write_bytes(png(9_500, 9_500, bits=1, kind=0, raw=bytes(9_500 * (1 + 9_500 // 8 + 1))))
    before = Image.MAX_IMAGE_PIXELS
    assert read_rgb(path, True).size == (9_500, 9_500)  # Pillow's own limit is 89,478,485
    with pytest.raises(UserError, match="more than 90,000,000 pixels"):
        read_rgb(path, True, max_pixels=90_000_000)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_without_a_known_range_are_refused_with_convert(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "range.tif"
    Image.new(mode, (3, 3)).save(path)
    assert refusal(path, convert=True).startswith(f"pixels of kind {mode}; expected 8-bit RGB")


def test_signed_pixels_are_refused_with_convert(tmp_path: Path) -> None:
    """Of a map of heights, for example: below zero they would be the brightest."""
    path = tmp_path / "heights.tif"
    Image.new("I;16", (3, 3)).save(path, tiffinfo={SAMPLEFORMAT: 2})
    assert refusal(path, convert=True).startswith("signed 16-bit pixels")


def test_folders_are_replaced_by_their_images_in_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpeg", "notes.txt", ".hidden.png", "c.webp"):
        (tmp_path / name).touch()
    empty = tmp_path / "d.png"
    empty.mkdir()
    alone = tmp_path / "notes.txt"
    assert find_images([alone, tmp_path, empty, Path("nothing")]).paths == [
        alone,
        *(tmp_path / name for name in ("a.jpeg", "b.PNG", "c.webp", "d.png")),
        empty,
        Path("nothing"),
    ]


def tree(folder: Path) -> list[Path]:
    """A folder with images under odd names, other files, and a sub-folder."""
    names = ("b.png", "a.jfif", "photo", "\udce9t\udce9.png", "sub/c.png", "sub/deep/d.png")
    (folder / "sub" / "deep").mkdir(parents=True)
    for name in names:
        small("RGB").save(folder / name, "PNG")
    for name in ("notes.txt", "more.TXT", "film.mp4", ".hidden.png", "._b.png", ".DS_Store"):
        (folder / name).write_bytes(b"no image")
    return [folder / name for name in names]


def test_sub_folders_and_other_files_are_counted_and_named(tmp_path: Path) -> None:
    *here, _, _ = tree(tmp_path)
    found = find_images([tmp_path])
    assert sorted(found.paths) == sorted(here)
    assert {path.name for path in found.skipped} == {"notes.txt", "more.TXT", "film.mp4"}
    assert found.summary() == (
        "passed over: 3 files that are no image (2 .txt, 1 .mp4; --show-skipped) and 1 sub-folder "
        "(--recursive takes them)"
    )
    assert find_images(here).summary() == ""


def test_recursive_takes_sub_folders_and_no_circle(tmp_path: Path) -> None:
    paths = tree(tmp_path)
    (tmp_path / "sub" / "again").symlink_to(tmp_path)
    found = find_images([tmp_path], recursive=True)
    assert sorted(found.paths) == sorted(paths)
    assert not found.folders
    assert not found.links


def test_linked_folders_are_counted_and_unreadable_ones_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their images were left out, and the exit code was 0."""
    tree(tmp_path / "there")
    holiday = tmp_path / "holiday"
    (holiday / "closed").mkdir(parents=True)
    (holiday / "2025").symlink_to(tmp_path / "there")
    found = find_images([holiday], recursive=True)
    assert [path.name for path in found.links] == ["2025"]
    assert found.summary() == "passed over: 1 link to a folder (give the path of each)"
    scandir = os.scandir

    def refusing(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert holiday / "closed" in find_images([holiday], recursive=True).paths


def test_names_in_any_bytes_are_read(tmp_path: Path) -> None:
    tree(tmp_path)
    (odd,) = (path for path in find_images([tmp_path]).paths if "\udce9" in path.name)
    assert read_rgb(odd).size == (20, 24)


def test_a_folder_of_folders_says_what_looks_into_them(tmp_path: Path) -> None:
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    assert refusal(tmp_path / "outer").endswith("--recursive looks into its sub-folders")


def test_twelve_bits_are_refused_and_not_clipped(tmp_path: Path) -> None:
    entries = [
        (256, 4, 1, 2), (257, 4, 1, 2), (258, 3, 1, 12), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 2), (279, 4, 1, 6),
    ]  # fmt: skip
    data = bytes((0x80, 0x00, 0x10)) * 2  # two rows of two pixels
    head = b"II*\0" + struct.pack("<I", 8 + len(data)) + data
    table = struct.pack("<H", len(entries))
    table += b"".join(
        struct.pack("<HHI", *entry[:3])
        + (struct.pack("<HH", entry[3], 0) if entry[1] == 3 else struct.pack("<I", entry[3]))
        for entry in entries
    )
    path = tmp_path / "twelve.tif"
    path.write_bytes(head + table + bytes(4))
    with pytest.raises(UserError, match="12-bit pixels, which are not scaled"):
        read_rgb(path, convert=True)


def test_a_text_that_begins_as_a_bitmap_is_passed_over(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "real.png")
    Image.new("RGB", (2, 2)).save(tmp_path / "bitmap", "BMP")
    (tmp_path / "labels.csv").write_text("BMI,age,weight\n21,40,70\n")
    found = find_images([tmp_path])
    assert [path.name for path in found.paths] == ["bitmap", "real.png"]
    assert [path.name for path in found.skipped] == ["labels.csv"]


def test_a_link_that_cannot_be_followed_costs_one_line(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    found = find_images([tmp_path, tmp_path / ("x" * 300)], recursive=True)
    assert tmp_path / "a.png" in found.paths
    assert len(found.paths) == 2
