"""Records of version 1 are read as what they are in the present version."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.records import Record
from bench.core.upgrade import SCHEMA_VERSION, upgraded

VERSION_1: dict[str, Any] = {
    "case": {
        "id": "cifar-bn/keras-jax/idiomatic/scratch/source/trained/steady/"
        "32px/float32/b128/s0/cpux1",
        "variant": "cifar-bn",
        "framework": "keras-jax",
        "track": "idiomatic",
        "init": "scratch",
        "weights": None,
        "head": "source",
        "frozen": False,
        "recipe": "steady",
        "input_size": 32,
        "precision": "float32",
        "batch_size": 128,
        "seed": 0,
        "device": "cpu",
        "devices": 1,
        "defaults": "",
    },
    "kind": "train_throughput",
    "status": "ok",
    "error": None,
    "samples": [0.5, 0.25],
    "unit": "s",
    "images_per_sample": 256,
    "summary": {"images_per_second": 700.0},
    "metrics": {
        "first_step_seconds": 3.5,
        "turns": {
            "match": "2263484b2817",
            "blocks": [[0, 0, 1], [0, 1, 1]],
            "stopped": "processes",
            "precision_goal": None,
            "match_seconds": 45.0,
        },
        "features": {"kept": True, "trunk_images": 5, "anew": {"seconds": 1.0, "images": 4}},
    },
    "dataset": {"name": "cifar10", "fingerprint": "f"},
    "parity": {"status": "not applicable"},
    "settings": {"execution": "fit", "recipe": {"name": "steady"}},
    "environment": {},
    "started_at": "2026-11-20T00:00:00+00:00",
    "seconds": 9.0,
    "peak_memory_bytes": 1024,
    "schema_version": 1,
}
"""A line as version 1 wrote it."""


def old(**changes: Any) -> dict[str, Any]:
    case = {**VERSION_1["case"], **changes.pop("case", {})}
    if "id" not in changes.pop("keep", ()):
        del case["id"]
    return {**json.loads(json.dumps(VERSION_1)), **changes, "case": case}


def test_a_record_of_version_1_is_read_in_the_words_of_today() -> None:
    record = Record.from_json(VERSION_1)
    assert record.schema_version == SCHEMA_VERSION
    assert record.case == Case("cifar-bn", "keras-jax", "tuned", execution="compiled")
    assert record.case.id == VERSION_1["case"]["id"].replace("idiomatic", "tuned")
    assert record.caveats == ()
    assert record.metrics == {
        "first_step_seconds": 3.5,
        "interleaving": {
            "group": "2263484b2817",
            "blocks": [[0, 0, 1], [0, 1, 1]],
            "stopped": "processes",
            "precision_goal": None,
            "group_seconds": 45.0,
        },
        "features": {
            "cached": True,
            "trunk_images": 5,
            "recomputed": {"seconds": 1.0, "images": 4},
        },
    }
    same = ("kind", "status", "unit", "summary", "dataset", "parity", "settings", "seconds")
    assert {name: getattr(record, name) for name in same} == {
        name: VERSION_1[name] for name in same
    }
    assert record.samples == (0.5, 0.25)


def test_what_was_upgraded_is_written_and_read_as_it_is() -> None:
    record = Record.from_json(VERSION_1)
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert upgraded(record.to_json()) == record.to_json()


def test_an_upgrade_leaves_its_argument_as_it_was() -> None:
    before = json.dumps(VERSION_1)
    Record.from_json(VERSION_1)
    assert json.dumps(VERSION_1) == before


def test_the_waterfall_is_the_ablation_with_its_recipe() -> None:
    staged = {"track": "waterfall", "recipe": "waterfall@0.5", "defaults": "bn-eps"}
    record = Record.from_json(old(case=staged, settings={"recipe": {"name": "waterfall@0.5"}}))
    assert record.case == Case(
        "cifar-bn", "keras-jax", "ablation", recipe="ablation@0.5", defaults="bn-eps"
    )
    assert record.settings == {"recipe": {"name": "ablation@0.5"}}


@pytest.mark.parametrize("track", ["closed", "tuned", "ablation"])
def test_other_tracks_keep_their_names(track: str) -> None:
    assert Record.from_json(old(case={"track": track})).case.track == track


@pytest.mark.parametrize(
    ("framework", "reported", "execution"),
    [
        ("pytorch", "eager", "eager"),
        ("pytorch", None, "eager"),
        ("keras-tensorflow", "tf.function", "compiled"),
        ("keras-tensorflow", "fit", "compiled"),
        ("keras-tensorflow", "eager", "eager"),
        ("keras-jax", "jax.jit", "compiled"),
        ("keras-torch", "fit", "eager"),
        ("keras-torch", "eager", "eager"),
        ("pytorch-twin", "eager", "eager"),
    ],
)
def test_the_execution_is_what_was_in_force(
    framework: str, reported: str | None, execution: str
) -> None:
    settings = {} if reported is None else {"execution": reported}
    record = Record.from_json(old(case={"framework": framework}, settings=settings))
    assert record.case.execution == execution


def test_the_id_of_before_is_checked() -> None:
    with pytest.raises(UserError, match="does not belong to its fields"):
        Record.from_json(old(case={"seed": 5}, keep=("id",)))


def test_a_record_from_before_stages_is_read() -> None:
    value = old()
    del value["case"]["defaults"]
    assert Record.from_json(value) == replace(Record.from_json(old()))
