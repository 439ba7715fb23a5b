"""Shapes, parameters and operations against numbers worked out by hand."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import UserError
from bench.networks.architecture import (
    LAYERS,
    Architecture,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LocalResponseNorm,
    MaxPool,
    ReLU,
)
from bench.networks.variants import HEADS, VARIANTS, variant
from tests.frameworks.support.networks import TINY


def network(*layers: Layer, size: int = 10) -> Architecture:
    return Architecture("n", "synthetic", size, layers)


SMALL = network(
    Conv("c1", 4, 3, stride=2, padding=(0, 1)),  # 10 + 1 - 3 = 8, / 2, + 1 = 5
    BatchNorm("c1_bn"),
    ReLU("c1_relu"),
    Conv("c2", 6, 2, groups=2),  # 5 - 2 + 1 = 4
    MaxPool("p", 3, 2),  # (4 - 3) // 2 + 1 = 1: the last row is cut
    Flatten("f"),
    Dropout("drop", 0.25),
    Dense("d", 5),
)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "after"),
    [
        (32, 11, 4, (3, 4), 8),  # cifar: "same" at stride 4
        (227, 11, 4, (0, 0), 55),
        (224, 11, 4, (0, 0), 54),
        (224, 11, 4, (2, 2), 55),
        (27, 5, 1, (2, 2), 27),
        (10, 3, 3, (0, 0), 3),  # a rest that no window fills
        (10, 3, 3, (0, 2), 4),
        (3, 3, 1, (0, 0), 1),
    ],
)
def test_convolution_extent(
    size: int, kernel: int, stride: int, padding: tuple[int, int], after: int
) -> None:
    conv = Conv("c", 7, kernel, stride=stride, padding=padding)
    assert conv.output_shape((3, size, size)) == (7, after, after)
    # Counted: the windows whose first and last rows lie within the padded image.
    end = size + sum(padding) - kernel
    assert len(range(0, end + 1, stride)) == after


@pytest.mark.parametrize(
    ("size", "stride", "before", "after"),
    [(3, 2, 55, 27), (3, 2, 54, 26), (2, 2, 8, 4), (2, 2, 7, 3), (3, 2, 4, 1), (3, 3, 3, 1)],
)
def test_pool_cuts_what_fills_no_window(size: int, stride: int, before: int, after: int) -> None:
    pool = MaxPool("p", size, stride)
    assert pool.output_shape((9, before, before)) == (9, after, after)


def test_height_and_width_are_kept_apart() -> None:
    assert Conv("c", 2, 3).output_shape((3, 7, 9)) == (2, 5, 7)
    assert MaxPool("p", 2, 2).output_shape((3, 7, 9)) == (3, 3, 4)


def test_shapes_along_a_network() -> None:
    shapes = [(step.layer.name, step.before, step.after) for step in SMALL.steps()]
    assert shapes == [
        ("c1", (3, 10, 10), (4, 5, 5)),
        ("c1_bn", (4, 5, 5), (4, 5, 5)),
        ("c1_relu", (4, 5, 5), (4, 5, 5)),
        ("c2", (4, 5, 5), (6, 4, 4)),
        ("p", (6, 4, 4), (6, 1, 1)),
        ("f", (6, 1, 1), (6,)),
        ("drop", (6,), (6,)),
        ("d", (6,), (5,)),
    ]
    assert SMALL.classes == 5


def test_weights_in_the_order_of_the_layers() -> None:
    assert list(SMALL.weight_shapes().items()) == [
        ("c1.weight", (4, 3, 3, 3)),
        ("c1.bias", (4,)),
        ("c1_bn.weight", (4,)),
        ("c1_bn.bias", (4,)),
        ("c2.weight", (6, 2, 2, 2)),  # two groups: each filter sees half of the channels
        ("c2.bias", (6,)),
        ("d.weight", (5, 6)),
        ("d.bias", (5,)),
    ]
    assert list(SMALL.statistic_shapes().items()) == [
        ("c1_bn.running_mean", (4,)),
        ("c1_bn.running_var", (4,)),
    ]


def test_parameters_count_what_is_trained() -> None:
    # conv 4·3·3·3 + 4, BN 4 + 4, conv 6·2·2·2 + 6, dense 5·6 + 5; not the running moments
    assert SMALL.parameters == 112 + 8 + 54 + 35


def test_operations_are_two_per_multiply_accumulate() -> None:
    first = 4 * 5 * 5 * 3 * 3 * 3
    macs = first + 6 * 4 * 4 * 2 * 2 * 2 + 5 * 6
    assert SMALL.forward_flops() == 2 * macs
    # Three times as much to train, but the gradient of the image is not needed.
    assert SMALL.training_flops() == 6 * macs - 2 * first


@pytest.mark.parametrize(
    ("row", "size", "sees"),
    [
        (Conv("c", 4, 3, padding=(1, 1)), (2, 2), True),
        (Conv("c", 4, 3, padding=(1, 1)), (2, 3), False),  # from one end not the other
        (Conv("c", 4, 5, padding=(2, 2)), (3, 3), True),
        (Conv("c", 4, 5, padding=(2, 2)), (4, 4), False),
        (Conv("c", 4, 1), (1, 1), True),
        (Conv("c", 4, 3), (3, 3), False),  # one place comes out
        (Conv("c", 4, 3, padding=(0, 2)), (2, 2), False),
        (Conv("c", 4, 3, stride=2, padding=(1, 1)), (2, 2), False),
        (Conv("c", 4, 3, padding=(1, 1), groups=2), (2, 2), False),
        (Conv("c", 4, 4, padding=(1, 2)), (2, 2), False),
    ],
)
def test_whether_every_window_sees_the_whole_map(
    row: Conv, size: tuple[int, int], sees: bool
) -> None:
    assert row.sees_all((8, *size)) is sees


def test_a_convolution_as_a_dense_layer_multiplies_no_padding() -> None:
    pair = network(
        Conv("first", 4, 3, padding=(1, 1)),  # 3 x 2 x 2 -> 4 x 2 x 2, sees all
        MaxPool("pool", 2, 2),
        Flatten("f"),
        Dense("d", 2),
        size=2,
    )
    counted, executed = (4 * 2 * 2) * (3 * 9), (4 * 2 * 2) * (3 * 2 * 2)
    dense = 4 * 2
    assert pair.training_flops() == 6 * (counted + dense) - 2 * counted
    assert pair.training_flops(small_maps_dense=True) == 6 * (executed + dense) - 2 * executed
    # Only where every window sees the whole map.
    assert SMALL.training_flops(small_maps_dense=True) == SMALL.training_flops()


def test_dense_alone_counts_its_operations() -> None:
    assert network(Flatten("f"), Dense("d", 2), size=2).forward_flops() == 2 * 2 * 12


def test_dropouts_with_shape_and_rate() -> None:
    assert SMALL.dropouts() == {"drop": ((6,), 0.25)}


names = st.sampled_from(sorted(VARIANTS))


@given(
    name=names,
    head=st.sampled_from(HEADS),
    classes=st.integers(1, 2000),
    size=st.integers(67, 300),
)
@settings(max_examples=60, deadline=None)
def test_json_round_trip(name: str, head: str, classes: int, size: int) -> None:
    architecture = variant(name).architecture(classes, head=head, input_size=size)
    text = json.dumps(architecture.to_json())
    assert Architecture.from_json(json.loads(text)) == architecture
    assert architecture.classes == classes


def test_json_round_trip_keeps_every_setting() -> None:
    assert {type(layer) for layer in TINY.layers} == set(LAYERS.values())
    again = Architecture.from_json(json.loads(json.dumps(TINY.to_json())))
    assert again == TINY
    # Equality of dataclasses would not see a tuple that came back as a list of equal settings.
    assert [hash(layer) for layer in again.layers] == [hash(layer) for layer in TINY.layers]


def test_channels_survive_json() -> None:
    grey = replace(TINY, channels=1)
    assert Architecture.from_json(grey.to_json()).weight_shapes()["c1.weight"] == (8, 1, 5, 5)


def test_unknown_layer_kind() -> None:
    value = {**TINY.to_json(), "layers": [{"kind": "warp", "name": "w"}]}
    with pytest.raises(UserError, match=r"'warp'.*conv"):
        Architecture.from_json(value)


@pytest.mark.parametrize(
    ("layers", "size", "said"),
    [
        ((Conv("c", 8, 11),), 10, r"layer c: nothing is left of an extent of 10"),
        ((MaxPool("p", 3, 2),), 2, r"layer p: nothing is left of an extent of 2"),
        ((Conv("c", 8, 3, groups=2),), 10, r"layer c: 3 -> 8 channels .* 2 groups"),
        ((Conv("c", 8, 3, groups=3),), 10, r"layer c: 3 -> 8 channels .* 3 groups"),
        ((Dense("d", 5),), 10, r"layer d: .*flat.*\(3, 10, 10\)"),
        ((Flatten("f"), Conv("c", 8, 3)), 10, r"layer c: .*\(300,\)"),
        ((Flatten("f"), MaxPool("p", 2, 2)), 10, r"layer p: .*\(300,\)"),
    ],
)
def test_layers_that_do_not_fit(layers: tuple[Layer, ...], size: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        list(network(*layers, size=size).steps())


def test_smallest_images_of_the_variants() -> None:
    assert variant("cifar-bn").architecture(input_size=32).classes == 10
    with pytest.raises(UserError, match="pool5"):
        list(variant("cifar-bn").architecture(input_size=31).steps())
    assert variant("imagenet-lrn").architecture(input_size=67).classes == 1000
    with pytest.raises(UserError, match="pool5"):
        list(variant("imagenet-lrn").architecture(input_size=66).steps())


def test_normalisations_have_no_weights_but_batch_norm() -> None:
    shape = (4, 3, 3)
    assert LocalResponseNorm("l").weights(shape) == {}
    assert LocalResponseNorm("l").output_shape(shape) == shape
    assert BatchNorm("b").output_shape(shape) == shape
    assert BatchNorm("b").weights((7,)) == {"b.weight": (7,), "b.bias": (7,)}


# ---- a frozen trunk and what is trained on it


def split(frozen: tuple[str, ...], head: str = "source") -> tuple[Architecture, Architecture]:
    return variant("imagenet-lrn").architecture(10, head=head).split(frozen)


CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5")


def test_a_split_network_is_the_network() -> None:
    whole = variant("imagenet-lrn").architecture(10)
    trunk, head = split(CONVOLUTIONS)
    assert trunk.layers + head.layers == whole.layers
    assert trunk.weight_shapes() | head.weight_shapes() == whole.weight_shapes()
    assert trunk.layers[-1].name == "flatten"
    assert head.input_shape == (256 * 6 * 6,)
    assert head.classes == 10
    assert Architecture.from_json(head.to_json()) == head


def test_dropout_in_front_of_what_is_trained_is_trained_with_it() -> None:
    trunk, head = split((*CONVOLUTIONS, "dense1"))
    assert trunk.layers[-1].name == "dense1_relu"
    assert [layer.name for layer in head.layers[:2]] == ["dense1_dropout", "dense2"]
    assert list(head.dropouts()) == ["dense1_dropout", "dense2_dropout"]


@pytest.mark.parametrize(
    ("frozen", "words"),
    [
        ((*CONVOLUTIONS, "dense1", "dense2", "dense3"), "nothing is left to train"),
        ((), "its first layer is not frozen"),
        (("conv2",), "its first layer is not frozen"),
        (CONVOLUTIONS[:3], "inside the convolutions"),
    ],
)
def test_a_trunk_that_cannot_be_cut_off(frozen: tuple[str, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        split(frozen)
