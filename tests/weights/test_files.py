"""Files of weights whose contents cannot be trusted: declared sizes, nesting, pickles."""

import dataclasses
import json
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from bench.core.errors import UserError
from bench.networks.preprocessing import TORCHVISION
from bench.training import frameworks
from bench.training.frameworks import Framework
from bench.weights.files import read
from bench.weights.sources import fetch_weights, open_weights
from tests.support import weight_examples as examples


def test_without_pytorch_its_files_name_the_install_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for row in list(frameworks.FRAMEWORKS.values()):
        if ".pth" in row.suffixes:
            absent: Framework = replace(row, modules=("no_such_module",))
            monkeypatch.setitem(frameworks.FRAMEWORKS, row.name, absent)
    (tmp_path / "a.pth").write_bytes(b"anything")
    for call in (lambda: open_weights("a.pth"), fetch_weights):
        with pytest.raises(UserError, match=r"no_such_module not installed; pip install 'alexbe"):
            call()


def npz(path: Path, header: str, data: bytes = bytes(32)) -> Path:
    """An archive of one array, with any header."""
    text = header.encode("latin1")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data)
    return path


def header(shape: str = "(8,)", kind: str = "'<f4'") -> str:
    return f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}\n"


def test_the_headers_of_these_tests_can_be_read(tmp_path: Path) -> None:
    assert read(npz(tmp_path / "a.npz", header())).tensors["a"].shape == (8,)


@pytest.mark.parametrize(
    "text",
    [
        header("(1000000000000000000,)"),
        header("(2, 4)", "'<f8'"),
        header("(-1,)"),
        header("(8,", "'<f4'"),
        header("8"),
        header("('a',)"),
        header(kind="'no type'"),
        "{" * 5000,
        "[" * 9000 + "]" * 9000,
        "'" * 33,
        "",
    ],
)
def test_npz_headers_that_cannot_be_true_are_one_line(tmp_path: Path, text: str) -> None:
    refused(npz(tmp_path / "a.npz", text))


@pytest.mark.parametrize("suffix", [".npz", ".keras"])
def test_a_zip_member_cannot_declare_more_than_its_data_can_hold(
    tmp_path: Path, suffix: str
) -> None:
    path = npz(tmp_path / f"a{suffix}", header())
    content = bytearray(path.read_bytes())
    sizes = content.rindex(b"PK\x01\x02") + 24  # the size in the central directory
    content[sizes : sizes + 4] = struct.pack("<I", 1 << 30)
    path.write_bytes(content)
    assert "declares 1073741824 bytes" in refused(path)


def test_an_hdf5_dataset_cannot_declare_more_than_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv1/vars")
        group.create_dataset("0", (1 << 20, 1 << 20, 3, 8), "f")  # no element of it is stored
        group["1"] = np.ones(8, "f")
    assert "declares 105553116266496 bytes" in refused(path)
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv1/vars")
        group.create_dataset("0", (5, 5, 3, 8), "f")
        group["1"] = np.ones(8, "f")
    assert "and 0 are in the file" in refused(path)


@pytest.mark.parametrize("brackets", ["[" * 100_000, '{"a":' * 100_000])
def test_deep_nesting_in_safetensors_is_one_line(tmp_path: Path, brackets: str) -> None:
    path = examples.write(tmp_path / "a.safetensors", examples.weights(), alexbench=brackets)
    with pytest.raises(UserError, match=r"its facts \('alexbench'\) are not JSON") as caught:
        open_weights(str(path))
    assert "\n" not in str(caught.value)
    path.write_bytes(struct.pack("<Q", len(brackets)) + brackets.encode())
    refused(path)


@pytest.mark.parametrize("name", ["size", "stored"])
@pytest.mark.parametrize("size", [0, 100_000, 20.5, 10**400])
def test_an_image_size_out_of_range_is_refused(tmp_path: Path, size: float, name: str) -> None:
    how = dataclasses.asdict(TORCHVISION) | {name: size}
    facts = json.dumps({"variant": "mixed", "preprocessing": how})
    path = examples.write(tmp_path / "a.safetensors", examples.weights(), alexbench=facts)
    with pytest.raises(UserError, match="its facts say no preprocessing"):
        open_weights(str(path))


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: not a whole ")
    assert "\n" not in message
    assert len(message) < 600
    return message
