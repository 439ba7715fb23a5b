"""What a network starts from: pretrained layers, and new layers over them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from bench.core.case import Case
from bench.core.errors import UnavailableError, UserError
from bench.core.system import nvml
from bench.data.synthetic import generate
from bench.networks.init import initial_weights
from bench.networks.preprocessing import BVLC, TORCHVISION
from bench.networks.pretrained import Facts, Pretrained
from bench.networks.variants import variant
from bench.training.interfaces import Setup
from bench.training.recipes import RECIPES
from bench.training.recipes.base import Recipe
from bench.worker.opening import InitialWeights, _pixels, _setup
from tests.support import nvml_recordings
from tests.support.nvml_recordings import replay

ROWS = variant("cifar-bn").architecture(10, head="pool-narrow")
TRUNK = ("conv1",)
PLAIN = Recipe("plain", "")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    names = [name for name in ROWS.weight_shapes() if name.rpartition(".")[0] in TRUNK]
    tensors = {name: np.full(ROWS.weight_shapes()[name], 0.5, np.float32) for name in names}
    path = tmp_path / "trunk.safetensors"
    Pretrained(Facts("synthetic", "0" * 64, "cifar-bn", TRUNK, BVLC), tensors).save(path)
    return path


def start(file: Path, track: str, recipe: Recipe) -> InitialWeights:
    case = Case("cifar-bn", "pytorch", track, seed=3, init="pretrained", weights="synthetic")
    return InitialWeights.of(Setup(case, ROWS, recipe, 1, (0.5,) * 3, (0.2,) * 3, 1), file)


@pytest.mark.parametrize("track", ["closed", "idiomatic"])
def test_pretrained_layers_are_unchanged(file: Path, track: str) -> None:
    found = start(file, track, dataclasses.replace(PLAIN, head_scale=0.5))
    assert (found.weights["conv1.weight"] == 0.5).all()
    assert found.layers == TRUNK


@pytest.mark.parametrize("track", ["closed", "idiomatic"])
def test_scaled_new_layers_are_the_same_in_every_track(file: Path, track: str) -> None:
    found = start(file, track, dataclasses.replace(PLAIN, head_scale=0.5)).weights
    drawn = initial_weights(ROWS, 3)
    assert found.keys() == drawn.keys()
    for name in ("conv2.weight", "head1.weight", "head2.weight"):
        np.testing.assert_array_equal(found[name], drawn[name] * np.float32(0.5))
    # A scale of 1 is BatchNorm's own beginning, and not a draw.
    assert (found["conv2_bn.weight"] == 1).all()
    assert (found["conv2_bn.running_var"] == 1).all()


def test_without_a_scale_the_idiomatic_track_keeps_the_frameworks_initialisation(
    file: Path,
) -> None:
    names = set(start(file, "idiomatic", PLAIN).weights)
    assert {name.rpartition(".")[0] for name in names} == set(TRUNK)
    assert set(start(file, "closed", PLAIN).weights) == set(initial_weights(ROWS, 3))


@pytest.mark.parametrize("scale", [None, 0.5])
@pytest.mark.parametrize("track", ["closed", "idiomatic"])
def test_last_layer_starts_from_zeros(file: Path, track: str, scale: float | None) -> None:
    recipe = dataclasses.replace(PLAIN, zero_last=True, head_scale=scale)
    found = start(file, track, recipe)
    assert found.zeroed == ("head2.weight", "head2.bias")
    assert not found.weights["head2.weight"].any()
    assert scale is None or found.weights["head1.weight"].any()


def test_our_transfer_recipes_start_every_framework_from_the_same_head() -> None:
    ours = [row for row in RECIPES.values() if row.name.startswith("transfer")]
    # A head of one layer that starts from zeros is the same in every framework, too.
    same = {
        row.name for row in ours if row.head_scale or (row.zero_last and row.head == "pool-linear")
    }
    scratch = {row.name for row in ours if row.init == "scratch"}
    assert {row.name for row in ours} - same == scratch
    assert scratch == {f"transfer-{name}" for name in ("scratch", "look-scratch", "large-scratch")}


def built(recipe: Recipe, facts: Facts | None = None) -> tuple[object, object]:
    """Mean and deviation that a training normalises by; the data's are 0.5 and 0.2."""
    case = Case("cifar-bn", "pytorch")
    return _pixels(Setup(case, ROWS, recipe, 1, (0.5,) * 3, (0.2,) * 3, 1), facts)


def test_pixels_are_the_recipes_then_the_weights_then_the_datas() -> None:
    facts = Facts("synthetic", "0" * 64, "cifar-bn", TRUNK, BVLC)
    data, of_weights = ((0.5,) * 3, (0.2,) * 3), BVLC.in_unit
    assert (built(PLAIN), built(PLAIN, facts)) == (data, of_weights)
    imagenet, own = (dataclasses.replace(PLAIN, pixels=name) for name in ("imagenet", "data"))
    assert built(imagenet) == built(imagenet, facts) == TORCHVISION.in_unit
    assert built(own) == built(own, facts) == data


def test_a_recipe_without_dropout_trains_the_network_without_it() -> None:
    data = generate(train=10, test=10, seed=0)
    case = Case("torchvision", "pytorch", head="narrow", recipe="tutorial-transfer", input_size=224)
    opened = _setup(case, data, threads=1).architecture
    whole = variant("torchvision").architecture(len(data.classes), head="narrow")
    assert not opened.dropouts()
    assert opened.weight_shapes() == whole.weight_shapes()
    with_it = dataclasses.replace(case, recipe="tutorial-transfer-dropout")
    assert _setup(with_it, data, threads=1).architecture == whole


def test_more_pixels_than_there_are_cannot_be_cut_out() -> None:
    case = Case("torchvision", "pytorch", recipe="tutorial-transfer", input_size=300)
    with pytest.raises(UserError, match="300 pixels cannot be cut out of 256"):
        _setup(case, generate(train=10, test=10, seed=0), threads=1)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("cpu", "CPUs have none"),
        ("mps", "Metal devices have none"),
        ("xpu", "Intel GPUs have none"),
    ],
)
def test_tf32_is_refused_where_a_device_has_none(device: str, words: str) -> None:
    """A framework takes the setting, reports it, and computes in float32."""
    with pytest.raises(UnavailableError, match=words):
        tf32(device)


def test_tf32_is_refused_on_cards_from_before_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(nvml, "MODULE", "pynvml")
    replay(monkeypatch, tmp_path, nvmlDeviceGetCudaComputeCapability=[7, 5])
    with pytest.raises(UnavailableError, match=r"compute capability 7\.5 has none"):
        tf32("cuda")
    replay(monkeypatch, tmp_path)
    assert tf32("cuda").tf32
    nvml_recordings.none(monkeypatch)
    assert tf32("cuda").tf32  # nothing is known of the card


def tf32(device: str) -> Setup:
    case = Case("cifar-bn", "pytorch", "idiomatic", precision="tf32", device=device)
    return _setup(case, generate(train=20, test=10, seed=0), threads=1)
