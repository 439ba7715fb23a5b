"""Preprocessing is equal to that of torchvision to the bit."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.inference.transforms import prepare
from bench.networks.preprocessing import TORCHVISION, Preprocessing
from tests.frameworks.support import photos
from tests.frameworks.support.client import ask_reference

MEAN, STD = TORCHVISION.mean, TORCHVISION.std
PRESETS = {
    "own": TORCHVISION,
    "padded": Preprocessing(MEAN, STD, size=227, resize=100),
    "small": Preprocessing(MEAN, STD, size=32, resize=33),
    "bicubic": Preprocessing(MEAN, STD, size=224, resize=256, interpolation="bicubic"),
}


@pytest.mark.parametrize("name", PRESETS)
def test_preprocessing_is_torchvisions_to_the_bit(name: str) -> None:
    answer = ask_reference("tutorial")
    paths = [Path(path) for path in answer.facts["paths"]]
    assert len(paths) == 1 + len(photos.SIZES)
    for path in paths:
        with Image.open(path) as image:
            found = prepare(image, PRESETS[name], path)
        expected = answer.arrays[f"{name}/{path.name}"]
        assert found.dtype == expected.dtype == np.float32
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, expected, err_msg=path.name)
