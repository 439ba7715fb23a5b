"""Files of weights as people have them: any name, prefix, layout, nesting; a row per kind."""

import gzip
import pickle
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.networks import layouts
from bench.networks.architecture import Shape
from bench.networks.variants import variant
from bench.weights.files import RawWeights
from bench.weights.reading import Reading
from bench.weights.recognise import Recognised, recognise
from bench.weights.signatures import format_of
from bench.weights.sources import SOURCES, open_weights
from tests.support.weight_examples import weights, write

Tensors = dict[str, NDArray[Any]]


def hollow(shape: Shape) -> NDArray[Any]:
    """An array that takes no memory."""
    return np.broadcast_to(np.float32(0), shape)


def state(name: str, layers: dict[str, str], classes: int | None = None, **how: Any) -> Tensors:
    """The tensors of a network under other names of its layers, in the network's order."""
    architecture = variant(name).architecture(classes, **how)
    shapes = architecture.weight_shapes() | architecture.statistic_shapes()
    found = {}
    for layer, theirs in layers.items():
        for full, shape in shapes.items():
            if full.rpartition(".")[0] == layer:
                found[f"{theirs}.{full.rpartition('.')[2]}"] = hollow(shape)
    return found


def numbered(features: str, classifier: str, dense: str = "dense1 dense2 dense3") -> dict[str, str]:
    """Names of torch's Sequentials: ``features.0`` for conv1, and so on."""
    convs = [f"conv{i}" for i in range(1, 6)]
    ours = [*convs, *dense.split()]
    theirs = [f"features.{i}" for i in features.split()]
    theirs += [f"classifier.{i}" for i in classifier.split()]
    return dict(zip(ours, theirs, strict=True))


TORCHVISION = numbered("0 3 6 8 10", "1 4 6")
OWN = {
    f"{kind}{i}": f"{kind}{i}" for kind, n in (("conv", 5), ("dense", 3)) for i in range(1, n + 1)
}


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}{name}": array for name, array in tensors.items()}


def infixed(tensors: Tensors) -> Tensors:
    """As DataParallel on the convolutions alone names them, in PyTorch's ImageNet example."""
    return {name.replace("features.", "features.module."): a for name, a in tensors.items()}


def found_in(tensors: Tensors, **how: Any) -> Recognised:
    return recognise(RawWeights(tensors), "file", how.pop("named", None), None, **how)


TV = ("torchvision", TORCHVISION)
TAKEN: dict[str, tuple[Tensors, str, str, str]] = {
    "ImageNet example": (infixed(state(*TV)), "torchvision", "source", "module. dropped"),
    "DataParallel": (prefixed("module.", state(*TV)), "torchvision", "source", "module. dropped"),
    **{
        f"prefix {prefix}": (
            prefixed(prefix, state(*TV)),
            "torchvision",
            "source",
            f"{prefix} dropped from every name",
        )
        for prefix in ("model.", "net.", "alexnet.", "backbone.")
    },
    "two prefixes": (
        prefixed("module.model.", state(*TV)),
        "torchvision",
        "source",
        "model. dropped from every name",
    ),
    "LRN class of the tutorial": (
        state("imagenet-lrn", numbered("0 4 8 10 12", "0 3 6")),
        "imagenet-lrn",
        "source",
        "features.4 to conv2, features.8 to conv3, features.10 to conv4",
    ),
    "its convolutions alone": (
        {k: v for k, v in state("imagenet-lrn", numbered("0 4 8 10 12", "0 3 6")).items()
         if k.startswith("features")},
        "imagenet-lrn",
        "source",
        "features.4 to conv2",
    ),
    "LRN class, 10 classes": (
        state("imagenet-lrn", numbered("0 4 8 10 12", "0 3 6"), 10),
        "imagenet-lrn",
        "source",
        "matched by order and shape",
    ),
    "transfer tutorial": (
        state("torchvision", numbered("0 3 6 8 10", "1 4 6", "dense1 head1 head2"), 10,
              head="narrow"),
        "torchvision",
        "narrow",
        "classifier.4 to head1, classifier.6 to head2",
    ),
    "one dense layer": (
        state("torchvision", numbered("0 3 6 8 10", "1", "head"), 10, head="pool-linear"),
        "torchvision",
        "pool-linear",
        "classifier.1 to head",
    ),
    "CIFAR with three dense layers": (
        state("cifar-dense", numbered("0 3 6 8 10", "1 4 6")),
        "cifar-dense",
        "source",
        "",
    ),
    "CIFAR with a linear classifier": (
        state("cifar-linear", {**numbered("0 3 6 8 10", "", ""), "dense1": "classifier"}),
        "cifar-linear",
        "source",
        "classifier to dense1",
    ),
    "convolutions of torchvision": (
        {k: v for k, v in state(*TV).items() if k.startswith("features")},
        "torchvision",
        "source",
        "",
    ),
    "a module with its loss and metrics": (
        {**prefixed("model.", state(*TV)), "criterion.weight": hollow((1000,)),
         "train_acc.tp": hollow(())},
        "torchvision",
        "source",
        "passed over, as no part of model: criterion.weight, train_acc.tp",
    ),
    "a moving average by PyTorch": (
        {"n_averaged": hollow(()), **prefixed("module.", state(*TV))},
        "torchvision",
        "source",
        "passed over, as no weights: n_averaged",
    ),
    "normalised by a module of its own": (
        {"0.mean": hollow((1, 3, 1, 1)), "0.std": hollow((1, 3, 1, 1)),
         **prefixed("1.", state(*TV))},
        "torchvision",
        "source",
        "passed over, as no part of 1: 0.mean, 0.std; 1. dropped from every name",
    ),
    "layers in blocks, BatchNorm after the ReLU": (
        state("imagenet-bn5", {
            **{f"conv{i}": f"layer{i}.0" for i in range(1, 6)},
            **{f"conv{i}_bn": f"layer{i}.2" for i in range(1, 6)},
            **{f"dense{i}": f"fc{i}" for i in range(1, 4)},
        }),
        "imagenet-bn5",
        "source",
        "layer1.2 to conv1_bn",
    ),
    "a list of convolutions": (
        state("cifar-linear", {
            **{f"conv{i}": f"convs.{i - 1}" for i in range(1, 6)}, "dense1": "fc"
        }),
        "cifar-linear",
        "source",
        "convs.4 to conv5",
    ),
    "names of another program": (
        state("imagenet-bn5", {
            **{f"conv{i}": f"c{i}" for i in range(1, 6)},
            **{f"conv{i}_bn": f"n{i}" for i in range(1, 6)},
            **{f"dense{i}": f"f{i}" for i in range(1, 4)},
        }, 17),
        "imagenet-bn5",
        "source",
        "c1 to conv1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN)
def test_states_of_the_world_are_taken(case: str) -> None:
    tensors, name, head, said = TAKEN[case]
    found = found_in(tensors)
    assert (found.network.variant, found.network.head) == (name, head)
    assert said in "; ".join(found.sentences)
    assert bool(found.sentences) == bool(said)
    architecture = found.network.architecture
    wanted = architecture.weight_shapes() | architecture.statistic_shapes()
    assert {n: a.shape for n, a in found.tensors.items()}.items() <= wanted.items()


def test_a_sorted_file_is_matched_in_the_order_of_its_numbers() -> None:
    tensors, name, *_ = TAKEN["LRN class of the tutorial"]
    in_file = dict(sorted(tensors.items()))
    assert list(in_file) != list(tensors)
    found = found_in(in_file)
    assert found.network.variant == name
    assert found.tensors["conv5.weight"].shape == (256, 192, 3, 3)


def changed(tensors: Tensors, **shapes: Shape) -> Tensors:
    return tensors | {name.replace("__", "."): hollow(shape) for name, shape in shapes.items()}


SEQUENTIAL = {
    **{k: v for k, v in state(*TV).items() if not k.startswith("classifier.6")},
    **{
        f"classifier.6.{i}.weight": hollow(shape) for i, shape in ((0, (256, 4096)), (2, (10, 256)))
    },
    **{f"classifier.6.{i}.bias": hollow(shape) for i, shape in ((0, (256,)), (2, (10,)))},
}
"""torchvision's with classifier.6 replaced by Sequential(Linear 256, ReLU, Linear 10)."""

D2L = {
    f"net.{index}.{part}": hollow(shape if part == "weight" else shape[:1])
    for index, shape in {
        0: (96, 3, 11, 11), 3: (256, 96, 5, 5), 6: (384, 256, 3, 3), 8: (384, 384, 3, 3),
        10: (256, 384, 3, 3), 14: (4096, 6400), 17: (4096, 4096), 20: (10, 4096),
    }.items()
    for part in ("weight", "bias")
}  # fmt: skip

REFUSED: dict[str, tuple[Tensors, str]] = {
    "grey": (
        changed(state(*TV), features__0__weight=(64, 1, 11, 11)),
        r"features\.0\.weight \(64, 1, 11, 11\) takes grey images of 1 channel.*repeat\(1, 3, 1, 1",
    ),
    "another network": (
        {f"layer{i}.weight": hollow((64 * i, 64, 3, 3)) for i in range(1, 5)},
        r"of another network; .* is the nearest: layer1\.weight is .*, and conv1 there is .*more "
        r"layers differ; alexbench convert --partial takes .*CONTRIBUTING\.md, 'Add a variant'",
    ),
    "another head": (SEQUENTIAL, r"does not fit torchvision: classifier\.6"),
    "the book's single tower without BatchNorm": (
        D2L,
        r"of another network; \S+ is the nearest: .*--partial",
    ),
}


IN_BLOCKS = state("imagenet-bn5", {
    **{f"conv{i}": f"layer{i}.0" for i in range(1, 6)},
    **{f"conv{i}_bn": f"layer{i}.1" for i in range(1, 6)},
    "dense1": "fc.1", "dense2": "fc1.0", "dense3": "fc2.0",
})  # fmt: skip
"""A PyTorch tutorial's: BatchNorm right after each convolution, before the ReLU."""


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (IN_BLOCKS, "no modules between layer1.0 and layer1.1, and imagenet-bn5 has conv1_relu"),
        (
            state("imagenet-lrn", numbered("0 3 6 8 10", "1 4 6")),
            "2 modules between features.0 and features.3, and imagenet-lrn has conv1_relu, "
            "conv1_lrn, pool1 there",
        ),
    ],
    ids=["BatchNorm before ReLU", "groups without LRN"],
)
def test_numbers_of_modules_that_do_not_fit_are_another_network(
    tensors: Tensors, message: str, partial: bool
) -> None:
    """Shapes alone would fit, and the outputs would be wrong without a word."""
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        found_in(tensors, partial=partial)
    assert "\n" not in str(caught.value)
    name = "imagenet-bn5" if tensors is IN_BLOCKS else "imagenet-lrn"
    assert found_in(tensors, named=name).network.variant == name


def test_numbers_of_modules_count_where_a_part_is_taken() -> None:
    """With another head, the layers that fit were computed as those of another network."""
    changed = {k: v for k, v in IN_BLOCKS.items() if not k.startswith("fc2")}
    changed |= {"fc2.0.weight": hollow((64, 4096)), "fc2.0.bias": hollow((64,))}
    changed |= {"fc3.0.weight": hollow((5, 64)), "fc3.0.bias": hollow((5,))}
    with pytest.raises(UserError, match=r"no modules between layer1\.0 and layer1\.1"):
        found_in(changed, partial=True)
    assert "dense2" in found_in(changed, named="imagenet-bn5", partial=True).network.layers


def test_a_layer_outside_the_network_is_not_passed_over() -> None:
    for others in ({"norm.weight": (10,), "norm.bias": (10,)}, {"act.weight": (1,)}):
        tensors = prefixed("model.", state(*TV)) | {k: hollow(v) for k, v in others.items()}
        with pytest.raises(UserError):
            found_in(tensors)


@pytest.mark.parametrize("case", REFUSED)
def test_other_networks_are_refused_in_one_line_that_says_what_differs(case: str) -> None:
    tensors, message = REFUSED[case]
    with pytest.raises(UserError) as caught:
        found_in(tensors)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_layers_that_fit_are_taken_in_part_and_the_rest_is_named() -> None:
    found = found_in(SEQUENTIAL, partial=True)
    assert found.network.variant == "torchvision"
    assert found.network.layers == (*(f"conv{i}" for i in range(1, 6)), "dense1", "dense2")
    assert not found.whole
    assert "left out: classifier.6.0, classifier.6.2" in found.sentences[-1]


@pytest.mark.parametrize("names", [("student.", "teacher."), ("model.", "ema_model.module.")])
@pytest.mark.parametrize("partial", [False, True])
def test_copies_of_a_network_in_one_state_are_named(names: tuple[str, str], partial: bool) -> None:
    one, other = (prefixed(name, state(*TV)) for name in names)
    first, second = (name.partition(".")[0] for name in names)
    with pytest.raises(UserError, match=f"several networks of the same layers: {first}, {second}; "
                       f"choose one with --key {first}$"):  # fmt: skip
        found_in(one | other, partial=partial)


def test_one_of_several_copies_is_chosen_by_its_name(tmp_path: Path) -> None:
    own = weights("cifar-linear")
    other = {name: array + 1 for name, array in own.items()}
    path = write(tmp_path / "both.safetensors", prefixed("net.", own) | prefixed("ema.", other))
    found, _ = open_weights(str(path), reading=Reading(key="ema"))
    np.testing.assert_array_equal(found.tensors["conv1.weight"], other["conv1.weight"])
    with pytest.raises(UserError, match="--key swa: no set of weights of that name"):
        open_weights(str(path), reading=Reading(key="swa"))


def test_names_without_a_dot_are_whole_in_an_error() -> None:
    with pytest.raises(UserError, match=r"nearest: conv1_weights is \(7, 7, 3, 96\)"):
        found_in({"conv1_weights": hollow((7, 7, 3, 96)), "conv1_biases": hollow((96,))})


def test_nothing_that_fits_is_one_line() -> None:
    with pytest.raises(UserError, match="--partial: no network here has a layer in common"):
        found_in({"a.weight": hollow((7, 3, 3, 3)), "a.bias": hollow((7,))}, partial=True)


def keras_2(path: Path, tensors: Tensors, nested: bool) -> Path:
    """As Keras 2 writes weights to HDF5, of a model or of a model within a model."""
    parts = {"weight": "kernel:0", "bias": "bias:0"}
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in tensors))
    with h5py.File(path, "w") as file:
        names = [b"alexnet"] if nested else [layer.encode() for layer in layers]
        file.attrs["layer_names"] = names
        for group in names:
            own = layers if nested else [group.decode()]
            made, paths = file.create_group(group), []
            for layer in own:
                for part, theirs in parts.items():
                    array = layouts.to_keras(f"{layer}.{part}", tensors[f"{layer}.{part}"], {})
                    made[f"{layer}/{theirs}"] = array
                    paths.append(f"{layer}/{theirs}".encode())
            made.attrs["weight_names"] = paths
    return path


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", ["old.h5", "old.weights.h5", "old.hdf5", "old"])
def test_weights_of_keras_2_are_read_under_any_name(
    tmp_path: Path, name: str, nested: bool
) -> None:
    tensors = weights("cifar-linear")
    found, _ = open_weights(str(keras_2(tmp_path / name, tensors, nested)))
    assert (found.facts.variant, found.facts.name) == ("cifar-linear", "old")
    np.testing.assert_array_equal(found.tensors["conv3.weight"], tensors["conv3.weight"])


def test_weights_that_keras_wrote_on_windows_are_read(tmp_path: Path) -> None:
    """Its backslashes are part of one name in HDF5."""
    tensors = weights("cifar-linear")
    with h5py.File(tmp_path / "windows.weights.h5", "w") as file:
        for name, array in tensors.items():
            layer, _, part = name.rpartition(".")
            place = f"_layer_checkpoint_dependencies\\{layer}\\vars/{int(part == 'bias')}"
            file[place] = layouts.to_keras(name, array, {})
    found, _ = open_weights("windows.weights.h5")
    np.testing.assert_array_equal(found.tensors["conv3.weight"], tensors["conv3.weight"])


def test_kernels_of_keras_1_on_theano_are_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["layer_names"] = [b"convolution2d_1"]
        made = file.create_group("convolution2d_1")
        made.attrs["weight_names"] = [b"convolution2d_1_W"]
        made["convolution2d_1_W"] = np.zeros((96, 3, 11, 11), np.float32)
    with pytest.raises(UserError, match=r"old\.h5: convolution2d_1_W \(96, 3, 11, 11\) is a kernel "
                       "of Keras 1 on Theano"):  # fmt: skip
        open_weights("old.h5")


@pytest.mark.parametrize("kind", ["npz", "npy", "pkl"])
@pytest.mark.parametrize("name", ["cifar-bn2", "cifar-linear"])
def test_arrays_without_names_are_taken_in_their_order(
    tmp_path: Path, kind: str, name: str
) -> None:
    """As `numpy.savez(path, *model.get_weights())`, kernels in HWIO."""
    tensors = weights(name)
    architecture = variant(name).architecture()
    order = layouts.flattened(architecture)
    layers = [row.name for row in architecture.layers]
    ordered = sorted(tensors, key=lambda each: layers.index(each.partition(".")[0]))
    arrays = [layouts.to_keras(each, tensors[each], order) for each in ordered]
    path = tmp_path / f"list.{kind}"
    if kind == "npz":
        np.savez(path, *arrays)
    elif kind == "npy":
        content = np.empty(len(arrays), object)
        content[:] = arrays
        np.save(path, content)
    else:
        path.write_bytes(pickle.dumps(arrays, 2))
    found, _ = open_weights(str(path))
    assert found.facts.variant == name
    assert "arrays without names taken as layers in their order" in found.facts.matched
    for each, array in tensors.items():
        np.testing.assert_array_equal(found.tensors[each], array)


@pytest.mark.parametrize("layout", ["HWIO", "OIHW"])
def test_dense_layers_that_are_kept_as_convolutions_are_matrices(layout: str) -> None:
    """MatConvNet's fc6 is a kernel of 6×6, its fc7 and fc8 are kernels of 1×1."""
    kernels = {
        "conv1": (96, 3, 11), "conv2": (256, 48, 5), "conv3": (384, 256, 3), "conv4": (384, 192, 3),
        "conv5": (256, 192, 3), "fc6": (4096, 256, 6), "fc7": (4096, 4096, 1),
        "fc8": (1000, 4096, 1),
    }  # fmt: skip
    fc8 = np.arange(4096 * 1000, dtype=np.float32).reshape(1000, 4096)
    tensors: Tensors = {}
    for name, (out, into, side) in kernels.items():
        shape = (out, into, side, side) if layout == "OIHW" else (side, side, into, out)
        tensors[f"{name}_weights"] = hollow(shape)
        tensors[f"{name}_biases"] = hollow((1, out))
    given = fc8 if layout == "OIHW" else fc8.T
    tensors["fc8_weights"] = given.reshape(tensors["fc8_weights"].shape)
    found = found_in(tensors)
    assert found.network.variant == "imagenet-lrn"
    said = "; ".join(found.sentences)
    assert "dense layers that are kept as convolutions: fc6, fc7, fc8" in said
    assert "biases of shape (1, C) reshaped to (C,): 8" in said
    np.testing.assert_array_equal(found.tensors["dense3.weight"], fc8)


def dump(tensors: Tensors, form: str) -> Any:
    """Kernels in HWIO by layer, as converters from Caffe and MATLAB write them."""
    order = layouts.flattened(variant("cifar-linear").architecture())
    found: dict[str, Any] = {}
    for name, array in tensors.items():
        layer, _, part = name.rpartition(".")
        found.setdefault(layer, {})[part] = layouts.to_keras(name, array, order)
    if form == "pairs":
        return {layer: [own["weight"], own["bias"]] for layer, own in found.items()}
    if form == "parts":
        return {
            layer: {"weights": own["weight"], "biases": own["bias"]} for layer, own in found.items()
        }
    return {
        f"{layer}_{part[0].upper()}": a for layer, own in found.items() for part, a in own.items()
    }


@pytest.mark.parametrize("form", ["pairs", "parts", "flat"])
@pytest.mark.parametrize("kind", ["npy", "pkl", "npz"])
def test_dumps_of_arrays_in_hwio_are_read(tmp_path: Path, form: str, kind: str) -> None:
    tensors = weights("cifar-linear")
    content = dump(tensors, form)
    path = tmp_path / f"dump.{kind}"
    if kind == "npz":
        np.savez(path, **dump(tensors, "flat"))
    elif kind == "npy":
        np.save(path, np.array(content, object))
    else:
        path.write_bytes(pickle.dumps(content, 2))
    found, _ = open_weights(str(path))
    assert found.facts.variant == "cifar-linear"
    assert "HWIO" in "; ".join(found.facts.matched)
    for name, array in tensors.items():
        np.testing.assert_array_equal(found.tensors[name], array)


def test_a_dump_that_asks_for_code_is_not_executed(tmp_path: Path) -> None:
    planted = tmp_path / "ran"
    from tests.weights.test_sources import Planted  # noqa: PLC0415

    np.save(tmp_path / "evil.npy", np.array({"conv1": Planted(planted)}, object))
    with pytest.raises(UserError, match=r"asks for posix.mkdir.*nothing was run"):
        open_weights("evil.npy")
    assert not planted.exists()


def test_one_array_without_a_name_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros((3, 4), np.float32))
    with pytest.raises(UserError, match=r"one array \(3, 4\) of float32 without a name"):
        open_weights("one.npy")


def from_caffe(biases: bool) -> Tensors:
    """`cifar-linear` with biases of shape (1, 1, 1, C), or as it is."""
    own = weights("cifar-linear")
    if biases:
        return {k: v.reshape(1, 1, 1, -1) if k.endswith("bias") else v for k, v in own.items()}
    return own


def test_wide_biases_are_reshaped_and_the_channel_order_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "caffe.safetensors", from_caffe(biases=True))
    with pytest.raises(UserError, match=r"biases of shape \(1, 1, 1, 64\).*--channel-order BGR or"):
        open_weights(str(path))
    own = weights("cifar-linear")
    rgb, _ = open_weights(str(path), reading=Reading(channel_order="RGB"))
    np.testing.assert_array_equal(rgb.tensors["conv1.weight"], own["conv1.weight"])
    bgr, _ = open_weights(str(path), reading=Reading(channel_order="BGR"))
    np.testing.assert_array_equal(bgr.tensors["conv1.weight"], own["conv1.weight"][:, ::-1])
    assert bgr.facts.preprocessing.channel_order == "BGR"
    assert "reshaped to (C,): 6" in "; ".join(bgr.facts.matched)


def test_layers_in_no_order_are_taken_by_their_numbers(tmp_path: Path) -> None:
    """As in pickles of old dictionaries; BGR turns the first of the network, not of the file."""
    own = weights("cifar-linear")
    order = ("conv3", "conv2", "conv1", "conv5", "conv4")
    shuffled = {k: own[k] for layer in order for k in own if k.startswith(f"{layer}.")}
    shuffled |= {k: v for k, v in own.items() if k not in shuffled}
    np.savez(tmp_path / "bgr.npz", **shuffled)
    found, _ = open_weights(str(tmp_path / "bgr.npz"), reading=Reading(channel_order="BGR"))
    for name, array in own.items():
        wanted = array[:, ::-1] if name == "conv1.weight" else array
        np.testing.assert_array_equal(found.tensors[name], wanted, name)
    foreign = {k.replace("conv", "layer"): hollow(v.shape) for k, v in shuffled.items()}
    foreign = {k.replace("dense", "fc"): v for k, v in foreign.items()}
    assert found_in(foreign).network.variant == "cifar-linear"


def test_layers_with_caffes_names_ask_for_the_channel_order() -> None:
    layers = {**OWN, **{f"dense{i}": f"fc{i + 5}" for i in (1, 2, 3)}}
    found = found_in(state("imagenet-lrn", layers))
    assert (found.network.variant, found.of_caffe) == (
        "imagenet-lrn",
        "layers called fc6, fc7, fc8",
    )


def test_what_was_matched_is_said_in_a_line_each_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "mine.safetensors", prefixed("net.", weights("cifar-linear")))
    for _ in range(2):  # the second time from the cache
        found, _ = open_weights(str(path))
        assert found.facts.matched == ("net. dropped from every name",)
        assert capsys.readouterr().err == (
            f"alexbench: {path}: read as cifar-linear; net. dropped from every name\n"
        )


def safetensors(path: Path) -> None:
    write(path, weights("cifar-linear"))


def npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, **weights("cifar-linear"))


@pytest.mark.parametrize("make", [safetensors, npz])
@pytest.mark.parametrize("name", ["model.bin", "model.ckpt", "model.pth.tar", "model.t7", "model"])
def test_the_first_bytes_decide_and_not_the_name(tmp_path: Path, make: Any, name: str) -> None:
    make(tmp_path / name)
    found, _ = open_weights(str(tmp_path / name))
    assert (found.facts.variant, found.facts.name) == ("cifar-linear", "model")


FOREIGN = {
    "page.pth": (b"<!DOCTYPE html><html>", "a web page"),
    "pointer.pth": (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
    "packed.pth": (gzip.compress(b"x"), "compressed with gzip; unpack it"),
    "lua.t7": (b"\x04\x00\x00\x00\x01\x00\x00\x00" + bytes(30), "a file of Lua Torch"),
    "arrays.mat": (b"MATLAB 5.0 MAT-file" + bytes(120), "a MATLAB file"),
    "alexnet.caffemodel": (b"\n\x07AlexNet", "a Caffe model"),
    "model.ckpt.index": (bytes(20), "a part of a TensorFlow checkpoint"),
    "model.onnx": (b"\x08\x07\x12\x07pytorch", "an ONNX model"),
    "model.bin": (b"nothing that is known", "unknown format of weights; known: .safetensors"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_other_programs_are_named(tmp_path: Path, name: str) -> None:
    content, what = FOREIGN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        open_weights(name)
    assert str(caught.value).startswith(f"{name}: {what}")
    assert "\n" not in str(caught.value)


def test_an_hdf5_file_without_layers_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data/images"] = np.zeros(3)
    with pytest.raises(UserError, match=r"an HDF5 file without layers of Keras \(data\)"):
        open_weights("a.h5")


def test_torchs_own_cache_is_used_and_checked_by_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SOURCES["torchvision"]
    hub = tmp_path / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (hub / source.file).write_bytes(b"another file")
    assert source.path() == hub / source.file
    with pytest.raises(UserError, match=r"wrong checksum of \S*torch/hub/checkpoints"):
        open_weights("torchvision")
    own = tmp_path / "cache" / "downloads" / source.file
    own.parent.mkdir(parents=True)
    own.write_bytes(b"x")
    assert source.path() == own  # ours comes first


def test_the_format_of_a_truncated_file_is_that_of_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **weights("cifar-linear", "conv1"))
    assert format_of(path) == ".npz"
    path.write_bytes(path.read_bytes()[:100])
    assert format_of(path) is None
    with pytest.raises(UserError, match=r"not a whole \.npz file"):
        open_weights(str(path))
