"""Every row against what its source says of it."""

import pytest

from bench.core.errors import UserError
from bench.networks.architecture import (
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
from bench.networks.variants import HEADS, VARIANTS, Variant, register, variant

CIFAR = ("cifar-bn", "cifar-lrn", "cifar-bn2", "cifar-plain")
IMAGENET = ("imagenet-lrn", "imagenet-bn")


def kinds(name: str) -> list[str]:
    return [layer.kind for layer in variant(name).architecture().layers]


def of_kind(name: str, kind: type[Layer]) -> list[Layer]:
    found = [layer for layer in variant(name).architecture().layers if isinstance(layer, kind)]
    assert found
    return found


def after(name: str, layer: str) -> tuple[int, ...]:
    return next(s.after for s in variant(name).architecture().steps() if s.layer.name == layer)


def before_flatten(architecture: Architecture) -> tuple[int, ...]:
    return next(s.before for s in architecture.steps() if isinstance(s.layer, Flatten))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("cifar-bn", 25_709_350),
        # BN holds 2 · (96 + 256 + 384 + 384 + 256 + 4096 + 4096 + 1000 + 10) of them
        ("cifar-lrn", 25_709_350 - 2 * 10_578),
        ("cifar-bn2", 25_709_350 - 2 * 10_578 + 2 * (96 + 256)),
        ("cifar-plain", 25_709_350 - 2 * 10_578),
        # kernels 9 · (3·64 + 64·256 + 3·256·256), 2304·1024 + 1024·10, biases, BN twice those of
        # all layers but the last
        ("cifar-3x3", 1_918_656 + 2_369_536 + 2_122 + 4_224),
        # kernels 9 · (3·128 + 128·512 + 3·512·512), 4608·1024 + 1024·10, as above
        ("cifar-3x3-wide", 7_671_168 + 4_728_832 + 3_210 + 6_400),
        # kernels 9 · (3·64 + 64·192 + 192·384 + 384·256 + 256·256), dense 1024·4096 + 4096·4096 +
        # 4096·10, biases
        ("cifar-dense", 2_250_432 + 21_012_480 + 1_152 + 8_202),
        # torchvision's five convolutions, and 256·10 + 10
        ("cifar-linear", 2_469_696 + 2_570),
        ("imagenet-lrn", 60_965_224),  # BVLC's own count
        ("imagenet-bn", 60_965_224 + 2 * (96 + 256)),
        # without groups; BN twice 96 + 256 + 384 + 384 + 256
        ("imagenet-bn5", 62_378_344 + 2 * 1_376),
        ("torchvision", 61_100_840),
    ],
)
def test_parameters_at_the_sources_own_classes(name: str, parameters: int) -> None:
    row = variant(name)
    assert row.classes == (10 if name.startswith("cifar") else 1000)
    assert row.architecture().parameters == parameters


def test_every_variant_has_its_count_here() -> None:
    assert set(VARIANTS) == {
        *(*CIFAR, "cifar-3x3", "cifar-3x3-wide", "cifar-dense", "cifar-linear"),
        *(*IMAGENET, "imagenet-bn5", "torchvision"),
    }


def test_operations() -> None:
    # torchvision documents 0.71 GFLOPS for alexnet, meaning multiply-accumulates
    assert round(variant("torchvision").architecture().forward_flops() / 2e9, 2) == 0.71
    # Krizhevsky's two groups halve conv 2, 4 and 5: 724 M, as Caffe's model zoo is counted
    assert round(variant("imagenet-lrn").architecture().forward_flops() / 2e6) == 724
    # Without groups conv 2, 4 and 5 cost twice as much: 448, 224 and 150 M instead of half of that.
    assert round(variant("imagenet-bn5").architecture().forward_flops() / 2e6) == 1135
    # 16·16·1,728 + 8·8·110,592 + 4·4·(663,552 + 884,736 + 589,824) + 21,012,480
    assert variant("cifar-dense").architecture().forward_flops() == 2 * 62_742_528
    # 8·8·23,232 + 4·4·307,200 + 2·2·(663,552 + 884,736 + 589,824) + 2,560
    assert variant("cifar-linear").architecture().forward_flops() == 2 * 14_957_056


@pytest.mark.parametrize("name", [*IMAGENET, "imagenet-bn5"])
def test_extents_of_the_2012_network(name: str) -> None:
    extents = [
        after(name, layer)
        for layer in ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5")
    ]
    assert extents == [
        (96, 55, 55),
        (96, 27, 27),
        (256, 27, 27),
        (256, 13, 13),
        (384, 13, 13),
        (384, 13, 13),
        (256, 13, 13),
        (256, 6, 6),
    ]


@pytest.mark.parametrize("name", [*IMAGENET, "imagenet-bn5"])
def test_224_pixels_break_the_head_of_the_2012_network(name: str) -> None:
    assert before_flatten(variant(name).architecture()) == (256, 6, 6)
    assert before_flatten(variant(name).architecture(input_size=224)) == (256, 5, 5)


def test_extents_of_the_cifar_network() -> None:
    for name in CIFAR:
        assert [after(name, f"pool{i}") for i in (1, 2, 5)] == [
            (96, 4, 4),
            (256, 2, 2),
            (256, 1, 1),
        ]


def test_one_pixel_is_left_for_the_linear_classifier() -> None:
    name = "cifar-linear"
    assert [after(name, layer) for layer in ("conv1", "pool1", "pool2", "pool5")] == [
        (64, 8, 8),
        (64, 4, 4),
        (192, 2, 2),
        (256, 1, 1),
    ]
    own, other = (
        [(c.filters, c.kernel, c.stride) for c in of_kind(row, Conv)]
        for row in (name, "torchvision")
    )
    assert own == other


def test_the_single_tower_has_no_groups() -> None:
    assert {c.groups for c in of_kind("imagenet-bn5", Conv)} == {1}


def test_small_kernels_leave_maps_to_look_at() -> None:
    assert [after("cifar-3x3", f"pool{i}") for i in (1, 2, 5)] == [
        (64, 15, 15),
        (256, 7, 7),
        (256, 3, 3),
    ]
    assert {(c.kernel, c.stride, c.padding) for c in of_kind("cifar-3x3", Conv)} == {(3, 1, (1, 1))}


def test_torchvision_takes_224_pixels() -> None:
    assert variant("torchvision").input_size == 224
    assert before_flatten(variant("torchvision").architecture()) == (256, 6, 6)


def test_convolutions_of_the_cifar_network() -> None:
    for name in CIFAR:
        rows = of_kind(name, Conv)
        assert [(c.filters, c.kernel, c.stride, c.padding, c.groups) for c in rows] == [
            (96, 11, 4, (3, 4), 1),
            (256, 5, 1, (2, 2), 1),
            (384, 3, 1, (1, 1), 1),
            (384, 3, 1, (1, 1), 1),
            (256, 3, 1, (1, 1), 1),
        ]


def test_convolutions_of_the_2012_network() -> None:
    for name in IMAGENET:
        rows = of_kind(name, Conv)
        assert [(c.filters, c.kernel, c.stride, c.padding, c.groups) for c in rows] == [
            (96, 11, 4, (0, 0), 1),
            (256, 5, 1, (2, 2), 2),
            (384, 3, 1, (1, 1), 1),
            (384, 3, 1, (1, 1), 2),
            (256, 3, 1, (1, 1), 2),
        ]


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_pools_stand_after_1_2_and_5(name: str) -> None:
    layers = [x for x in variant(name).architecture().layers if isinstance(x, (Conv, MaxPool))]
    # One letter each: convolution, pool.
    assert "".join(x.kind[0] for x in layers) == "cmcmcccm"
    size = 2 if name in (*CIFAR, "cifar-dense", "cifar-linear") else 3  # 3 at stride 2: overlapping
    assert {(x.size, x.stride) for x in of_kind(name, MaxPool)} == {(size, 2)}


CONV5 = "conv relu conv relu conv relu max_pool flatten"
# A pool takes the largest number before three quarters of them would be normalised in vain.
_3X3 = (
    "conv max_pool batch_norm relu " * 2
    + "conv batch_norm relu " * 2
    + "conv max_pool batch_norm relu flatten dense batch_norm relu dropout dense"
)
ORDERS = {
    "cifar-bn": "conv batch_norm relu max_pool conv batch_norm relu max_pool "
    "conv batch_norm relu conv batch_norm relu conv batch_norm relu max_pool flatten "
    + "dense batch_norm relu dropout " * 3
    + "dense batch_norm",
    "cifar-lrn": f"conv relu lrn max_pool conv relu lrn max_pool {CONV5} "
    + "dense relu dropout " * 3
    + "dense",
    "cifar-bn2": f"conv relu batch_norm max_pool conv relu batch_norm max_pool {CONV5} "
    + "dense relu dropout " * 3
    + "dense",
    "cifar-plain": f"conv relu max_pool conv relu max_pool {CONV5} "
    + "dense relu dropout " * 3
    + "dense",
    "cifar-3x3": _3X3,
    "cifar-3x3-wide": _3X3,
    "imagenet-lrn": f"conv relu lrn max_pool conv relu lrn max_pool {CONV5} "
    + "dense relu dropout " * 2
    + "dense",
    "imagenet-bn": f"conv relu batch_norm max_pool conv relu batch_norm max_pool {CONV5} "
    + "dense relu dropout " * 2
    + "dense",
    "cifar-dense": f"conv relu max_pool conv relu max_pool {CONV5} "
    + "dropout dense relu " * 2
    + "dense",
    "cifar-linear": f"conv relu max_pool conv relu max_pool {CONV5} dense",
    "imagenet-bn5": "conv relu batch_norm max_pool " * 2
    + "conv relu batch_norm " * 3
    + "max_pool flatten "
    + "dense relu dropout " * 2
    + "dense",
    "torchvision": f"conv relu max_pool conv relu max_pool {CONV5} "
    + "dropout dense relu " * 2
    + "dense",
}


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_order_of_the_layers(name: str) -> None:
    assert kinds(name) == ORDERS[name].split()


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_dropout_rates(name: str) -> None:
    layers = variant(name).architecture().layers
    rates = [layer.rate for layer in layers if isinstance(layer, Dropout)]
    assert rates == {"cifar-3x3": [0.2], "cifar-3x3-wide": [0.2], "cifar-linear": []}.get(
        name, [0.4] * 3 if name in CIFAR else [0.5] * 2
    )


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_units_of_the_dense_layers(name: str) -> None:
    units = [layer.units for layer in of_kind(name, Dense)]
    usual = [4096, 4096, 1000, 10] if name in CIFAR else [4096, 4096, 1000]
    own = {
        "cifar-3x3": [1024, 10],
        "cifar-3x3-wide": [1024, 10],
        "cifar-dense": [4096, 4096, 10],
        "cifar-linear": [10],
    }
    assert units == own.get(name, usual)


@pytest.mark.parametrize("name", ["cifar-lrn", "imagenet-lrn"])
def test_constants_of_the_local_response_norm(name: str) -> None:
    rows = of_kind(name, LocalResponseNorm)
    assert [(x.size, x.alpha, x.beta, x.k) for x in rows] == [(5, 1e-4, 0.75, 1.0)] * 2


@pytest.mark.parametrize("name", sorted(VARIANTS))
@pytest.mark.parametrize("head", HEADS)
def test_names_are_unique_and_the_classes_come_last(name: str, head: str) -> None:
    architecture = variant(name).architecture(37, head=head)
    names = [layer.name for layer in architecture.layers]
    assert len(set(names)) == len(names)
    assert architecture.classes == 37
    assert all("." not in layer for layer in names)  # the dot separates layer and weight


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_replaced_last_layer(name: str) -> None:
    source = variant(name).architecture(10).layers
    last = max(i for i, layer in enumerate(source) if isinstance(layer, Dense))
    new = variant(name).architecture(10, head="replace-last").layers
    # Nothing may follow it: cifar-bn's BatchNorm over the old logits goes with them.
    assert new == (*source[:last], Dense("head", 10))


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_narrow_head(name: str) -> None:
    source = variant(name).architecture(10).layers
    hidden = [i for i, layer in enumerate(source) if isinstance(layer, Dense)][-2:][0]
    new = variant(name).architecture(10, head="narrow").layers
    assert new == (
        *source[:hidden],
        Dense("head1", 1024),
        ReLU("head1_relu"),
        Dense("head2", 10),
    )


def test_the_narrow_head_of_torchvision_is_the_article_s() -> None:
    # torchvision.models.alexnet() with classifier[4] = Linear(4096, 1024), [6] = Linear(1024, 10)
    assert variant("torchvision").architecture(10, head="narrow").parameters == 44_428_106


@pytest.mark.parametrize("name", sorted(VARIANTS))
@pytest.mark.parametrize("size", [96, 131, 227])
def test_heads_on_the_last_pool_take_any_size(name: str, size: int) -> None:
    source = variant(name).architecture(10).layers
    flat = next(i for i, layer in enumerate(source) if isinstance(layer, Flatten))
    linear = variant(name).architecture(10, head="pool-linear", input_size=size)
    narrow = variant(name).architecture(10, head="pool-narrow", input_size=size)
    assert linear.layers == (*source[: flat + 1], Dense("head", 10))
    assert narrow.layers == (
        *source[: flat + 1],
        Dense("head1", 1024),
        ReLU("head1_relu"),
        Dropout("head1_dropout", 0.5),
        Dense("head2", 10),
    )
    assert linear.classes == narrow.classes == 10


def test_new_heads_share_no_weight_name_with_the_source() -> None:
    for row in VARIANTS.values():
        source = row.architecture(10).weight_shapes().items()
        for head, own in (("replace-last", {"head"}), ("narrow", {"head1", "head2"})):
            new = row.architecture(10, head=head).weight_shapes().items()
            assert {name.split(".")[0] for name, _ in new - source} == own


def test_unknown_names() -> None:
    with pytest.raises(UserError, match=r"unknown variant 'alexnet'.*cifar-bn.*torchvision"):
        variant("alexnet")
    with pytest.raises(UserError, match=r"unknown head 'big'.*replace-last.*narrow"):
        variant("cifar-bn").architecture(head="big")


def test_a_registered_variant_can_be_asked_for_and_is_not_overwritten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = Variant("mine", "synthetic", 8, 2, lambda n: (Flatten("f"), Dense("d", n)))
    with monkeypatch.context() as patch:
        patch.setattr("bench.networks.variants.VARIANTS", dict(VARIANTS))
        register(row)
        assert variant("mine").architecture().parameters == 2 * 3 * 8 * 8 + 2
        with pytest.raises(UserError, match="'mine' exists already"):
            register(row)
    assert "mine" not in VARIANTS


@pytest.mark.parametrize(("one", "other"), [("cifar-bn2", "cifar-lrn"), IMAGENET[::-1]])
def test_batch_norm_stands_exactly_where_the_other_network_has_lrn(one: str, other: str) -> None:
    pairs = zip(variant(one).layers(10), variant(other).layers(10), strict=True)
    different = [(mine, theirs) for mine, theirs in pairs if mine != theirs]
    assert [(mine.name, theirs.name) for mine, theirs in different] == [
        ("conv1_bn", "conv1_lrn"),
        ("conv2_bn", "conv2_lrn"),
    ]
    for mine, theirs in different:
        assert isinstance(mine, BatchNorm)
        assert isinstance(theirs, LocalResponseNorm)


def test_batch_norm_rows_state_the_shared_convention() -> None:
    for name in ("cifar-bn", "cifar-bn2", "imagenet-bn", "imagenet-bn5"):
        assert {(x.eps, x.momentum, x.unbiased) for x in of_kind(name, BatchNorm)} == {
            (1e-5, 0.9, False)
        }
