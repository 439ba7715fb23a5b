"""The network written for other programs: ONNX, and ``torch.export``; read back and evaluated.

`bench.worker.client.call` runs these functions in a worker; paths are strings. The input is
``images``, (B, 3, S, S) float32 after the preprocessing that belongs to the weights, for any B; the
output is ``logits``, (B, classes). Weights have the core's names.
"""

from __future__ import annotations

import io
import json
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn

from bench.core.errors import UserError
from bench.networks.architecture import Architecture
from bench.networks.pretrained import FACTS, FACTS_FILE, Pretrained
from models_torch.alexnet import STOCK, build

_INSTALL = "pip install 'alexbench[export]'"
_OPSET = 18
"""The oldest that PyTorch's exporter writes without converting; onnxruntime has it since 1.14."""


def export(source: str, out: str) -> None:
    """Write prepared weights as a whole network; the suffix decides the format.

    Raises:
        UserError: A package that this needs is not installed.
    """
    found = Pretrained.load(Path(source))
    architecture = found.facts.architecture()
    network = _network(architecture, found)
    size = architecture.input_size
    images = torch.zeros(2, architecture.channels, size, size)
    batch = torch.export.Dim("batch")
    facts = json.dumps(found.facts.to_json())
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of its own parts that it is about to replace
        program = torch.export.export(network, (images,), dynamic_shapes=({0: batch},))
        if out.endswith(".onnx"):
            _write_onnx(program, facts, out)
        else:
            torch.export.save(program, out, extra_files={FACTS_FILE: facts})


def export_state(path: str, out: str) -> None:
    """Write the tensors of an exported file to ``out`` (safetensors), by their names."""
    if path.endswith(".onnx"):
        onnx = _required("onnx")
        graph = onnx.load(path).graph
        tensors = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    else:
        state = torch.export.load(path).state_dict
        tensors = {name: tensor.detach().numpy() for name, tensor in state.items()}
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, out)


def export_logits(path: str, images: str, out: str) -> dict[str, Any]:
    """Evaluate an exported file on prepared images (npy); write the output (npy).

    Returns:
        ``runtime``: the program that evaluated it.
    """
    x = np.load(images)
    if path.endswith(".onnx"):
        runtime = _required("onnxruntime")
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        np.save(out, session.run(None, {given.name: x})[0])
        return {"runtime": f"onnxruntime {runtime.__version__}"}
    with torch.inference_mode():
        np.save(out, torch.export.load(path).module()(torch.from_numpy(x)).numpy())
    return {"runtime": "torch.export"}


def _network(architecture: Architecture, found: Pretrained) -> nn.Module:
    network = build(architecture, STOCK, initialise=False)
    wanted = architecture.weight_shapes() | architecture.statistic_shapes()
    state = {name: torch.from_numpy(np.array(found.tensors[name])) for name in wanted}
    network.load_state_dict(state, strict=False)  # BatchNorm's counter of batches stays
    return network.eval()


def _write_onnx(program: torch.export.ExportedProgram, facts: str, out: str) -> None:
    onnx = _required("onnx")
    _required("onnxscript")
    with redirect_stdout(io.StringIO()):
        written = torch.onnx.export(
            program,
            opset_version=_OPSET,
            input_names=["images"],
            output_names=["logits"],
            dynamo=True,
            optimize=False,  # a runtime does so when it loads the file; weights keep their names
        )
    assert written is not None
    proto = written.model_proto
    proto.producer_name = "alexbench"
    onnx.helper.set_model_props(proto, {FACTS: facts})
    onnx.checker.check_model(proto)
    onnx.save(proto, out)


def _required(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise UserError(f".onnx files: {name} not installed; {_INSTALL}") from error
