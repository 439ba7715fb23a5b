"""The contact sheet shows the images of each class in the class's own row."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data import dataset
from bench.data.contact_sheet import write_contact_sheet
from bench.data.dataset import Dataset, Split


def plain_colours(per_class: int, names: tuple[str, ...] = ("red", "green", "blue")) -> Dataset:
    """Class k holds images whose channel k has some value over 100 and the others none."""
    labels = np.tile(np.arange(3, dtype=np.int64), per_class)
    images = np.zeros((len(labels), 32, 32, 3), np.uint8)
    for number, label in enumerate(labels):
        images[number, :, :, label] = 100 + number
    split = Split(images, labels)
    return dataset.describe_pixels("plain colours", names, split, split)


def cells(path: Path) -> dict[int, list[int]]:
    """The values of the full cells that are found on the sheet, by channel, in reading order."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        sheet = np.asarray(image.convert("RGB")).astype(int)
    found: dict[int, list[int]] = {}
    for channel in range(3):
        others = np.delete(sheet, channel, axis=2).max(axis=2)
        values, counts = np.unique(
            sheet[..., channel][(others == 0) & (sheet[..., channel] >= 100)], return_counts=True
        )
        assert set(counts.tolist()) <= {(32 * 3) ** 2}
        found[channel] = values.tolist()
    return found


def test_each_class_shows_its_own_images_spread_over_the_class(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sheet.png"
    write_contact_sheet(plain_colours(12), path, per_class=4)
    assert cells(path) == {k: [100 + 3 * place + k for place in (0, 3, 6, 9)] for k in range(3)}


def test_rows_follow_the_order_of_the_classes(tmp_path: Path) -> None:
    write_contact_sheet(plain_colours(2), tmp_path / "sheet.png", per_class=2)
    with Image.open(tmp_path / "sheet.png") as image:
        sheet = np.asarray(image).astype(int)
    tops = []
    for channel in range(3):
        others = np.delete(sheet, channel, axis=2).max(axis=2)
        tops.append(int(np.argwhere((others == 0) & (sheet[..., channel] >= 100))[0, 0]))
    assert tops == sorted(tops)
    assert len(set(tops)) == 3


def test_class_with_few_images_shows_them_all(tmp_path: Path) -> None:
    write_contact_sheet(plain_colours(2), tmp_path / "sheet.png", per_class=8)
    assert {len(values) for values in cells(tmp_path / "sheet.png").values()} == {2}


def test_long_class_names_widen_the_sheet_and_every_text_is_drawn(tmp_path: Path) -> None:
    names = ("red", "green", "a class with a rather long name, as folders may have")
    widths = []
    for number, classes in enumerate((("red", "green", "blue"), names)):
        path = tmp_path / f"{number}.png"
        write_contact_sheet(plain_colours(8, classes), path)
        with Image.open(path) as image:
            widths.append(image.width)
            border = np.asarray(image)[:, :10]
        assert (border == 255).all()  # nothing runs off the left edge
    assert widths[1] > widths[0] + 150


def test_a_sheet_needs_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Received: 0"):
        write_contact_sheet(plain_colours(1), tmp_path / "sheet.png", per_class=0)
