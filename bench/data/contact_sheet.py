"""The contact sheet: a few images of every class, to check a dataset by eye."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bench.core.files import write_whole
from bench.data.dataset import SIDE, Dataset

_SCALE = 3  # screen pixels per image pixel
_CELL = SIDE * _SCALE
_GAP = 6
_MARGIN = 24
_HEADER = 62
_INK, _SOFT, _PAPER = (28, 28, 32), (112, 112, 120), (255, 255, 255)


def write_contact_sheet(dataset: Dataset, path: Path, per_class: int = 8) -> None:
    """A PNG at `path`: one row of `per_class` training images for each class, with its name.

    Images are spread evenly over the class, and enlarged without smoothing. The heading names
    dataset, sizes and the first 12 digits of the fingerprint. Raises ValueError for
    `per_class` below 1, OSError where the file cannot be written.
    """
    if per_class < 1:
        raise ValueError(f"per_class must be 1 or more. Received: {per_class}")
    title, label, small = (ImageFont.load_default(size) for size in (22, 16, 14))
    names = max(int(label.getlength(name)) for name in dataset.classes) + 16
    left = _MARGIN + names
    heading = (
        f"{len(dataset.train):,} training and {len(dataset.test):,} test images, "
        f"fingerprint {dataset.fingerprint[:12]}"
    )
    step = _CELL + _GAP
    grid = left + per_class * step - _GAP
    written = max(int(title.getlength(dataset.name)), int(small.getlength(heading))) + _MARGIN
    size = (max(grid, written) + _MARGIN, _MARGIN + _HEADER + len(dataset.classes) * step + 18)
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _MARGIN - 6), dataset.name, _INK, title)
    pen.text((_MARGIN, _MARGIN + 25), heading, _SOFT, small)
    for row, name in enumerate(dataset.classes):
        top = _MARGIN + _HEADER + row * step
        pen.text((left - 16, top + _CELL // 2), name, _INK, label, anchor="rm")
        for column, index in enumerate(_samples(dataset, row, per_class)):
            image = Image.fromarray(np.array(dataset.train.images[index]))
            whole = _CELL % dataset.side == 0  # else pixels would have several sizes
            how = Image.Resampling.NEAREST if whole else Image.Resampling.BILINEAR
            enlarged = image.resize((_CELL, _CELL), how)
            sheet.paste(enlarged, (left + column * step, top))
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = io.BytesIO()
    sheet.save(encoded, format="PNG")
    write_whole(path, encoded.getvalue())


def _samples(dataset: Dataset, label: int, count: int) -> list[int]:
    members = np.flatnonzero(dataset.train.labels == label)
    count = min(count, len(members))
    return [int(members[place * len(members) // count]) for place in range(count)]
