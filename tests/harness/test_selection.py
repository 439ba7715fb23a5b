"""Which networks a selection means: what a recipe, the weights and the user say of them."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.harness import selection
from bench.harness.matrix import jobs
from bench.harness.profiles import PROFILES
from bench.harness.selection import Network, Selection, networks
from bench.networks.init import initial_weights
from bench.networks.pretrained import Pretrained
from bench.networks.variants import variant
from bench.training.recipes import RECIPES, recipe
from bench.weights.reading import Reading
from tests.support.plugins import fake_weights
from tests.support.plugins.fake_weights import TRUNK
from tests.support.weight_examples import needs


@pytest.fixture(autouse=True)
def _sources(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_weights.install(monkeypatch)


def found(
    name: str = "steady", rows: Iterable[str] = ("cifar-bn", "torchvision"), **wanted: object
) -> list[Network]:
    return list(networks(Selection(**wanted), tuple(rows), recipe(name)))  # type: ignore[arg-type]


def test_from_scratch_unless_somebody_says_otherwise() -> None:
    assert [(n.variant, n.head, n.input_size, n.init) for n in found()] == [
        ("cifar-bn", "source", 32, "scratch"),
        ("torchvision", "source", 224, "scratch"),
    ]
    assert all(network.file is None for network in found())


def test_naming_weights_asks_for_their_network_alone() -> None:
    (network,) = found(weights="bvlc")
    assert (network.variant, network.init, network.weights) == (
        "imagenet-lrn",
        "pretrained",
        "bvlc@bbbbbbbb",
    )
    assert network.file == Path("bvlc.safetensors")


def test_both_starts_stand_side_by_side() -> None:
    both = found(variants=("imagenet-lrn",), inits=("pretrained", "scratch"))
    assert [network.init for network in both] == ["pretrained", "scratch"]


def test_weights_with_a_last_layer_get_a_new_one_and_those_without_the_network_s_own() -> None:
    assert [n.head for n in found(weights="torchvision")] == ["replace-last"]
    assert [n.head for n in found(weights="bvlc")] == ["source"]
    assert [n.head for n in found(weights="torchvision", heads=("narrow",))] == ["narrow"]


def test_published_weights_are_found_for_the_variants_that_have_some() -> None:
    chosen = found(rows=("cifar-bn", "torchvision", "imagenet-lrn"), inits=("pretrained",))
    assert [(n.variant, n.weights) for n in chosen] == [
        ("torchvision", "torchvision@aaaaaaaa"),
        ("imagenet-lrn", "bvlc@bbbbbbbb"),
    ]
    with pytest.raises(UserError, match="no weights are published for cifar-bn"):
        found(rows=("cifar-bn",), inits=("pretrained",))


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_alone_is_enough(name: str) -> None:
    row = recipe(name)
    assert [
        (n.variant, n.head, n.input_size, n.init)
        for n in found(name, rows=(row.variant or "torchvision",))
        if row.variant and row.head
    ] == [(row.variant, row.head, row.input_size, row.init)] * bool(row.variant and row.head)


@pytest.mark.parametrize(
    ("name", "wanted", "words"),
    [
        ("tutorial-transfer", {"variants": ("cifar-bn",)}, "variant is torchvision, not cifar-bn"),
        ("tutorial-transfer", {"heads": ("source",)}, "head is narrow, not source"),
        ("tutorial-transfer", {"inits": ("scratch",)}, "init is pretrained, not scratch"),
        ("tutorial-transfer", {"weights": "bvlc"}, "variant is torchvision, not imagenet-lrn"),
        ("tutorial-transfer", {"input_sizes": (131,)}, "input size is 224, not 131"),
        ("transfer-frozen", {"inits": ("scratch",)}, "init is pretrained, not scratch"),
        ("transfer", {"weights": "bvlc", "variants": ("cifar-bn",)}, "not among --variants"),
        ("transfer", {"weights": "torchvision", "input_sizes": (131,)}, "fit images of 224"),
    ],
)
def test_a_contradiction_is_named(name: str, wanted: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        found(name, **wanted)
    assert "\n" not in str(error.value)


def test_a_head_on_the_last_pool_takes_any_size() -> None:
    (network,) = found(weights="torchvision", heads=("pool-linear",), input_sizes=(131,))
    assert (network.head, network.input_size) == ("pool-linear", 131)


# ---- as jobs


def test_a_pretrained_network_is_trained_at_rates_that_do_not_lose_it() -> None:
    selection = Selection(
        variants=("imagenet-lrn",),
        frameworks=("pytorch",),
        tracks=("closed",),
        kinds=("accuracy",),
        inits=("scratch", "pretrained"),
    )
    cases = [job.case for job in _jobs(selection)]
    assert {case.init: case.recipe for case in cases} == {
        "scratch": "quick",
        "pretrained": "transfer-short",
    }
    assert recipe("transfer-short").learning_rate < recipe("short").learning_rate / 5
    named = {job.case.recipe for job in _jobs(replace(selection, recipes=("standard",)))}
    assert named == {"standard"}


def test_a_recipe_that_is_named_is_trained_and_nothing_is_timed() -> None:
    chosen = Selection(
        frameworks=("pytorch",), tracks=("idiomatic",), recipes=("tutorial-transfer",)
    )
    (job,) = _jobs(replace(chosen, budget=0.5))
    assert [task.kind for task in job.tasks] == ["accuracy"]
    case = job.case
    assert (case.variant, case.init, case.head, case.batch_size) == (
        "torchvision",
        "pretrained",
        "narrow",
        4,
    )
    assert (case.recipe, case.frozen, case.input_size) == ("tutorial-transfer@0.5", False, 224)
    assert job.weights == Path("torchvision.safetensors")
    with pytest.raises(UserError, match="batch size is 4, not 128"):
        _jobs(replace(chosen, batch_sizes=(128,)))


def test_a_frozen_recipe_makes_frozen_cases() -> None:
    selection = Selection(frameworks=("pytorch",), recipes=("transfer-frozen",), weights="bvlc")
    assert {job.case.frozen for job in _jobs(selection)} == {True}


def test_without_a_size_that_of_the_weights_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = replace(fake_weights.SOURCES["torchvision"], input_size=128)
    opened = Pretrained(facts, {}), Path("w.pth")
    monkeypatch.setattr(selection, "open_weights", lambda *_, **__: opened)
    (network,) = found(weights="w.pth")
    assert network.input_size == 128


def test_what_is_said_about_a_file_of_weights_reaches_its_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Reading] = []

    def opened(spec: str, *, reading: Reading) -> tuple[Pretrained, Path]:
        asked.append(reading)
        return Pretrained(fake_weights.SOURCES["torchvision"], {}), Path(spec)

    monkeypatch.setattr(selection, "open_weights", opened)
    found(weights="w.pth", key="ema", channel_order="BGR")
    found(weights="w.pth", partial=True, variants=("torchvision",))
    found(weights="w.pth", partial=True)
    assert asked == [
        Reading(key="ema", channel_order="BGR"),
        Reading(named="torchvision", partial=True),
        Reading(partial=True),
    ]


def test_weights_that_nothing_starts_from_are_refused() -> None:
    with pytest.raises(UserError, match="starts from none"):
        _jobs(Selection(frameworks=("pytorch",), weights="bvlc", inits=("scratch",)))


def _jobs(selection: Selection) -> list:  # type: ignore[type-arg]
    needs("pytorch")
    return jobs(selection, PROFILES["quick"])


# ---- weights and the network that they start


def _source(*layers: str, head: str = "pool-linear") -> Pretrained:
    drawn = initial_weights(variant("imagenet-lrn").architecture(10, head=head), 9)
    tensors = {k: w for k, w in drawn.items() if k.rpartition(".")[0] in layers}
    return Pretrained(replace(fake_weights.SOURCES["bvlc"], layers=layers), tensors)


def test_what_a_source_lacks_gets_seeded_weights() -> None:
    rows = variant("imagenet-lrn").architecture(10, head="pool-narrow", input_size=131)
    source = _source(*TRUNK)
    weights, layers = source.fit(rows, seed=3)
    assert layers == TRUNK
    drawn = initial_weights(rows, 3)
    assert weights.keys() == drawn.keys()
    for name, weight in weights.items():
        own = name.rpartition(".")[0] in TRUNK
        expected = source.tensors[name] if own else drawn[name]
        assert np.array_equal(weight, expected)


@pytest.mark.parametrize("classes", [10, 5])
def test_the_head_of_an_earlier_transfer_is_replaced(classes: int) -> None:
    """Its layers are called as those of the new one, and have other classes or the same number."""
    names = [row.name for row in variant("imagenet-lrn").architecture(head="pool-linear").layers]
    source = _source(*names)
    assert "head.weight" in source.tensors
    rows = variant("imagenet-lrn").architecture(classes, head="pool-linear")
    weights, layers = source.fit(rows, seed=3)
    assert layers == TRUNK
    assert np.array_equal(weights["head.weight"], initial_weights(rows, 3)["head.weight"])


def test_weights_of_another_network_are_refused() -> None:
    whole = _source(*TRUNK, "dense1", head="source")
    with pytest.raises(UserError, match=r"dense1\.weight is \(4096, 9216\).*\(4096, 2304\)"):
        whole.fit(variant("imagenet-lrn").architecture(10, input_size=131), 0)
    with pytest.raises(UserError, match=r"conv1\.weight is"):
        whole.fit(variant("torchvision").architecture(10, head="pool-linear"), 0)
    stranger = Pretrained(fake_weights.SOURCES["bvlc"], {"stem.weight": np.zeros(3, np.float32)})
    with pytest.raises(UserError, match="no layer of imagenet-lrn is in them"):
        stranger.fit(variant("imagenet-lrn").architecture(10, head="pool-linear"), 0)
