"""Settings are read back from the framework, and None where it cannot report them."""

import dataclasses
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from bench.cli.commands import doctor
from bench.training.frameworks import FRAMEWORKS, REFERENCE
from bench.training.settings import NAMES, Settings
from tests.frameworks.support.client import ROOT, ask, each_framework, environment

NOT_REPORTED = {"accumulation_dtype", "device_name", "loss_scale"}
"""On a CPU, and where the loss is not scaled."""
UNKNOWN = {
    "pytorch": NOT_REPORTED,
    "keras-torch": NOT_REPORTED,
    "keras-tensorflow": {*NOT_REPORTED, "blas", "instruction_set", "float32_matmul_precision"},
    "keras-jax": {
        *NOT_REPORTED,
        "intra_op_threads",
        "inter_op_threads",
        "blas",
        "onednn",
        "instruction_set",
        "deterministic",
    },
}
HALF_LAYER = {"activation_dtype": "bfloat16", "compute_dtype": "bfloat16"}
OF_TORCH: dict[str, dict[str, Any]] = {
    "threads": {"intra_op_threads": 3},
    "tf32": {"tf32": True},
    # PyTorch's one word for "high" is its switch of TF32 in products as well.
    "precision": {"float32_matmul_precision": "high", "tf32": True},
    "deterministic": {"deterministic": False},
    "onednn": {"onednn": False},
}
CHANGED: dict[str, dict[str, dict[str, Any]]] = {
    "pytorch": {
        **OF_TORCH,
        "half activations": {"activation_dtype": "bfloat16"},
        "channels last": {"memory_layout": "NHWC", "weight_layout": "OHWI"},
    },
    "keras-torch": {**OF_TORCH, "half activations": HALF_LAYER},
    "keras-tensorflow": {
        "tf32": {"tf32": True},
        "eager": {"execution": "eager"},
        "jit": {"jit_compile": True},
        "half activations": HALF_LAYER,
    },
    "keras-jax": {
        "tf32": {"tf32": True, "float32_matmul_precision": "tensorfloat32"},
        "eager": {"execution": "eager", "jit_compile": False},
        "half activations": HALF_LAYER,
    },
}


def facts(framework: str) -> dict[str, dict[str, Any]]:
    return ask(framework, "settings").facts


@each_framework
@pytest.mark.parametrize("case", ["closed", "float32", "bfloat16", "cifar-plain"])
def test_every_key_is_there_and_no_other(framework: str, case: str) -> None:
    assert set(facts(framework)[case]) == set(NAMES)


def test_every_framework_is_covered() -> None:
    assert set(UNKNOWN) == set(CHANGED) == set(FRAMEWORKS)


@each_framework
def test_none_only_where_a_framework_cannot_report(framework: str) -> None:
    found = facts(framework)["closed"]
    assert {name for name, value in found.items() if value is None} == UNKNOWN[framework]


@each_framework
def test_closed_track(framework: str) -> None:
    found = facts(framework)["closed"]
    expected = {
        **dict.fromkeys(("weight_dtype", "compute_dtype", "activation_dtype"), "float32"),
        "device": "cpu",
        "tf32": False,
        "deterministic": True,
        "intra_op_threads": 1,
        "inter_op_threads": 1,
    }
    known = {name: value for name, value in expected.items() if name not in UNKNOWN[framework]}
    assert {name: found[name] for name in known} == known


@each_framework
def test_layouts(framework: str) -> None:
    """Images are NCHW to PyTorch and NHWC to Keras; PyTorch's idiomatic track lays them NHWC."""
    keras = "keras" in FRAMEWORKS[framework].modules
    for case in ("closed", "cifar-plain", "float32"):
        found = facts(framework)[case]
        last = keras or case == "float32"
        assert found["memory_layout"] == ("NHWC" if last else "NCHW")
        assert found["weight_layout"] == ("HWIO" if keras else "OHWI" if last else "OIHW")


@each_framework
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_idiomatic_track_has_the_precision_asked_for(framework: str, precision: str) -> None:
    found = facts(framework)[precision]
    assert found["activation_dtype"] == found["compute_dtype"] == precision
    assert found["weight_dtype"] == "float32"


@each_framework
def test_the_loss_is_scaled_for_float16_alone(framework: str) -> None:
    """float16's smallest numbers are too large for many gradients; bfloat16's are float32's."""
    assert facts(framework)["float16"]["loss_scale"] >= 1024
    assert {facts(framework)[name]["loss_scale"] for name in ("float32", "bfloat16")} == {None}


@each_framework
def test_settings_follow_reality(framework: str) -> None:
    """Each change, made without the trainer, shows as itself and is undone completely."""
    before = facts(framework)["closed"]
    shown = {
        name: {key: value for key, value in facts(framework)[name].items() if value != before[key]}
        for name in CHANGED[framework]
    }
    assert shown == CHANGED[framework]
    assert facts(framework)["again"] == before


@each_framework
def test_a_fresh_process_reads_back_its_own_threads_and_mode(framework: str) -> None:
    """Inter-op threads can be set once per process, TensorFlow's determinism never unset."""
    found = json.loads(
        subprocess.run(
            [sys.executable, "-m", "tests.frameworks.support.fresh", framework, "3"],
            cwd=ROOT,
            env={**environment(FRAMEWORKS[framework]), "TF_ENABLE_ONEDNN_OPTS": "0"},
            capture_output=True,
            check=True,
            timeout=120,
        ).stdout
    )
    expected = {
        "intra_op_threads": 3,
        "inter_op_threads": 3,
        "deterministic": False,
        "onednn": framework != "keras-tensorflow",  # it alone obeys the variable
    }
    known = {name: value for name, value in expected.items() if name not in UNKNOWN[framework]}
    assert {name: found[name] for name in known} == known


def test_no_key_can_be_forgotten() -> None:
    required = {f.name for f in dataclasses.fields(Settings) if f.default is dataclasses.MISSING}
    assert required == set(NAMES)
    with pytest.raises(TypeError, match="deterministic"):
        Settings(**dict.fromkeys(set(NAMES) - {"deterministic"}))  # type: ignore[arg-type]


def test_doctor_reads_the_same_keys_from_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    row = FRAMEWORKS[REFERENCE]
    if row.missing():
        pytest.skip(str(row.missing()))
    monkeypatch.setattr(doctor, "FRAMEWORKS", {REFERENCE: row})
    found = doctor.diagnose()["frameworks"][REFERENCE]
    workers = {"cpu_affinity", "thread_affinities", "kept_environment"}
    assert set(found["settings"]) == {*NAMES, *workers}
    cpus = sorted(os.sched_getaffinity(0))
    assert found["settings"]["cpu_affinity"] == cpus
    assert found["settings"]["intra_op_threads"] == len(cpus)
    assert found["repeatability"] == row.repeatability
