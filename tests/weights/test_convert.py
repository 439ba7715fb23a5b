"""Weights between frameworks and forms: the bits, the outputs, and what is refused."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.networks.preprocessing import TORCHVISION
from bench.networks.pretrained import Facts
from bench.training.frameworks import FRAMEWORKS, REFERENCE
from bench.weights import convert as module
from bench.weights import outputs, sources
from bench.weights.convert import convert
from bench.weights.files import read
from bench.weights.outputs import WEIGHTS_ONLY, leading
from bench.weights.sources import open_weights
from tests.support.weight_examples import weights, write


def keras_layers(path: Path, layers: dict[str, list[NDArray[Any]]]) -> Path:
    """HDF5 as Keras lays it out."""
    with h5py.File(path, "w") as file:
        for name, arrays in layers.items():
            group = file.create_group(f"layers/{name}/vars")
            group.attrs["name"] = name
            for index, array in enumerate(arrays):
                group[str(index)] = array
    return path


def test_keras_files_that_do_not_fit_are_one_line(tmp_path: Path) -> None:
    conv = [np.ones((5, 5, 3, 8), "f"), np.ones(8, "f")]
    given: dict[str, Any] = {
        "a scaling has no place": {"conv1": conv, "normalization": [np.ones(3, "f")]},
        "conv1.weight is (8, 3, 4, 4)": {"conv1": [np.ones((4, 4, 3, 8), "f"), conv[1]]},
        "no weights in it": {},
    }
    message = [
        "layer normalization has the weights (3,): no convolution",
        "conv1.weight is",
        "no wei",
    ]
    for layers, wanted in zip(given.values(), message, strict=True):
        path = keras_layers(tmp_path / "wrong.weights.h5", layers)
        with pytest.raises(UserError) as caught:
            open_weights(str(path))
        assert wanted in str(caught.value)
        assert "\n" not in str(caught.value)


def test_weights_in_external_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(8 * 4))
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        group = file.create_group("layers/conv1/vars")
        group.create_dataset("0", (5, 5, 3, 8), "f")
        group.create_dataset("1", (8,), "f", external=[("secret", 0, 32)])
    with pytest.raises(UserError, match="keeps its weights in another file"):
        open_weights(str(tmp_path / "a.weights.h5"))


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("there.npz", "there.npz: is there already; give another name, or --force"),
        ("x.h5", "x.h5: .h5 is read and not written; take .keras or .weights.h5"),
        ("x.doc", "x.doc: unknown format of weights; known: .safetensors"),
        ("nowhere/x.npz", "nowhere: no such folder"),
        ("x.keras", "a .keras file holds a whole network, and part lacks conv2, conv2_bn, dense2;"),
    ],
)
def test_outputs_that_cannot_be_written_are_one_line(
    out: str, message: str, tmp_path: Path
) -> None:
    Path("there.npz").write_bytes(b"mine")
    write(tmp_path / "part.safetensors", weights("mixed", "conv1", "dense1"))
    with pytest.raises(UserError) as caught:
        convert("part.safetensors", Path(out))
    assert message in str(caught.value)
    assert Path("there.npz").read_bytes() == b"mine"


@pytest.mark.usefixtures("unproven")
def test_force_replaces_a_file_and_not_a_folder(mixed: Path) -> None:
    Path("out.npz").write_bytes(b"mine")
    convert(str(mixed), Path("out.npz"), force=True)
    assert open_weights("out.npz")[0].facts.variant == "mixed"
    Path("folder.npz").mkdir()
    with pytest.raises(UserError, match="is there already"):
        convert(str(mixed), Path("folder.npz"), force=True)


@pytest.mark.usefixtures("unproven")
def test_the_variant_of_the_user_is_written(tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors", weights("cifar-lrn", "conv1", "conv2"))
    with pytest.raises(UserError, match="--variant cifar-lrn"):
        convert("a.safetensors", Path("b.npz"))
    convert("a.safetensors", Path("b.npz"), named="cifar-plain")
    assert open_weights("b.npz")[0].facts.variant == "cifar-plain"


def test_different_outputs_leave_no_file(monkeypatch: pytest.MonkeyPatch, mixed: Path) -> None:
    def ask(row: Any, function: str, *, out: str, **_: Any) -> dict[str, Any]:
        assert function == "logits"
        np.save(out, np.array([[1.0, 1.0 + 2e-5 * (row.name == REFERENCE)]]))
        return {}

    for row in list(FRAMEWORKS.values()):  # as if all were installed
        monkeypatch.setitem(FRAMEWORKS, row.name, replace(row, modules=("numpy",)))
    monkeypatch.setattr(outputs, "call", ask)
    with pytest.raises(UserError, match=r"logits of .* differ by 2\.0e-05 .*nothing was written"):
        convert(str(mixed), Path("out.npz"))
    assert not Path("out.npz").exists()


def test_changed_bits_leave_no_file(monkeypatch: pytest.MonkeyPatch, mixed: Path) -> None:
    def lossy(path: Path) -> Any:
        raw = read(path)
        return replace(raw, tensors={k: v.astype("float16") for k, v in raw.tensors.items()})

    monkeypatch.setattr(sources, "read", read)
    monkeypatch.setattr(module, "read", lossy)
    with pytest.raises(UserError, match="not read back"):
        convert(str(mixed), Path("out.npz"))
    assert not Path("out.npz").exists()


def test_a_full_disk_is_one_line_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, mixed: Path, tmp_path: Path
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=r"out\.npz: cannot be written \(the disk is full\)"):
        convert(str(mixed), Path("out.npz"))
    assert {*tmp_path.iterdir()} - {*before} <= {tmp_path / "cache"}


def test_missing_frameworks_are_named(monkeypatch: pytest.MonkeyPatch, mixed: Path) -> None:
    for row in list(FRAMEWORKS.values()):
        monkeypatch.setitem(FRAMEWORKS, row.name, replace(row, modules=("no_such_module",)))
    message = convert(str(mixed), Path("out.npz"))
    assert message[0] == "12 tensors read back, all bits equal"
    assert [s.split(":")[0] for s in message[1:3]] == [
        "not verified in pytorch",
        "not verified in keras-tensorflow",
    ]
    assert message[-1] == WEIGHTS_ONLY
    with pytest.raises(UserError, match=r"\.keras files: no_such_module not installed; pip"):
        convert(str(mixed), Path("out.keras"))


def test_partial_networks_are_compared_up_to_their_last_layer() -> None:
    def last_row(*layers: str) -> str | None:
        facts = Facts("x", "0" * 64, "imagenet-lrn", layers, TORCHVISION)
        found = leading(facts)
        return found.layers[-1].name if found else None

    convs = ("conv1", "conv2", "conv3", "conv4", "conv5")
    assert last_row(*convs) == "pool5"
    assert last_row(*convs, "dense1") == "dense1_dropout"
    assert last_row("conv1") == "pool1"
    assert last_row("conv2") is None
