"""The identity of an experiment: ids, JSON, and what a foreign record may hold."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.case import DEFAULT_EXECUTION, EXECUTION_NAMES, INITS, PRECISIONS, Case
from bench.core.errors import UserError
from bench.core.records import SCHEMA_VERSION, RecordStore
from bench.harness.matrix import jobs
from bench.harness.profiles import PROFILES
from bench.harness.selection import Selection
from bench.networks.variants import HEADS, VARIANTS
from bench.training.defaults import NAMES
from bench.training.frameworks import FRAMEWORKS, Framework
from bench.training.tracks import ABLATION, TRACKS
from tests.support.plugins import fake_weights


def cases() -> st.SearchStrategy[Case]:
    """Cases that a user can ask for; weights belong to the pretrained ones alone."""
    return st.builds(
        _case,
        variant=st.sampled_from(sorted(VARIANTS)),
        framework=st.sampled_from(sorted(FRAMEWORKS)),
        track=st.sampled_from(tuple(TRACKS)),
        source=st.sampled_from([("scratch", None), *((INITS[1], name) for name in ("bvlc", "tv"))]),
        head=st.sampled_from(HEADS),
        frozen=st.booleans(),
        recipe=st.sampled_from(["steady", "short", "short@0.5", "standard"]),
        input_size=st.sampled_from([32, 224, 227]),
        precision=st.sampled_from(PRECISIONS),
        batch_size=st.integers(1, 512),
        seed=st.integers(0, 20),
        device=st.sampled_from(["cpu", "gpu"]),
        devices=st.integers(1, 12),
        defaults=st.sampled_from(["", *NAMES]),
        execution=st.sampled_from(["", *EXECUTION_NAMES]),
    )


def _case(source: tuple[str, str | None], **fields: Any) -> Case:
    init, weights = source
    return Case(init=init, weights=weights, **fields)


@given(cases(), cases())
def test_two_cases_share_an_id_only_when_they_are_equal(one: Case, other: Case) -> None:
    assert (one.id == other.id) == (one == other)


CHANGES = {
    "variant": "torchvision",
    "framework": "keras-torch",
    "track": "idiomatic",
    "init": "pretrained",
    "weights": "bvlc",
    "head": "narrow",
    "frozen": True,
    "recipe": "short",
    "input_size": 224,
    "precision": "bfloat16",
    "batch_size": 64,
    "seed": 1,
    "device": "gpu",
    "devices": 2,
    "defaults": "bn-eps",
    "execution": "compiled",
}


def test_every_field_can_be_changed_in_the_test_below() -> None:
    assert set(CHANGES) == {field.name for field in dataclasses.fields(Case)}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_is_part_of_the_id(field: str) -> None:
    case = Case("cifar-bn", "pytorch", init="pretrained", weights="torchvision")
    if field == "init":
        case = dataclasses.replace(case, init="scratch")
    changed = dataclasses.replace(case, **{field: CHANGES[field]})
    assert changed.id != case.id


def test_no_two_cases_of_a_profile_share_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Framework, "missing", lambda _: None)
    fake_weights.install(monkeypatch)
    for profile in PROFILES.values():
        found = {job.case for job in jobs(Selection(frameworks=("pytorch",)), profile)}
        assert len({case.id for case in found}) == len(found) > 0


@given(cases())
def test_a_case_survives_json(case: Case) -> None:
    assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case


def test_a_framework_is_a_whole_part_of_the_id() -> None:
    pytorch = Case("cifar-bn", "pytorch").id.split("/")
    keras = Case("cifar-bn", "keras-torch").id.split("/")
    assert "pytorch" in pytorch
    assert "pytorch" not in keras
    assert "keras-torch" in keras


def test_an_id_without_a_stage_is_what_it_always_was() -> None:
    expected = "cifar-bn/pytorch/closed/scratch/source/trained/steady/32px/float32/b128/s0/cpux1"
    assert Case("cifar-bn", "pytorch").id == expected
    staged = Case("cifar-bn", "pytorch", ABLATION, defaults="bn-eps")
    assert staged.id == expected.replace("closed", "ablation") + "/defaults:bn-eps"


@pytest.mark.parametrize("name", DEFAULT_EXECUTION)
def test_an_id_names_the_execution_only_where_it_is_not_the_frameworks_default(name: str) -> None:
    own = Case("cifar-bn", name)
    assert own.execution == DEFAULT_EXECUTION[name] == FRAMEWORKS[name].execution
    assert own.id.endswith("/cpux1")
    for other in {*EXECUTION_NAMES} - {own.execution}:
        assert dataclasses.replace(own, execution=other).id == f"{own.id}/{other}"


@pytest.mark.parametrize(("execution", "steps"), [("compiled:8", 8), ("compiled", 1), ("eager", 1)])
def test_an_execution_may_take_several_steps_in_a_call(execution: str, steps: int) -> None:
    case = Case("cifar-bn", "keras-jax", execution=execution)
    assert case.steps_per_execution == steps
    assert Case.from_json(case.to_json()) == case


@pytest.mark.parametrize("name", ["compiled:1", "compiled:0", "compiled:", "eager:8", "graphs:2"])
def test_an_unknown_execution_says_which_there_are(name: str) -> None:
    value = Case("cifar-bn", "keras-jax").to_json() | {"execution": name}
    with pytest.raises(UserError, match=r"known: eager, compiled, graphs, .*compiled:8"):
        Case.from_json(value)


def test_a_case_without_a_framework_has_no_execution() -> None:
    peers = {dataclasses.replace(Case("cifar-bn", name), framework="") for name in FRAMEWORKS}
    assert [case.execution for case in peers] == [""]


def test_a_case_from_before_there_were_stages_is_read() -> None:
    value = Case("cifar-bn", "pytorch").to_json()
    del value["defaults"]
    assert Case.from_json(value) == Case("cifar-bn", "pytorch")


RESULTS = Path(__file__).parents[2] / "results"
RUNS = sorted(RESULTS.rglob("records.jsonl"))


@pytest.mark.parametrize("path", RUNS, ids=lambda path: str(path.parent.relative_to(RESULTS)))
def test_published_records_are_read_as_they_stand(path: Path) -> None:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    records = RecordStore(path.parent).read()
    assert [record.case.id for record in records] == [line["case"]["id"] for line in lines]
    assert len(records) > 0
    assert {line["schema_version"] for line in lines} == {SCHEMA_VERSION}
    for record in records:
        assert bool(record.case.defaults) == (record.case.track == ABLATION)


def test_a_missing_field_is_named() -> None:
    value = Case("cifar-bn", "pytorch").to_json()
    del value["seed"], value["track"]
    with pytest.raises(UserError, match="case without seed, track"):
        Case.from_json(value)


def test_an_id_that_does_not_follow_from_the_fields_is_refused() -> None:
    value = {**Case("cifar-bn", "pytorch").to_json(), "seed": 3}
    with pytest.raises(UserError, match="does not belong to its fields"):
        Case.from_json(value)


def test_fields_of_a_later_version_are_passed_over() -> None:
    case = Case("cifar-bn", "pytorch")
    assert Case.from_json({**case.to_json(), "added_later": 1}) == case
