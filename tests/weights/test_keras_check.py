"""What a Keras model's config says about its layers, compared with the network of its weights."""

import copy
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from bench.core.errors import UserError
from bench.networks import layouts
from bench.networks.architecture import Architecture
from bench.networks.preprocessing import TORCHVISION
from bench.networks.pretrained import Facts, Pretrained
from bench.networks.variants import variant
from bench.weights.convert import carried_over
from bench.weights.keras_models import config as keras_config
from bench.weights.keras_models.check import Check, compared
from bench.weights.sources import open_weights
from tests.support import weight_examples as examples
from tests.support.weight_examples import MIXED

Config = dict[str, Any]


def entry(kind: str, name: str, **own: Any) -> Config:
    """A layer as Keras 3 writes it."""
    config = {"name": name, "trainable": True, "dtype": "float32", **own}
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}


def conv(name: str, kernel: int, stride: int = 1, activation: str = "linear", **own: Any) -> Config:
    usual = {
        "kernel_size": [kernel, kernel],
        "strides": [stride, stride],
        "padding": "valid",
        "data_format": "channels_last",
        "dilation_rate": [1, 1],
        "groups": 1,
    }
    return entry("Conv2D", name, activation=activation, **usual | own)


def pool(kind: str, name: str, size: int, stride: int, **own: Any) -> Config:
    usual = {"pool_size": [size, size], "strides": [stride, stride], "padding": "valid"}
    return entry(kind, name, **usual | {"data_format": "channels_last"} | own)


def norm(name: str, **own: Any) -> Config:
    usual = {"axis": -1, "momentum": 0.9, "epsilon": 1e-5}
    return entry("BatchNormalization", name, **usual | own)


def sequential(*layers: Config, shape: tuple[int, int, int] = (32, 32, 3)) -> Config:
    start = entry("InputLayer", "input_layer", batch_shape=[None, *shape])
    config = {"name": "sequential", "layers": [start, *layers]}
    return {"module": "keras", "class_name": "Sequential", "config": config}


def bn2() -> list[Config]:
    """`cifar-bn2` as a user writes it: ``same`` paddings, activations within layers."""
    same = {"padding": "same", "activation": "relu"}
    dense = [
        layer
        for i, units in enumerate((4096, 4096, 1000), 1)
        for layer in (
            entry("Dense", f"dense_{i}", units=units, activation="relu"),
            entry("Dropout", f"dropout_{i}", rate=0.4),
        )
    ]
    return [
        conv("conv2d", 11, 4, **same),
        norm("batch_normalization"),
        pool("MaxPooling2D", "max_pooling2d", 2, 2, padding="same"),
        conv("conv2d_1", 5, **same),
        norm("batch_normalization_1"),
        pool("MaxPooling2D", "max_pooling2d_1", 2, 2),
        conv("conv2d_2", 3, **same),
        conv("conv2d_3", 3, **same),
        conv("conv2d_4", 3, padding="same"),
        entry("Activation", "activation", activation="relu"),
        pool("MaxPooling2D", "max_pooling2d_2", 2, 2),
        entry("Flatten", "flatten", data_format="channels_last"),
        *dense,
        entry("Dense", "dense_4", units=10, activation="linear"),
    ]


def network() -> Architecture:
    return variant("cifar-bn2").architecture()


def check(layers: list[Config]) -> Check:
    return compared(sequential(*layers), network(), "own.keras")


def test_the_same_layers_pass_and_nothing_is_carried_over() -> None:
    assert check(bn2()) == Check(network())


def changed(place: int, **own: Any) -> Callable[[list[Config]], None]:
    return lambda layers: layers[place]["config"].update(own)


def becomes(place: int, layer: Config) -> Callable[[list[Config]], None]:
    return lambda layers: layers.__setitem__(place, layer)


DIFFERENCES: dict[str, tuple[Callable[[list[Config]], None], str]] = {
    "activation": (
        changed(0, activation="tanh"),
        "layer conv2d has the activation tanh, and cifar-bn2 has a ReLU there (conv1_relu)",
    ),
    "no activation": (
        changed(3, activation="linear"),
        "layer batch_normalization_1 has a BatchNorm, and cifar-bn2 has a ReLU there (conv2_relu)",
    ),
    "kind of pool": (
        becomes(2, pool("AveragePooling2D", "average_pooling2d", 2, 2)),
        "layer average_pooling2d has an average pool, and cifar-bn2 has a max pool there (pool1)",
    ),
    "size of a pool": (
        changed(5, pool_size=[3, 3]),
        "layer max_pooling2d_1 has size 3, and cifar-bn2's pool2 has 2",
    ),
    "strides of a pool": (
        changed(5, strides=[1, 1]),
        "layer max_pooling2d_1 has stride 1, and cifar-bn2's pool2 has 2",
    ),
    "padding of a pool": (
        changed(5, pool_size=[2, 2], strides=[2, 2], padding="same"),
        "",  # even extents: nothing is padded
    ),
    "strides of a convolution": (
        changed(0, strides=[2, 2]),
        "layer conv2d has stride 2, and cifar-bn2's conv1 has 4",
    ),
    "padding of a convolution": (
        changed(6, padding="valid"),
        "layer conv2d_2 has padding (0, 0), and cifar-bn2's conv3 has (1, 1)",
    ),
    "groups": (
        changed(6, groups=2),
        "layer conv2d_2 has groups 2, and cifar-bn2's conv3 has 1",
    ),
    "dilation": (
        changed(6, dilation_rate=[2, 2]),
        "layer conv2d_2 has dilation 2, and cifar-bn2's conv3 has 1",
    ),
    "axis of BatchNorm": (
        changed(1, axis=1),
        "layer batch_normalization has axis 1, and cifar-bn2's conv1_bn has -1",
    ),
    "data_format": (
        changed(0, data_format="channels_first"),
        "layer conv2d has data_format channels_first, and cifar-bn2's conv1 has channels_last",
    ),
    "order": (
        lambda layers: layers.insert(3, layers.pop(1)),  # BatchNorm after the pool
        "layer max_pooling2d has a max pool, and cifar-bn2 has a BatchNorm there (conv1_bn)",
    ),
    "scaled inputs": (
        lambda layers: layers.insert(0, entry("Rescaling", "rescaling", scale=1 / 255)),
        "layer rescaling has a Rescaling, and cifar-bn2 has a convolution there (conv1)",
    ),
    "a layer more": (
        lambda layers: layers.append(entry("ReLU", "re_lu")),
        "layer re_lu has a ReLU after the end of cifar-bn2",
    ),
    "another ReLU": (
        becomes(9, entry("ReLU", "re_lu", max_value=6.0, negative_slope=0.0, threshold=0.0)),
        "layer re_lu has max_value 6.0, and cifar-bn2's conv5_relu has None",
    ),
    "code": (
        becomes(9, entry("Lambda", "lambda", function="…")),
        "layer lambda has a Lambda, and cifar-bn2 has a ReLU there (conv5_relu)",
    ),
    "a class of the user's": (
        becomes(9, entry("ReLU", "mine") | {"registered_name": "mine>ReLU"}),
        "layer mine has a ReLU of a program of its own, and cifar-bn2 has a ReLU there",
    ),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_what_differs_is_refused_in_one_line_with_both_values(name: str) -> None:
    change, message = DIFFERENCES[name]
    layers = copy.deepcopy(bn2())
    change(layers)
    if not message:
        assert check(layers) == Check(network())
        return
    with pytest.raises(UserError) as caught:
        check(layers)
    assert str(caught.value).startswith(f"own.keras: {message}")
    assert "\n" not in str(caught.value)


def test_constants_that_a_row_has_are_carried_over() -> None:
    layers = bn2()
    for place in (1, 4):
        layers[place]["config"].update(epsilon=1e-3, momentum=0.99)
    layers[13]["config"]["rate"] = 0.5
    found = check(layers).constants
    assert found == {
        "conv1_bn": {"eps": 1e-3, "momentum": 0.99},
        "conv2_bn": {"eps": 1e-3, "momentum": 0.99},
        "dense1_dropout": {"rate": 0.5},
    }
    rows = {row.name: row for row in network().with_constants(found).layers}
    assert (rows["conv1_bn"].eps, rows["conv2_bn"].momentum) == (1e-3, 0.99)  # type: ignore[attr-defined]
    facts = Facts("own", "0" * 64, "cifar-bn2", (), TORCHVISION, constants=found)
    (sentence,) = carried_over(facts)
    assert "eps 0.001 (cifar-bn2 has 1e-05) in conv1_bn, conv2_bn" in sentence
    assert "rate 0.5 (cifar-bn2 has 0.4) in dense1_dropout" in sentence


def test_what_acts_in_training_alone_is_noted() -> None:
    layers = bn2()
    del layers[13]  # a dropout
    layers.insert(0, entry("RandomFlip", "random_flip"))
    found = check(layers)
    assert found.architecture == network()
    dropout, idle = found.notes
    assert "dropout stands at other places than in cifar-bn2" in dropout
    assert "random_flip (RandomFlip)" in idle


def test_a_softmax_at_the_end_is_noted_and_one_elsewhere_refused() -> None:
    layers = bn2()
    layers[-1]["config"]["activation"] = "softmax"
    found = check(layers)
    assert found.softmax
    assert found.notes == ("the softmax at the end is left out: outputs are logits",)
    found = check([*bn2(), entry("Softmax", "softmax", axis=-1)])
    assert found.softmax
    with pytest.raises(UserError, match="layer softmax has a Softmax over the axis 0 after the"):
        check([*bn2(), entry("Softmax", "softmax", axis=0)])
    layers = bn2()
    layers[0]["config"]["activation"] = "softmax"
    with pytest.raises(UserError, match="layer conv2d has the activation softmax"):
        check(layers)


def test_a_model_may_end_before_the_network_does() -> None:
    found = check(bn2()[:11])
    assert found.architecture.layers[-1].name == "pool5"


def test_a_model_with_another_head_is_compared_as_far_as_its_layers_are_taken() -> None:
    rows = network()
    first = replace(rows, layers=rows.layers[:3])
    other = [*bn2()[:2], entry("Flatten", "flat"), entry("Dense", "mine", units=3)]
    assert compared(sequential(*other), first, "x", partial=True) == Check(first)
    with pytest.raises(UserError, match="and cifar-bn2 has"):
        compared(sequential(*other), rows, "x")
    other[0]["config"]["activation"] = "tanh"
    with pytest.raises(UserError, match="the activation tanh"):
        compared(sequential(*other), first, "x", partial=True)


@pytest.mark.parametrize("shape", [(64, 64, 3), (32, 40, 3), (32, 32, 1)])
def test_images_of_another_shape_are_refused(shape: tuple[int, int, int]) -> None:
    model = sequential(*bn2(), shape=shape)
    with pytest.raises(UserError, match=r"takes inputs of \(.*and cifar-bn2 of \(32, 32, 3\)"):
        compared(model, network(), "own.keras")


def node(name: str) -> Config:
    tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}
    return {"args": [tensor], "kwargs": {}}


def functional(*layers: Config) -> Config:
    """A chain, as Keras writes a functional model."""
    before, named = [], [entry("InputLayer", "images", batch_shape=[None, 32, 32, 3]), *layers]
    for layer in named:
        nodes = [node(before[-1])] if before else []
        layer |= {"name": layer["config"]["name"], "inbound_nodes": nodes}
        before.append(layer["name"])
    config = {"name": "functional", "layers": named[::-1]}  # the nodes have the order
    return {"module": "keras", "class_name": "Functional", "config": config}


def test_a_functional_model_is_read_along_its_nodes() -> None:
    assert compared(functional(*bn2()), network(), "x") == Check(network())


def test_a_functional_model_that_branches_is_refused() -> None:
    model = functional(*bn2())
    by_name = {layer["name"]: layer for layer in model["config"]["layers"]}
    by_name["dropout_1"]["inbound_nodes"].append(node("flatten"))
    with pytest.raises(UserError, match="layer dropout_1 is used 2 times"):
        compared(model, network(), "x")
    model = functional(*bn2())
    by_name = {layer["name"]: layer for layer in model["config"]["layers"]}
    by_name["dense_2"]["inbound_nodes"][0]["args"].append(node("flatten")["args"][0])
    with pytest.raises(UserError, match=r"layer flatten goes to .*dense_2.*; expected a chain"):
        compared(model, network(), "x")


def test_models_within_models_are_one_chain() -> None:
    first = sequential(*bn2()[:6])
    assert compared(sequential(first, *bn2()[6:]), network(), "x") == Check(network())


def test_a_refusal_cites_the_beginning_of_a_value() -> None:
    """Found by mutation: a class name of nested lists came back whole, in thousands of letters."""
    model = {"module": "own", "class_name": [["a\nb"] * 50] * 50, "config": {"layers": []}}
    with pytest.raises(UserError) as caught:
        compared(model, network(), "x")
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_a_class_of_the_users_own_says_what_to_do() -> None:
    model = {"module": "own", "class_name": "Net", "config": {}, "registered_name": "own>Net"}
    with pytest.raises(UserError, match=r"a class of its own \(Net\).*keras.Sequential.*weights"):
        compared(model, network(), "x")


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{", b"[" * 100_000, b'{"config": 3, "class_name": "Sequential"}', b"{}"],
)
def test_a_damaged_config_is_one_line(text: bytes) -> None:
    with pytest.raises(UserError, match=r"x: its config ") as caught:
        compared(keras_config.parse(text, "x"), network(), "x")
    assert "\n" not in str(caught.value)


def test_a_circle_of_layers_ends() -> None:
    model = functional(*bn2()[:3])
    by_name = {layer["name"]: layer for layer in model["config"]["layers"]}
    by_name["conv2d"]["inbound_nodes"][0]["args"].append(node("max_pooling2d")["args"][0])
    with pytest.raises(UserError, match="form a circle"):
        compared(model, network(), "x")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"class_name": "Conv2D", "module": "keras.layers"}, None),
        ({"a": [{"class_name": "__lambda__"}]}, "__lambda__"),
        ({"a": {"class_name": "run", "module": "os"}}, "os.run"),
        ({"class_name": "A", "module": "keras", "registered_name": "b>A"}, "keras.A"),
    ],
)
def test_what_is_not_kerass_own_is_found_before_a_model_is_loaded(value: Any, name: str) -> None:
    assert keras_config.foreign(value) == name


# ---- files


def plain_file(path: Path, config: Config, weights: dict[str, Any]) -> Path:
    """A ``.keras`` as Keras writes it, with the weights of the network under the core's names."""
    layers: dict[str, list[Any]] = {}
    order = layouts.flattened(network())
    for name, array in weights.items():
        layers.setdefault(name.rpartition(".")[0], []).append(layouts.to_keras(name, array, order))
    with h5py.File(path.with_suffix(".tmp"), "w") as file:
        for name, arrays in layers.items():
            group = file.create_group(f"layers/{name}/vars")
            group.attrs["name"] = name
            for index, array in enumerate(arrays):
                group[str(index)] = array
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.write(path.with_suffix(".tmp"), "model.weights.h5")
    return path


def trunk() -> dict[str, Any]:
    """Of `cifar-bn2`, up to the last pool; statistics after the trained weights of a layer."""
    names = ("conv1", "conv1_bn", "conv2", "conv2_bn", "conv3", "conv4", "conv5")
    found = examples.weights("cifar-bn2", *names)
    return {name: found[name] for layer in names for name in found if name.startswith(f"{layer}.")}


def test_a_files_config_decides_about_its_weights(tmp_path: Path) -> None:
    layers = bn2()[:11]
    layers[1]["config"]["epsilon"] = 1e-3
    path = plain_file(tmp_path / "own.keras", sequential(*layers), trunk())
    found, prepared = open_weights(str(path), named="cifar-bn2")
    assert found.facts.constants == {"conv1_bn": {"eps": 1e-3}}
    assert Pretrained.load(prepared).facts == found.facts
    layers[2] = pool("AveragePooling2D", "average", 2, 2)
    path = plain_file(tmp_path / "other.keras", sequential(*layers), trunk())
    with pytest.raises(UserError, match=r"other\.keras: layer average has an average pool"):
        open_weights(str(path), named="cifar-bn2")


def test_constants_travel_with_plain_files_and_are_checked(tmp_path: Path) -> None:
    constants = {"conv2_bn": {"eps": 0.25}}
    for given, message in (
        (constants, None),
        ({"conv2_bn": {"eps": -1.0}}, "constants of no layer"),
        ({"conv2": {"eps": 0.25}}, "constants of no layer"),
        ({"conv2_bn": {"name": 0.25}}, "constants of no layer"),
        ({"conv2_bn": 3}, "constants of no layer"),
    ):
        facts = json.dumps({"variant": "mixed", "constants": given})
        path = examples.write(tmp_path / "a.safetensors", examples.weights(), alexbench=facts)
        if message:
            with pytest.raises(UserError, match=message):
                open_weights(str(path))
        else:
            found = open_weights(str(path))[0].facts
            rows = {row.name: row for row in found.architecture().layers}
            assert rows["conv2_bn"].eps == 0.25  # type: ignore[attr-defined]


def test_training_goes_on_from_the_same_epsilon_only() -> None:
    constants = {"conv2_bn": {"eps": 0.25, "momentum": 0.5}}
    facts = Facts("own", "0" * 64, "mixed", (), TORCHVISION, constants=constants)
    source = Pretrained(facts, examples.weights())
    with pytest.raises(UserError, match=r"conv2_bn has epsilon 0\.25, and mixed is trained with"):
        source.fit(MIXED.architecture(), 0)
    assert source.fit(facts.architecture(), 0)[1]


def test_kerass_older_files_are_read(tmp_path: Path) -> None:
    """An ``.h5`` of a whole model: the config in an attribute, layers in the order of the model."""
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(sequential(*bn2()[:11]))
        root = file.create_group("model_weights")
        by_layer: dict[str, list[str]] = {}
        for name, array in trunk().items():
            layer = name.rpartition(".")[0]
            path = f"sequential/{layer}/{name}"
            group = root.require_group(layer)
            group[path] = layouts.to_keras(name, array, {})
            by_layer.setdefault(layer, []).append(path)
        root.attrs["layer_names"] = [name.encode() for name in by_layer]
        for layer, paths in by_layer.items():
            root[layer].attrs["weight_names"] = [path.encode() for path in paths]
    found, _ = open_weights(str(tmp_path / "own.h5"), named="cifar-bn2")
    assert found.facts.layers[:2] == ("conv1", "conv1_bn")
    for name, array in trunk().items():
        assert np.array_equal(found.tensors[name], array)
    with h5py.File(tmp_path / "own.h5", "a") as file:
        layers = bn2()[:11]
        layers[0]["config"]["activation"] = "tanh"
        file.attrs["model_config"] = json.dumps(sequential(*layers))
    with pytest.raises(UserError, match="layer conv2d has the activation tanh"):
        open_weights(str(tmp_path / "own.h5"), named="cifar-bn2")
