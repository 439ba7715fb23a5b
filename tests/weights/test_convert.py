"""Weights between frameworks and forms: the bits, the outputs, and what is refused."""

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.networks.names import TORCHVISION_NAMES
from bench.networks.preprocessing import TORCHVISION
from bench.networks.pretrained import Facts, Pretrained
from bench.training.frameworks import FRAMEWORKS, REFERENCE
from bench.weights import convert as module
from bench.weights import sources
from bench.weights.convert import convert, leading
from bench.weights.facts import with_facts
from bench.weights.files import read
from bench.weights.sources import open_weights
from bench.worker import files as helper
from tests.frameworks.probes.client import each_keras, environment
from tests.support import weight_examples as examples
from tests.support.weight_examples import weights, write

FORMS = (".safetensors", ".npz", ".pth", ".keras", ".weights.h5")


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    examples.install(monkeypatch, tmp_path / "cache")
    monkeypatch.chdir(tmp_path)


def needs(*names: str) -> None:
    for name in names:
        if why := FRAMEWORKS[name].missing():
            pytest.skip(why)


@pytest.fixture
def unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    """No outputs are computed: for what does not concern them, since frameworks start slowly."""
    monkeypatch.setattr(module, "_check_outputs", lambda *_: [])


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A small network with a layer of every kind, and with facts of its own."""
    plain, _ = open_weights(str(write(tmp_path / "plain.safetensors", weights())))
    told = replace(
        plain.facts,
        name="mixed weights",
        categories=tuple("abcdef"),
        preprocessing=replace(TORCHVISION, size=20, resize=23),
        notes="noted",
    )
    path = tmp_path / "mixed.safetensors"
    Pretrained(told, plain.tensors).save(path)
    return path


def outputs(framework: str, path: Path, facts: Facts, folder: Path) -> NDArray[np.float32]:
    """What a framework makes of two random pictures."""
    size = facts.architecture().input_size
    np.save(folder / "in.npy", np.random.default_rng(5).normal(size=(2, 3, size, size)).astype("f"))
    helper.ask(
        FRAMEWORKS[framework],
        "logits",
        path=str(path),
        architecture=facts.architecture().to_json(),
        images=str(folder / "in.npy"),
        out=str(folder / "out.npy"),
    )
    found: NDArray[np.float32] = np.load(folder / "out.npy")
    return found


def apart(a: NDArray[Any], b: NDArray[Any]) -> float:
    assert a.shape == b.shape
    assert np.abs(a).max() > 0.01
    return float(np.abs(a.astype(np.float64) - b).max() / np.abs(a).max())


@pytest.mark.usefixtures("unproven")
def test_every_form_keeps_the_bits_and_the_facts(mixed: Path, tmp_path: Path) -> None:
    needs(REFERENCE, "keras-tensorflow")
    first, _ = open_weights(str(mixed))
    source = mixed
    for form in (*FORMS, ".safetensors"):  # each from the one before
        out = tmp_path / f"through{len(list(tmp_path.iterdir()))}{form}"
        convert(str(source), out)
        found = with_facts(read(out), out, first.facts.sha256)
        assert found.facts == first.facts, form
        assert {k: v.tobytes() for k, v in found.tensors.items()} == {
            k: v.tobytes() for k, v in first.tensors.items()
        }, form
        source = out
    assert not list(tmp_path.glob(".alexbench-*"))


def test_the_command_says_what_it_verified(mixed: Path, tmp_path: Path) -> None:
    needs(REFERENCE, "keras-tensorflow")
    command = [sys.executable, "-m", "bench", "convert", str(mixed), "out.keras"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    bits, logits, path = done.stdout.splitlines()
    assert bits == "12 tensors read back, all bits equal"
    assert logits.startswith("logits of pytorch and keras-tensorflow differ by ")
    assert float(logits.split(" by ")[1].split()[0]) <= 1e-5
    assert (path, (tmp_path / path).is_file()) == ("out.keras", True)


_ALONE = """
import sys
for name in ("bench", "models_keras", "models_torch"):
    sys.modules[name] = None
for name in sys.argv[4:]:
    sys.modules[name] = None
import keras, numpy as np
model = keras.models.load_model(sys.argv[1])
x = np.load(sys.argv[2]).transpose(0, 2, 3, 1)
np.save(sys.argv[3], model.predict(x, verbose=0))
assert not model.get_layer("conv1_lrn").trainable
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ``.keras`` of the small network, and PyTorch's outputs of it."""
    needs(REFERENCE, "keras-tensorflow")
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as monkeypatch:
        examples.install(monkeypatch, folder / "cache")
        monkeypatch.setattr(module, "_check_outputs", lambda *_: [])
        source = write(folder / "mixed.safetensors", weights())
        convert(str(source), folder / "mixed.keras")
        found, prepared = open_weights(str(source))
        np.save(folder / "wanted.npy", outputs(REFERENCE, prepared, found.facts, folder))
    return folder


@each_keras
def test_a_keras_file_needs_keras_alone(framework: str, exported: Path, tmp_path: Path) -> None:
    row = FRAMEWORKS[framework]
    names = ("mixed.keras", "in.npy")
    given = [*(str(exported / name) for name in names), str(tmp_path / "out.npy"), *row.blocked]
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, *given],
        cwd=tmp_path,
        env=environment(row) | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert apart(np.load(exported / "wanted.npy"), np.load(tmp_path / "out.npy")) < 1e-5


@pytest.fixture(scope="module")
def travelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """torchvision's network from ``.pth`` to ``.keras`` to ``.safetensors`` to ``.pth``."""
    needs(REFERENCE, "keras-tensorflow")
    folder = tmp_path_factory.mktemp("travelled")
    with pytest.MonkeyPatch.context() as monkeypatch:
        examples.install(monkeypatch, folder / "cache")
        monkeypatch.setattr(module, "_check_outputs", lambda *_: [])
        source = examples.torchvision_state()
        for out in ("alexnet.keras", "alexnet.safetensors", "alexnet.pth"):
            convert(str(source), folder / out)
            source = folder / out
    for path in (folder / "cache" / "weights").iterdir():
        path.unlink()  # 244 MB each
    return folder


_ONWARD = """
import sys, torch, torchvision
first, last = (torch.load(path, weights_only=True) for path in sys.argv[1:])
network = torchvision.models.alexnet()
print(network.load_state_dict(last))
print(first.keys() == last.keys(), all(torch.equal(first[name], last[name]) for name in first))
"""


def test_torchvisions_state_comes_round_to_the_bit_and_fits_its_network(travelled: Path) -> None:
    paths = [str(examples.torchvision_state()), str(travelled / "alexnet.pth")]
    done = subprocess.run(
        [sys.executable, "-c", _ONWARD, *paths], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["<All keys matched successfully>", "True True"]


def test_facts_come_round_as_well(travelled: Path) -> None:
    path = travelled / "alexnet.safetensors"
    raw = read(path)
    assert {name.rpartition(".")[0] for name in raw.tensors} == set(TORCHVISION_NAMES)
    facts = with_facts(raw, path, "0" * 64).facts
    assert (facts.name, facts.variant, facts.classes) == ("alexnet", "torchvision", 1000)
    assert facts.preprocessing == TORCHVISION
    assert len(facts.categories) == 1000


@pytest.fixture(scope="module")
def reference(travelled: Path) -> NDArray[np.float32]:
    """Logits of the ``.pth`` that it all began with, by torchvision's own network."""
    path = travelled / "alexnet.safetensors"
    facts = with_facts(read(path), path, "0" * 64).facts
    return outputs(REFERENCE, examples.torchvision_state(), facts, travelled)


@each_keras
def test_logits_agree_in_every_framework(
    framework: str, travelled: Path, reference: NDArray[np.float32], tmp_path: Path
) -> None:
    path = travelled / "alexnet.safetensors"
    facts = with_facts(read(path), path, "0" * 64).facts
    found = outputs(framework, travelled / "alexnet.keras", facts, tmp_path)
    assert apart(reference, found) < 1e-5


_OWN = """
import sys, keras, numpy as np
from keras import layers
keras.utils.set_random_seed(3)
model = keras.Sequential([
    keras.Input((20, 20, 3)),
    layers.ZeroPadding2D(((1, 2), (1, 2))),
    layers.Conv2D(8, 5, strides=2, activation="relu"), layers.MaxPooling2D(2),
    layers.Conv2D(12, 3, padding="same", groups=2), layers.BatchNormalization(), layers.ReLU(),
    layers.Flatten(), layers.Dense(16, activation="relu"), layers.Dropout(0.5), layers.Dense(6),
])
model.compile("adam", "mse")
model.fit(np.random.rand(8, 20, 20, 3), np.random.rand(8, 6), verbose=0)  # so that nothing is 0
model.save(sys.argv[1] + "/own.keras")
model.save_weights(sys.argv[1] + "/own.weights.h5")
model.layers[1].rename = None
names = ["conv1", "conv2", "conv2_bn", "dense1", "dense2"]
kept = [layer for layer in model.layers if layer.weights]
arrays = {f"{n}.{i}": np.array(v) for n, l in zip(names, kept) for i, v in enumerate(l.variables)}
np.savez(sys.argv[1] + "/own.npz", **arrays)
"""


def test_a_model_of_somebody_elses_is_told_by_the_order_of_its_layers(tmp_path: Path) -> None:
    needs("keras-tensorflow")
    row = FRAMEWORKS["keras-tensorflow"]
    command = [sys.executable, "-c", _OWN, str(tmp_path)]
    subprocess.run(command, env=environment(row), check=True, capture_output=True)
    with np.load(tmp_path / "own.npz") as stored:
        own = dict(stored)
    for form in (".keras", ".weights.h5"):
        found, _ = open_weights(str(tmp_path / f"own{form}"))
        assert (found.facts.name, found.facts.variant) == ("own", "mixed")
        assert found.facts.layers == ("conv1", "conv2", "conv2_bn", "dense1", "dense2")
        assert np.array_equal(found.tensors["conv2.weight"], own["conv2.0"].transpose(3, 2, 0, 1))
        assert np.array_equal(found.tensors["conv2_bn.running_var"], own["conv2_bn.3"])
        assert np.array_equal(found.tensors["dense2.weight"], own["dense2.0"].T)
        # H·W·C -> C·H·W: the 12 maps of 5 × 5 on the last pool
        first = own["dense1.0"].reshape(5, 5, 12, 16).transpose(3, 2, 0, 1).reshape(16, -1)
        assert np.array_equal(found.tensors["dense1.weight"], first)


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
    said = ["layer normalization has the weights (3,): no convolution", "conv1.weight is", "no wei"]
    for layers, wanted in zip(given.values(), said, strict=True):
        path = keras_layers(tmp_path / "wrong.weights.h5", layers)
        with pytest.raises(UserError) as caught:
            open_weights(str(path))
        assert wanted in str(caught.value)
        assert "\n" not in str(caught.value)


def test_weights_that_lie_in_another_file_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(8 * 4))
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        group = file.create_group("layers/conv1/vars")
        group.create_dataset("0", (5, 5, 3, 8), "f")
        group.create_dataset("1", (8,), "f", external=[("secret", 0, 32)])
    with pytest.raises(UserError, match="keeps its weights in another file"):
        open_weights(str(tmp_path / "a.weights.h5"))


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("there.npz", "there.npz: is there already; give another name, or --force"),
        ("x.onnx", "x.onnx: not a form of weights that is known; known: .safetensors"),
        ("nowhere/x.npz", "nowhere: no such folder"),
        ("x.keras", "a .keras file holds a whole network, and part lacks conv2, conv2_bn, dense2;"),
    ],
)
def test_what_cannot_be_written_is_one_line(out: str, said: str, tmp_path: Path) -> None:
    Path("there.npz").write_bytes(b"mine")
    write(tmp_path / "part.safetensors", weights("mixed", "conv1", "dense1"))
    with pytest.raises(UserError) as caught:
        convert("part.safetensors", Path(out))
    assert said in str(caught.value)
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
def test_the_variant_that_the_user_says_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors", weights("cifar-lrn", "conv1", "conv2"))
    with pytest.raises(UserError, match="--variant cifar-lrn"):
        convert("a.safetensors", Path("b.npz"))
    convert("a.safetensors", Path("b.npz"), named="cifar-plain")
    assert open_weights("b.npz")[0].facts.variant == "cifar-plain"


def test_a_wrong_output_leaves_no_file(monkeypatch: pytest.MonkeyPatch, mixed: Path) -> None:
    def ask(row: Any, task: str, *, out: str, **_: Any) -> dict[str, Any]:
        assert task == "logits"
        np.save(out, np.array([[1.0, 1.0 + 2e-5 * (row.name == REFERENCE)]]))
        return {}

    for row in list(FRAMEWORKS.values()):  # as if all were installed
        monkeypatch.setitem(FRAMEWORKS, row.name, replace(row, modules=("numpy",)))
    monkeypatch.setattr(helper, "ask", ask)
    with pytest.raises(UserError, match=r"logits of .* differ by 2\.0e-05 .*nothing was written"):
        convert(str(mixed), Path("out.npz"))
    assert not Path("out.npz").exists()


def test_other_bits_leave_no_file(monkeypatch: pytest.MonkeyPatch, mixed: Path) -> None:
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


def test_frameworks_that_are_missing_are_said_so(
    monkeypatch: pytest.MonkeyPatch, mixed: Path
) -> None:
    for row in list(FRAMEWORKS.values()):
        monkeypatch.setitem(FRAMEWORKS, row.name, replace(row, modules=("no_such_module",)))
    said = convert(str(mixed), Path("out.npz"))
    assert said[0] == "12 tensors read back, all bits equal"
    assert [s.split(":")[0] for s in said[1:3]] == [
        "not verified in pytorch",
        "not verified in keras-tensorflow",
    ]
    with pytest.raises(UserError, match=r"\.keras files: no_such_module not installed; pip"):
        convert(str(mixed), Path("out.keras"))


def test_parts_are_compared_up_to_where_they_end() -> None:
    def last_row(*layers: str) -> str | None:
        shapes = weights("imagenet-lrn", *layers)
        facts = Facts("x", "0" * 64, "imagenet-lrn", layers, TORCHVISION)
        assert shapes
        found = leading(facts)
        return found.layers[-1].name if found else None

    convs = ("conv1", "conv2", "conv3", "conv4", "conv5")
    assert last_row(*convs) == "pool5"
    assert last_row(*convs, "dense1") == "dense1_dropout"
    assert last_row("conv1") == "pool1"
    assert last_row("conv2") is None
