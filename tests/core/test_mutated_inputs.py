"""A few mutated inputs of every reader of untrusted data; `make reliability` tries a million."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import pytest

from tests.reliability.readers import READERS, Reader, accepted

INPUTS = 20
CHOSEN = [reader for reader in READERS if reader.name != "pth"]  # which needs PyTorch


@pytest.mark.parametrize("reader", CHOSEN, ids=[reader.name for reader in CHOSEN])
def test_an_input_is_taken_or_refused_in_one_line(reader: Reader, tmp_path: Path) -> None:
    seeds = reader.seeds()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of decoders, about damaged images
        assert any(accepted(reader, seed, tmp_path) for seed in seeds)
        for number in range(INPUTS):
            draw = random.Random(f"{reader.name} {number}")
            accepted(reader, reader.mutate(seeds, draw), tmp_path)
