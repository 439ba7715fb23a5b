"""Weights converted between real frameworks: bits, facts and outputs."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.networks.preprocessing import TORCHVISION
from bench.networks.pretrained import Facts
from bench.networks.weight_names import TORCHVISION_NAMES
from bench.training.frameworks import FRAMEWORKS, REFERENCE
from bench.weights import convert as module
from bench.weights import facts as facts_module
from bench.weights import outputs as outputs_module
from bench.weights.convert import convert
from bench.weights.facts import interpret
from bench.weights.files import read
from bench.weights.keras_models.check import Check
from bench.weights.sources import open_weights
from bench.worker.client import call
from tests.frameworks.support.client import each_keras, environment
from tests.support import weight_examples as examples
from tests.support.weight_examples import needs, weights, write

FORMS = (".safetensors", ".npz", ".pth", ".keras", ".weights.h5")


pytestmark = pytest.mark.usefixtures("shared_frameworks", "weight_examples")


def outputs(framework: str, path: Path, facts: Facts, folder: Path) -> NDArray[np.float32]:
    """What a framework makes of two random images."""
    size = facts.architecture().input_size
    np.save(folder / "in.npy", np.random.default_rng(5).normal(size=(2, 3, size, size)).astype("f"))
    call(
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
        found = interpret(read(out), out, first.facts.sha256)
        assert found.facts == first.facts, form
        assert {k: v.tobytes() for k, v in found.tensors.items()} == {
            k: v.tobytes() for k, v in first.tensors.items()
        }, form
        source = out
    assert not list(tmp_path.glob(".alexbench-*"))


def test_the_command_prints_what_was_verified(mixed: Path, tmp_path: Path) -> None:
    needs(REFERENCE, "keras-tensorflow")
    command = [sys.executable, "-m", "bench", "convert", str(mixed), "out.keras"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    bits, logits, unverified, path = done.stdout.splitlines()
    assert bits == "12 tensors read back, all bits equal"
    assert logits.startswith("logits of pytorch and keras-tensorflow differ by ")
    assert float(logits.split(" by ")[1].split()[0]) <= 1e-5
    assert unverified == "weights only: the architecture was not verified"
    assert (path, (tmp_path / path).is_file()) == ("out.keras", True)


_ALONE = """
import sys
absent = {"bench", "models_keras", "models_torch", *sys.argv[4:]}
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, *rest):
        return None if name.partition(".")[0] in absent else self.finder.find_spec(name, *rest)
    def __getattr__(self, name):
        return getattr(self.finder, name)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
import keras, numpy as np
model = keras.models.load_model(sys.argv[1])
x = np.load(sys.argv[2]).transpose(0, 2, 3, 1)
np.save(sys.argv[3], model.predict(x, verbose=0))
assert not model.get_layer("conv1_lrn").trainable
"""


@pytest.fixture(scope="module")
def exported(module_folder: Path) -> Path:
    """A folder with a ``.keras`` of the small network, and PyTorch's outputs of it."""
    needs(REFERENCE, "keras-tensorflow")
    folder = module_folder / "exported"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch:
        examples.install(monkeypatch, folder / "cache")
        monkeypatch.setattr(module, "check_outputs", lambda *_: [])
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
def travelled(module_folder: Path) -> Path:
    """torchvision's network from ``.pth`` to ``.keras`` to ``.safetensors`` to ``.pth``."""
    needs(REFERENCE, "keras-tensorflow")
    folder = module_folder / "travelled"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch:
        examples.install(monkeypatch, folder / "cache")
        monkeypatch.setattr(module, "check_outputs", lambda *_: [])
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


@pytest.mark.slow
def test_torchvisions_state_survives_the_round_trip_to_the_bit(travelled: Path) -> None:
    paths = [str(examples.torchvision_state()), str(travelled / "alexnet.pth")]
    done = subprocess.run(
        [sys.executable, "-c", _ONWARD, *paths], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["<All keys matched successfully>", "True True"]


@pytest.mark.slow
def test_facts_survive_the_round_trip(travelled: Path) -> None:
    path = travelled / "alexnet.safetensors"
    raw = read(path)
    assert {name.rpartition(".")[0] for name in raw.tensors} == set(TORCHVISION_NAMES)
    facts = interpret(raw, path, "0" * 64).facts
    assert (facts.name, facts.variant, facts.classes) == ("alexnet", "torchvision", 1000)
    assert facts.preprocessing == TORCHVISION
    assert len(facts.categories) == 1000


@pytest.fixture(scope="module")
def reference(travelled: Path) -> NDArray[np.float32]:
    """Logits of the ``.pth`` that it all began with, by torchvision's own network."""
    path = travelled / "alexnet.safetensors"
    facts = interpret(read(path), path, "0" * 64).facts
    return outputs(REFERENCE, examples.torchvision_state(), facts, travelled)


@pytest.mark.slow
@each_keras
def test_logits_agree_in_every_framework(
    framework: str, travelled: Path, reference: NDArray[np.float32], tmp_path: Path
) -> None:
    path = travelled / "alexnet.safetensors"
    facts = interpret(read(path), path, "0" * 64).facts
    found = outputs(framework, travelled / "alexnet.keras", facts, tmp_path)
    assert apart(reference, found) < 1e-5


_OWN = """
import sys, keras, numpy as np
from keras import layers, ops

def model(activation="relu", pool=layers.MaxPooling2D, eps=1e-3, last="linear"):
    keras.utils.set_random_seed(3)
    images = keras.Input((20, 20, 3))
    x = layers.ZeroPadding2D(((1, 2), (1, 2)))(images)
    x = layers.Conv2D(8, 5, strides=2, activation=activation)(x)
    # Keras has no local response normalisation: a sum over neighbouring channels
    window = layers.Conv2D(8, 1, name="conv1_lrn", trainable=False)
    sums = window(ops.square(x))
    near = np.abs(np.subtract.outer(np.arange(8), np.arange(8))) <= 2
    window.set_weights([near[None, None] * np.float32(0.5 / 5), np.ones(8, "f")])
    x = pool(2)(ops.multiply(x, ops.power(sums, -0.75)))
    x = layers.Conv2D(12, 3, padding="same", groups=2)(x)
    x = layers.ReLU()(layers.BatchNormalization(epsilon=eps)(x))
    x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    x = layers.Dense(6, activation=last)(layers.Dropout(0.5)(x))
    made = keras.Model(images, x)
    made.compile("adam", "mse")
    made.fit(np.random.rand(8, 20, 20, 3), np.random.rand(8, 6), verbose=0)  # so that nothing is 0
    return made

folder = sys.argv[1]
own = model()
own.save(folder + "/own.keras")
own.save(folder + "/own.h5")
own.save_weights(folder + "/own.weights.h5")
model("tanh", layers.AveragePooling2D).save(folder + "/tanh.keras")
model(pool=layers.AveragePooling2D).save(folder + "/average.keras")
model(eps=0.25).save(folder + "/eps.keras")
model(last="softmax").save(folder + "/softmax.keras")
keras.Sequential([keras.Input((20, 20, 3)), model(), layers.Softmax()]).save(folder + "/soft.keras")
names = ["conv1", "conv2", "conv2_bn", "dense1", "dense2"]
kept = [layer for layer in own.layers if layer.weights and layer.name != "conv1_lrn"]
arrays = {f"{n}.{i}": np.array(v) for n, l in zip(names, kept) for i, v in enumerate(l.variables)}
np.savez(folder + "/own.npz", **arrays)
"""


@pytest.fixture(scope="module")
def own(module_folder: Path) -> Path:
    """A folder of files that Keras wrote: the small network, and some that differ from it."""
    needs(REFERENCE, "keras-tensorflow")
    row, folder = FRAMEWORKS["keras-tensorflow"], module_folder / "own"
    folder.mkdir()
    command = [sys.executable, "-c", _OWN, str(folder)]
    subprocess.run(command, env=environment(row), check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("name", ["own.keras", "own.h5", "own.weights.h5"])
def test_a_users_keras_model_is_identified_by_the_order_of_its_layers(name: str, own: Path) -> None:
    with np.load(own / "own.npz") as stored:
        wanted = dict(stored)
    found, _ = open_weights(str(own / name))
    assert (found.facts.name, found.facts.variant) == ("own", "mixed")
    assert found.facts.layers == ("conv1", "conv2", "conv2_bn", "dense1", "dense2")
    tensors = found.tensors
    assert np.array_equal(tensors["conv2.weight"], wanted["conv2.0"].transpose(3, 2, 0, 1))
    assert np.array_equal(tensors["conv2_bn.running_var"], wanted["conv2_bn.3"])
    assert np.array_equal(tensors["dense2.weight"], wanted["dense2.0"].T)
    # H·W·C -> C·H·W: the 12 maps of 5 × 5 on the last pool
    first = wanted["dense1.0"].reshape(5, 5, 12, 16).transpose(3, 2, 0, 1).reshape(16, -1)
    assert np.array_equal(tensors["dense1.weight"], first)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("own.keras", "own.keras"),
        ("softmax.keras", "softmax.keras without its softmax"),
        ("soft.keras", "soft.keras without its softmax"),
    ],
)
def test_the_given_model_is_run_by_keras_and_compared(
    name: str, what: str, own: Path, tmp_path: Path
) -> None:
    *_, ours, given = convert(str(own / name), tmp_path / "out.pth")
    assert ours.startswith("logits of pytorch and keras-tensorflow differ by ")
    assert given.startswith(f"outputs of {what}, as keras-tensorflow loads it, and of ")
    assert float(given.split(" by ")[1].split()[0]) <= 1e-5


def test_of_weights_alone_nothing_more_is_said_than_is_known(own: Path, tmp_path: Path) -> None:
    said = convert(str(own / "own.weights.h5"), tmp_path / "out.pth")
    assert said[-1] == "weights only: the architecture was not verified"
    assert not [sentence for sentence in said if "as keras-tensorflow loads it" in sentence]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tanh.keras", "layer conv2d.* has the activation tanh, and mixed has a ReLU there"),
        ("average.keras", "layer average_pooling2d.* has an average pool, and mixed has a max"),
    ],
)
def test_a_model_that_computes_something_else_is_refused(
    name: str, message: str, own: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        convert(str(own / name), tmp_path / "out.pth")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.pth").exists()


def test_a_difference_that_the_config_hid_shows_in_the_outputs(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(config: Any, architecture: Any, where: str) -> Check:
        return Check(architecture)

    for each in (facts_module, outputs_module):
        monkeypatch.setattr(each, "compared", blind)
    for name in ("tanh.keras", "eps.keras"):
        with pytest.raises(UserError, match=f"outputs of {name}, as .* differ by .*more than"):
            convert(str(own / name), tmp_path / "out.pth")


@pytest.mark.parametrize("form", [".pth", ".keras"])
def test_an_epsilon_of_its_own_is_carried_over(form: str, own: Path, tmp_path: Path) -> None:
    said = convert(str(own / "eps.keras"), tmp_path / f"out{form}")
    (carried,) = [sentence for sentence in said if sentence.startswith("carried over")]
    assert "eps 0.25 (mixed has 0.001) in conv2_bn" in carried
    assert "momentum 0.99 (mixed has 0.9) in conv2_bn" in carried
    again, prepared = open_weights(str(tmp_path / f"out{form}"))
    assert again.facts.constants["conv2_bn"]["eps"] == 0.25
    ours = outputs(REFERENCE, prepared, again.facts, tmp_path)
    theirs = outputs("keras-tensorflow", own / "eps.keras", again.facts, tmp_path)
    assert apart(ours, theirs) < 1e-5
