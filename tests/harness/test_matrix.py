"""From a selection to jobs: every record once, and nothing that was not asked for."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench.core.errors import UserError
from bench.core.kinds import KINDS, TIMED
from bench.data.batching import whole_batches
from bench.harness import matrix, pretraining
from bench.harness.matrix import Task, jobs
from bench.harness.profiles import PROFILES, Profile
from bench.harness.selection import Selection, SelectionElsewhere
from bench.training import frameworks
from bench.training.defaults import chain
from bench.training.frameworks import Framework
from bench.training.recipes import recipe
from bench.weights.sources import SOURCES
from tests.support import fakes
from tests.support.plugins import fake_weights

FULL, QUICK = PROFILES["full"], PROFILES["quick"]
BOTH = ("fake", "fake-two")


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakes.install(monkeypatch, tmp_path)
    fake_weights.install(monkeypatch)


def tasks(profile: Profile = fakes.PROFILE, **selection: object) -> list[Task]:
    chosen = Selection(**selection)  # type: ignore[arg-type]
    return [task for job in jobs(chosen, profile) for task in job.tasks]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_profile_measures_every_kind_of_every_variant_it_names(profile: Profile) -> None:
    found = tasks(profile, frameworks=BOTH)
    assert max(Counter(task.key for task in found).values()) == 1
    for kind in KINDS:
        mine = {(t.case.variant, t.case.framework, t.case.track) for t in found if t.kind == kind}
        wanted = {
            (variant, framework, track)
            for variant in profile.variants.get(kind, ())
            for framework in BOTH
            for track in profile.tracks.get(kind, ())
            if track in profile.tracks_of.get(variant, (track,))
            if framework == BOTH[0] or variant not in profile.in_one_framework
        }
        assert mine == wanted


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_batch_sizes_and_input_sizes_are_those_of_the_rows(profile: Profile) -> None:
    for task in tasks(profile, frameworks=BOTH):
        wanted = 1 if task.kind == "latency" else profile.batch_sizes[task.case.input_size]
        assert task.case.batch_size == wanted


def test_the_full_profile_takes_every_seed_for_accuracy_alone() -> None:
    found = tasks(FULL, frameworks=("fake",))
    seeds = {kind: {t.case.seed for t in found if t.kind == kind} for kind in KINDS}
    assert seeds.pop("accuracy") == set(range(FULL.seeds))
    assert all(found == {0} for found in seeds.values())


def test_one_worker_takes_the_timed_kinds_of_a_case_in_order() -> None:
    timed = [job for job in jobs(Selection(), fakes.PROFILE) if len(job.tasks) > 1]
    assert len(timed) == len(BOTH) * 2
    for job in timed:
        assert tuple(task.kind for task in job.tasks) == TIMED
        for task in job.tasks:
            assert replace(task.case, batch_size=job.case.batch_size) == job.case


def test_accuracy_has_a_worker_of_its_own() -> None:
    for job in jobs(Selection(), fakes.PROFILE):
        assert ("accuracy" in [task.kind for task in job.tasks]) == (len(job.tasks) == 1)


def test_frameworks_turn_fastest() -> None:
    order = [job.case for job in jobs(Selection(seeds=2), fakes.PROFILE)]
    for one, other in zip(order[::2], order[1::2], strict=True):
        assert (one.framework, other.framework) == BOTH
        assert replace(one, framework="") == replace(other, framework="")


@pytest.mark.parametrize("precisions", [(), ("bfloat16",), ("bfloat16", "float32")])
def test_the_closed_track_is_always_float32(
    precisions: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Framework, "missing", lambda _: None)
    monkeypatch.setattr(frameworks, "has_bfloat16", lambda: True)
    found = tasks(frameworks=("pytorch", "fake"), precisions=precisions)
    closed = [task.case for task in found if task.case.track == "closed"]
    idiomatic = [task.case for task in found if task.case.track == "idiomatic"]
    assert {case.precision for case in closed} == {"float32"}
    own = {"pytorch": {"bfloat16"}, "fake": {"float32"}}
    for name, wanted in own.items():
        mine = {case.precision for case in idiomatic if case.framework == name}
        assert mine == (set(precisions) or wanted)


@pytest.mark.parametrize(
    ("native", "choice", "precision", "note"),
    [
        (True, {}, "bfloat16", None),
        (True, {"precisions": ("float32",)}, "float32", None),
        (False, {}, "float32", "idiomatic track in float32: this processor has no bfloat16"),
        (False, {"precisions": ("bfloat16",)}, "bfloat16", "warning: this processor has no"),
        (False, {"device": "cuda"}, "bfloat16", None),
    ],
)
def test_a_processor_without_bfloat16_computes_in_float32_unless_asked(
    native: bool,
    choice: dict[str, object],
    precision: str,
    note: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Framework, "missing", lambda _: None)
    monkeypatch.setattr(frameworks, "has_bfloat16", lambda: native)
    cases = [task.case for task in tasks(frameworks=("pytorch",), tracks=("idiomatic",), **choice)]
    assert {case.precision for case in cases} == {precision}
    said = frameworks.precision_note(cases)
    assert said == note if note is None else said and said.startswith(note)


def test_nothing_is_said_of_bfloat16_where_no_case_would_have_taken_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frameworks, "has_bfloat16", lambda: False)
    assert frameworks.precision_note(task.case for task in tasks()) is None


def test_the_nodes_of_a_cluster_are_not_judged_by_the_processor_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frameworks, "has_bfloat16", lambda: False)
    chosen = SelectionElsewhere(frameworks=("pytorch",), tracks=("idiomatic",))
    found = [job.case.precision for job in jobs(chosen, fakes.PROFILE)]
    assert set(found) == {"bfloat16"}


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        ({"frameworks": ("fake",)}, 2 * len(TIMED) + 1),
        ({"tracks": ("idiomatic",)}, 2 * (len(TIMED) + 1)),
        ({"kinds": ("latency",)}, 4),
        ({"kinds": ("accuracy",)}, 2),
        ({"kinds": ("accuracy",), "seeds": 3}, 6),
        ({"kinds": ("accuracy",), "heads": ("source", "narrow")}, 4),
        ({"kinds": ("accuracy",), "recipes": ("short", "standard")}, 4),
        ({"kinds": ("inference",), "batch_sizes": (8, 16, 32)}, 12),
        ({"kinds": ("latency",), "batch_sizes": (8, 16, 32)}, 4),
        ({"variants": ("tiny", "cifar-bn"), "kinds": ("startup",)}, 8),
    ],
)
def test_a_selection_says_how_much_is_measured(selection: dict[str, object], wanted: int) -> None:
    assert len(tasks(**selection)) == wanted


@pytest.mark.parametrize(
    "selection",
    [
        {"batch_sizes": (8, 16)},
        {"batch_sizes": (8, 8)},
        {"variants": ("tiny", "tiny")},
        {"frameworks": ("fake", "fake")},
        {"precisions": ("float32", "bfloat16")},
        {"recipes": ("short", "short@1")},
        {"kinds": ("latency", "latency")},
        {"tracks": ("closed", "closed")},
    ],
)
def test_one_record_per_case_and_kind_whatever_is_asked_for(selection: dict[str, object]) -> None:
    counts = Counter(task.key for task in tasks(**selection))
    assert counts
    assert set(counts.values()) == {1}


def stages(framework: str, seed: int, **selection: object) -> list[str]:
    found = tasks(PROFILES["ablation"], **selection)
    return [t.case.defaults for t in found if (t.case.framework, t.case.seed) == (framework, seed)]


def test_the_waterfall_takes_every_stage_of_a_framework_once_a_seed() -> None:
    chosen = {"variants": ("tiny",), "frameworks": BOTH, "seeds": 2}
    expected = chain(fakes.VARIANT.architecture(), "fake")
    assert len(expected) > 3
    for name in BOTH:
        assert stages(name, 0, **chosen) == expected
        assert stages(name, 1, **chosen) == expected[::-1]  # a drift favours no stage
    seeds = [task.case.seed for task in tasks(PROFILES["ablation"], **chosen)]
    assert seeds == sorted(seeds)


def test_a_recipe_decides_which_stages_switch_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Framework, "missing", lambda _: None)
    name = "keras-jax"
    chosen = {"variants": ("tiny",), "frameworks": (name,)}
    assert "weight-decay" in stages(name, 0, **chosen)
    found = stages(name, 0, recipes=("quick",), **chosen)
    assert "own" in found
    assert "weight-decay" not in found
    chosen["variants"] = ("cifar-bn",)
    with pytest.raises(UserError, match="its eps is 1e-07 in every framework"):
        stages(name, 0, recipes=("tutorial-keras-bn",), **chosen)


def test_stages_can_be_chosen() -> None:
    chosen = {"variants": ("tiny",), "frameworks": ("fake",), "stages": ("layout", "own")}
    assert stages("fake", 0, **chosen) == ["own", "layout"]


def test_the_waterfall_has_no_timed_kinds_and_one_precision() -> None:
    found = tasks(PROFILES["ablation"], frameworks=BOTH, precisions=("float32",))
    assert found == tasks(PROFILES["ablation"], frameworks=BOTH)
    with pytest.raises(UserError, match="track ablation is defined in float32"):
        tasks(PROFILES["ablation"], frameworks=BOTH, precisions=("bfloat16",))
    assert {(t.kind, t.case.track, t.case.precision) for t in found} == {
        ("accuracy", "ablation", "float32")
    }
    both = tasks(FULL, frameworks=BOTH, tracks=("closed", "ablation"), recipes=("ablation",))
    assert {t.kind for t in both if t.case.track == "ablation"} == {"accuracy"}


@pytest.mark.parametrize("profile", [QUICK, FULL], ids=["quick", "full"])
def test_other_profiles_have_no_waterfall(profile: Profile) -> None:
    assert all(task.case.defaults == "" for task in tasks(profile, frameworks=BOTH))
    assert "ablation" not in {t.case.track for t in tasks(profile, frameworks=BOTH)}


def test_a_shortened_recipe_says_so_in_its_name() -> None:
    (found,) = tasks(frameworks=("fake",), kinds=("accuracy",), budget=0.25)
    assert found.case.recipe == "short@0.25"


def test_each_recipe_may_be_shortened_to_its_own_share() -> None:
    found = tasks(
        FULL,
        frameworks=("fake",),
        tracks=("tuned",),
        kinds=("accuracy",),
        variants=("imagenet-lrn",),
        weights="bvlc",
        heads=("pool-narrow",),
        input_sizes=(131,),
        seeds=1,
        recipes=("transfer-frozen@0.2", "transfer-finetune@0.6667", "transfer-scratch@0.6667"),
    )
    steps = [whole_batches(recipe(t.case.recipe).epochs, 50_000, t.case.batch_size) for t in found]
    assert [t.case.init for t in found] == ["pretrained", "pretrained", "scratch"]
    assert steps == [781, 781, 781]


def test_without_a_selection_what_is_installed_is_measured() -> None:
    profile = replace(fakes.PROFILE, frameworks=("fake-missing", "fake"))
    assert {task.case.framework for task in tasks(profile)} == {"fake"}


def test_nothing_installed_says_what_to_install() -> None:
    with pytest.raises(UserError, match="none of fake-missing is installed; pip install"):
        tasks(replace(fakes.PROFILE, frameworks=("fake-missing",)))


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"variants": ("alexnet",)}, "unknown variant 'alexnet'; known: cifar-bn, "),
        ({"frameworks": ("theano",)}, "unknown framework 'theano'; known: pytorch, "),
        ({"frameworks": ("fake-missing",)}, r"no_such_module .*pip install 'alexbench\[fake\]'"),
        ({"tracks": ("open",)}, "unknown track 'open'; known: closed, idiomatic, tuned, ablation"),
        ({"stages": ("bn",)}, "unknown stage 'bn'; known: own, fused-update"),
        ({"stages": ("own",)}, "--stages own: no case here has one of them; only the track ablati"),
        ({"tracks": ("ablation",)}, "recipe 'short': .* take a recipe with Adam"),
        ({"kinds": ("speed",)}, "unknown kind 'speed'; known: startup"),
        ({"heads": ("big",)}, "unknown head 'big'; known: source"),
        ({"precisions": ("int8",)}, "unknown precision 'int8'; known: float32"),
        (
            {"recipes": ("long",)},
            "unknown recipe 'long'.*did you mean transfer-long.*; known: steady",
        ),
        ({"recipes": ("short@x",)}, "'x' is not a number"),
        (
            {"recipes": ("short",), "kinds": ("train_throughput",)},
            "--recipes short: recipes are of trainings to an accuracy, and --kinds train_throughpu",
        ),
        (
            {"recipes": ("tutorial-keras-bn",), "weights": "mine.pth", "frameworks": ("fake",)},
            "--weights mine.pth: all that is selected starts from scratch",
        ),
        (
            {"precisions": ("float32", "bfloat16"), "tracks": ("closed",)},
            "--precisions bfloat16: no case here has it; track closed is defined in float32",
        ),
        (
            {"seeds": 3, "budget": 0.5, "kinds": ("latency",)},
            "--seeds, --budget: for trainings to an accuracy, and nothing here is trained",
        ),
        (
            {"channel_order": "BGR", "kinds": ("latency",)},
            "--channel-order: how a file of weights is read, and none is",
        ),
        (
            {"inits": ("pretrained",), "variants": ("torchvision", "cifar-bn")},
            "init pretrained: no weights are published for cifar-bn;",
        ),
        ({"inits": ("random",)}, "unknown init 'random'; known: scratch"),
        ({"seeds": 0}, "--seeds 0: must be at least 1"),
        ({"batch_sizes": (8, 0)}, "--batch-sizes .*at least 1"),
        ({"budget": 0.0}, "budget 0.*: must be above 0"),
        ({"budget": 1.5, "kinds": ("latency",)}, "budget 1.5.* at most 1"),
        ({"budget": float("nan")}, "budget nan"),
    ],
)
def test_bad_input_is_one_line(selection: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        tasks(**selection)
    assert "\n" not in str(caught.value)


def test_a_network_of_another_size_asks_for_a_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        jobs.__globals__["variants"].VARIANTS, "large", replace(fakes.VARIANT, input_size=64)
    )
    with pytest.raises(UserError, match="no batch size for 64 pixels; give one with --batch-sizes"):
        tasks(variants=("large",))
    assert tasks(variants=("large",), batch_sizes=(4,))


def test_a_profile_may_time_a_variant_in_fewer_tracks_unless_it_is_named() -> None:
    profile = replace(fakes.PROFILE, tracks_of={"tiny": ("closed",)})
    kinds = ("inference",)
    assert {task.case.track for task in tasks(profile, kinds=kinds)} == {"closed"}
    found = {task.case.track for task in tasks(profile, kinds=kinds, variants=("tiny",))}
    assert found == {"closed", "idiomatic"}


@pytest.fixture
def _bvlc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "available", lambda names: SOURCES["bvlc"])


@pytest.mark.usefixtures("_bvlc")
def test_quick_has_one_pair_pretrained_and_from_scratch_in_one_framework() -> None:
    found = [t for t in tasks(QUICK, frameworks=BOTH) if t.case.variant == "imagenet-lrn"]
    assert [t.kind for t in found] == ["accuracy"] * 2
    ours, theirs = (t.case for t in found)
    assert (ours.init, ours.frozen, theirs.init) == ("pretrained", True, "scratch")
    same = {"init": "scratch", "weights": None, "frozen": False, "recipe": ""}
    assert replace(ours, **same) == replace(theirs, **same)  # type: ignore[arg-type]
    assert ours.framework == BOTH[0]
    assert ours.input_size < 131
    with_reference = tasks(QUICK, frameworks=("fake", "pytorch"))
    named = {t.case.framework for t in with_reference if t.case.variant == "imagenet-lrn"}
    assert named == {"pytorch"}


@pytest.mark.usefixtures("_bvlc")
@pytest.mark.parametrize(
    "selection",
    [
        {"variants": ("cifar-bn",)},
        {"recipes": ("short",)},
        {"kinds": ("train_throughput",)},
        {"tracks": ("closed",)},
        {"batch_sizes": (64,)},
    ],
    ids=str,
)
def test_a_selection_of_something_else_has_no_pair(selection: dict[str, object]) -> None:
    found = tasks(QUICK, frameworks=BOTH, **selection)
    assert {t.case.variant for t in found} <= {"cifar-bn", "cifar-lrn", "cifar-plain"}


def test_without_weights_quick_has_no_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "available", lambda names: None)
    assert all(t.case.init == "scratch" for t in tasks(QUICK, frameworks=BOTH))


def test_without_weights_one_line_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fetch(names: object) -> None:
        raise UserError("https://there: cannot be reached (no network)")

    monkeypatch.setattr(pretraining, "available", lambda names: None)
    monkeypatch.setattr(pretraining, "fetch_published", fetch)
    pretraining.provide(Selection(variants=("cifar-bn",)), QUICK)
    assert capsys.readouterr().err == ""
    pretraining.provide(Selection(), QUICK)
    (line,) = capsys.readouterr().err.splitlines()
    assert "pretrained against scratch is not measured" in line
    assert "no network" in line
    assert "alexbench fetch weights" in line
    assert "bvlc-alexnet-trunk.safetensors" in line


def test_networks_that_are_compared_with_others_alone_are_in_all_frameworks_where_named() -> None:
    for chosen, wanted in (({}, {"fake"}), ({"variants": ("cifar-lrn",)}, set(BOTH))):
        found = tasks(QUICK, frameworks=BOTH, kinds=("train_throughput",), **chosen)
        assert {t.case.framework for t in found if t.case.variant == "cifar-lrn"} == wanted
