"""Networks written for other programs: verified, with names, facts and any number of images."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.networks.pretrained import FACTS
from bench.training.frameworks import REFERENCE
from bench.weights import exports
from bench.weights.convert import convert
from tests.support.weight_examples import needs, needs_modules, weights, write, write_mixed

pytestmark = pytest.mark.usefixtures("exporters", "weight_examples")


@pytest.fixture(scope="module")
def exporters(shared_frameworks: None) -> None:
    """The programs that exported files are for."""
    needs_modules("onnx", "onnxscript", "onnxruntime")
    needs(REFERENCE)


@pytest.mark.parametrize(("form", "program"), [(".onnx", "onnxruntime"), (".pt2", "torch.export")])
def test_an_exported_network_is_compared_with_the_frameworks(
    form: str, program: str, tmp_path: Path
) -> None:
    needs("keras-tensorflow")
    said = convert(str(write_mixed(tmp_path)), Path(f"out{form}"))
    assert said[0] == "12 tensors read back, all bits equal"
    one, other = said[1:3]
    assert one.startswith("logits of pytorch and keras-tensorflow differ by ")
    assert other.startswith(f"logits of pytorch and {form} in {program}")
    assert float(other.split(" by ")[1].split()[0]) <= 1e-5
    assert Path(f"out{form}").is_file()


_ONNX = """
import sys, json
import numpy as np, onnx, onnxruntime
for name in ("bench", "models_torch", "torch"):
    sys.modules[name] = None
model = onnx.load("out.onnx")
facts = json.loads({p.key: p.value for p in model.metadata_props}["FACTS"])
session = onnxruntime.InferenceSession("out.onnx", providers=["CPUExecutionProvider"])
(given,), (made,) = session.get_inputs(), session.get_outputs()
shapes = [session.run(None, {"images": np.zeros((n, 3, 20, 20), "f")})[0].shape for n in (1, 5)]
names = sorted(one.name for one in model.graph.initializer)
print(json.dumps([given.name, made.name, shapes, facts["variant"], facts["categories"][:2], names]))
""".replace("FACTS", FACTS)


def test_an_onnx_file_needs_onnxruntime_alone(tmp_path: Path) -> None:
    convert(str(write(tmp_path / "mixed.safetensors", weights())), Path("out.onnx"))
    done = subprocess.run(
        [sys.executable, "-c", _ONNX], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    given, made, shapes, variant, _, names = json.loads(done.stdout)
    assert (given, made, variant) == ("images", "logits", "mixed")
    assert shapes == [[1, 6], [5, 6]]
    assert {"conv1.weight", "dense2.bias"} <= set(names)


_PT2 = """
import sys
import torch
for name in ("bench", "models_torch"):
    sys.modules[name] = None
network = torch.export.load("out.pt2").module()
print([tuple(network(torch.zeros(n, 3, 20, 20)).shape) for n in (2, 5)])
"""


def test_a_pt2_file_needs_torch_alone(tmp_path: Path) -> None:
    convert(str(write(tmp_path / "mixed.safetensors", weights())), Path("out.pt2"))
    done = subprocess.run(
        [sys.executable, "-c", _PT2], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[(2, 6), (5, 6)]"


def test_a_difference_in_the_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def off(path: Path, images: Path) -> tuple[str, np.ndarray]:
        return "a runtime", np.ones((4, 6), np.float32)

    monkeypatch.setattr(exports, "outputs_of", off)
    with pytest.raises(UserError, match=r"logits of pytorch and .onnx in a runtime differ by"):
        convert(str(write(tmp_path / "mixed.safetensors", weights())), Path("out.onnx"))
    assert not Path("out.onnx").exists()


def test_a_network_with_missing_layers_is_refused(tmp_path: Path) -> None:
    some = {name: array for name, array in weights().items() if not name.startswith("dense2")}
    with pytest.raises(UserError, match=r"a .onnx file holds a whole network, and .* lacks dense2"):
        convert(str(write(tmp_path / "some.safetensors", some)), Path("out.onnx"))
