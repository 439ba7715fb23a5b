"""Which network a set of tensors belongs to; every way in which one can fail to."""

import re

import pytest

from bench.core.errors import UserError
from bench.networks.architecture import Architecture, Dense, Shape
from bench.networks.variants import HEADS, VARIANTS, variant
from bench.networks.weight_names import TORCHVISION_NAMES, core_names, published_names
from bench.weights.identify import identify
from tests.support import weight_examples as examples

ALIKE = ("cifar-lrn", "cifar-plain")


def shapes_of(architecture: Architecture) -> dict[str, Shape]:
    return architecture.weight_shapes() | architecture.statistic_shapes()


SAME_HEADS = {
    ("cifar-3x3", "pool-narrow"): "narrow",
    ("cifar-3x3-wide", "pool-narrow"): "narrow",
    ("cifar-linear", "pool-narrow"): "narrow",
    ("cifar-linear", "pool-linear"): "replace-last",
}
"""Heads on the last pool that are another head as well, since there is one dense layer or two.
Dropout apart, which has no weights, these are one network."""

CASES = [(name, head) for name in VARIANTS if name not in ALIKE for head in HEADS]


@pytest.mark.parametrize(("name", "head"), [case for case in CASES if case not in SAME_HEADS])
def test_every_network_is_identified_from_its_shapes(name: str, head: str) -> None:
    wanted = variant(name).architecture(7, head=head)
    found = identify(shapes_of(wanted), "file")
    assert (found.variant, found.head, found.classes) == (name, head, 7)
    assert found.input_size == variant(name).input_size
    assert found.architecture == wanted
    assert not found.missing


@pytest.mark.parametrize(("name", "head"), SAME_HEADS)
def test_of_two_heads_with_the_same_weights_the_first_is_taken(name: str, head: str) -> None:
    found = identify(shapes_of(variant(name).architecture(7, head=head)), "file")
    assert (found.variant, found.head, found.classes) == (name, SAME_HEADS[name, head], 7)


@pytest.mark.parametrize("name", ALIKE)
def test_networks_with_the_same_tensors_have_to_be_named(name: str) -> None:
    shapes = shapes_of(variant(name).architecture())
    assert identify(shapes, "file", named=name).variant == name
    with pytest.raises(UserError, match=r"file: fits cifar-lrn, cifar-plain alike.*--variant"):
        identify(shapes, "file")


@pytest.mark.parametrize(("name", "size"), [("imagenet-lrn", 195), ("cifar-bn", 64)])
def test_the_image_size_follows_from_the_first_dense_layer(name: str, size: int) -> None:
    wanted = variant(name).architecture(10, input_size=size)
    found = identify(shapes_of(wanted), "file")
    assert found.input_size is not None
    same = variant(name).architecture(10, input_size=found.input_size)
    assert shapes_of(found.architecture) == shapes_of(same) == shapes_of(wanted)
    assert found.input_size <= size  # the smallest that fits


@pytest.mark.parametrize(
    ("name", "layers", "alike"),
    [
        (
            "imagenet-lrn",
            ("dense1", "dense2"),
            "cifar-lrn, cifar-plain, cifar-dense, imagenet-lrn, t",
        ),
        ("cifar-bn", ("conv1", "conv1_bn"), "cifar-bn, cifar-bn2, imagenet-bn"),
        (
            "imagenet-lrn",
            ("conv1",),
            "cifar-bn, cifar-lrn, cifar-bn2, cifar-plain, imagenet-lrn, imagenet-bn",
        ),
    ],
)
def test_layers_that_several_networks_have_are_not_guessed(
    name: str, layers: tuple[str, ...], alike: str
) -> None:
    part = examples.only(shapes_of(variant(name).architecture()), *layers)
    with pytest.raises(UserError, match=f"file: fits {alike}.* alike"):
        identify(part, "file")
    assert identify(part, "file", named=name).layers == layers


def test_layers_may_be_missing() -> None:
    trunk = examples.only(
        shapes_of(variant("imagenet-lrn").architecture()), "conv1", "conv2", "conv4"
    )
    found = identify(trunk, "file")
    assert (found.variant, found.head) == ("imagenet-lrn", "source")  # and not imagenet-bn
    assert found.layers == ("conv1", "conv2", "conv4")
    assert found.missing == ("conv3", "conv5", "dense1", "dense2", "dense3")
    assert (found.classes, found.input_size) == (None, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv3.bias": None}, "does not fit torchvision: conv3.bias (384,) is missing"),
        ({"conv3.bias": (383,)}, "conv3.bias is (383,), expected (384,)"),
        ({"dense2.weight": (4096, 4095)}, "dense2.weight is (4096, 4095), expected (4096, 4096)"),
        ({"dense1.weight": (4096, 9217)}, "dense1.weight is (4096, 9217), expected (4096, 9216)"),
        ({"conv9.weight": (3, 3)}, "conv9.weight (3, 3) has no place in it"),
        ({"scale": ()}, "scale () has no place in it"),
        ({"conv2.weight": (5, 5, 64, 192)}, "this is HWIO (Keras's order)"),
        ({"dense3.bias": (10,)}, "dense3.bias is (10,), expected (1000,)"),
        ({"dense3.weight": (10,)}, "dense3.weight is (10,), expected (1000, 4096)"),
        ({"conv1.bias": (1,), "x": (1,)}, "; 1 more do not fit"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change: dict[str, Shape | None], message: str) -> None:
    changed = shapes_of(variant("torchvision").architecture()) | change
    shapes = {name: shape for name, shape in changed.items() if shape is not None}
    with pytest.raises(UserError, match=re.escape(message)):
        identify(shapes, "file")


def test_another_network_is_said_to_be_one() -> None:
    vgg = {f"features.{i}.weight": (64 * (i + 1), 64, 3, 3) for i in (0, 2, 5, 7)}
    with pytest.raises(UserError, match="of another network") as caught:
        identify(vgg, "file")
    assert "features.0.weight" in str(caught.value) or "features.2.weight" in str(caught.value)


def test_the_file_is_told_its_own_names() -> None:
    ours = core_names(["features.6.weight"])
    with pytest.raises(UserError, match=r"features\.6\.bias \(384,\) is missing"):
        identify(
            {"conv3.weight": (384, 192, 3, 3)},
            "file",
            named="torchvision",
            theirs={new: old for old, new in ours.items()},
        )


def test_nothing_is_not_a_network() -> None:
    with pytest.raises(UserError, match="no weights in it"):
        identify({}, "file")


@pytest.mark.parametrize("wrapper", ["", "module.", "_orig_mod.", "_orig_mod.module."])
def test_torchvisions_names_are_known_however_they_are_wrapped(wrapper: str) -> None:
    theirs = [f"{wrapper}{name}.weight" for name in TORCHVISION_NAMES]
    counter = f"{wrapper}bn.num_batches_tracked"
    found = core_names([*theirs, counter])
    assert found == {
        f"{wrapper}{name}.weight": f"{ours}.weight" for name, ours in TORCHVISION_NAMES.items()
    }


def test_published_names_are_torchvisions_for_its_network_alone() -> None:
    for head in ("source", "replace-last"):
        architecture = variant("torchvision").architecture(10, head=head)
        names = published_names(architecture.weight_shapes(), "torchvision", head)
        assert set(names.values()) == {
            f"{name}.{part}" for name in TORCHVISION_NAMES for part in ("weight", "bias")
        }
        assert core_names(names.values(), head) == {new: old for old, new in names.items()}
    own = variant("imagenet-lrn").architecture().weight_shapes()
    assert published_names(own, "imagenet-lrn", "source") == {name: name for name in own}
    narrow = variant("torchvision").architecture(10, head="narrow").weight_shapes()
    assert published_names(narrow, "torchvision", "narrow") == {name: name for name in narrow}


def test_every_variant_ends_in_a_dense_layer() -> None:
    """What tells the number of classes."""
    for row in VARIANTS.values():
        kinds = [type(layer) for layer in row.architecture().layers]
        assert Dense in kinds
