"""PyTorch's own files of weights: read without running their code, written, and evaluated.

`bench.worker.client.call` runs these functions in a worker; paths are strings.
"""

from __future__ import annotations

import json
import re
import socket
from collections import OrderedDict
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor, nn
from torchvision.models import AlexNet_Weights, alexnet

from bench.core.download import READ_SECONDS, look_up
from bench.core.errors import UserError
from bench.networks.architecture import Architecture
from bench.networks.pretrained import Pretrained
from bench.networks.weight_names import core_names, published_names
from models_torch.alexnet import build
from models_torch.exports import export as export
from models_torch.exports import export_logits as export_logits
from models_torch.exports import export_state as export_state

_ADVICE = "save model.state_dict() and give that file"
_NESTED = ("state_dict", "model_state_dict", "model")
"""Where trainers' checkpoints keep the state among their other things."""
_FACTS = "alexbench"


def read(path: str, out: str) -> dict[str, Any]:
    """Write the tensors of a ``.pth`` to ``out`` (safetensors); give the metadata.

    Those of bfloat16, which numpy lacks, become float32 and are listed. Raises UserError where the
    file is damaged, asks for code, or holds anything but tensors by name.
    """
    state, metadata = _state(path)
    save_file({name: _array(tensor) for name, tensor in state.items()}, out)
    widened = [name for name, tensor in state.items() if tensor.dtype == torch.bfloat16]
    return {"bfloat16": widened, "metadata": metadata}


def _state(path: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    found = _load(path)
    if isinstance(found, Mapping):
        nested = [found[key] for key in _NESTED if isinstance(found.get(key), Mapping)]
        found = nested[0] if nested else found
    if not isinstance(found, Mapping):
        raise UserError(f"{path}: holds a {type(found).__name__}, no state by name; {_ADVICE}")
    for name, tensor in found.items():
        if not isinstance(tensor, Tensor):
            raise UserError(
                f"{path}: {str(name)[:80]!r} is a {type(tensor).__name__}, no tensor; {_ADVICE}"
            )
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise UserError(f"{path}: {name} is sparse or quantized; save it dense, in float32")
    facts = getattr(found, _FACTS, None)
    metadata = {_FACTS: facts} if isinstance(facts, str) else {}
    return {str(name): tensor for name, tensor in found.items()}, metadata


def _load(path: str) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise nearly every type there is
        said = str(error)
        asked = re.search(r"GLOBAL ([\w.]+)", said)
        if asked or "TorchScript" in said:
            what = asked[1] if asked else "TorchScript"
            raise UserError(
                f"{path}: the pickle asks for code ({what}), as a whole pickled module does; "
                f"nothing was run; {_ADVICE}"
            ) from error
        if "weights_only" in said:
            raise UserError(
                f"{path}: no file of torch.save, or one that asks for more than tensors; nothing "
                f"was run; {_ADVICE}"
            ) from error
        reason = " ".join(said.split(". ")[0].split())[:200]
        reason = reason if " " in reason else f"{type(error).__name__} {reason}".strip()
        raise UserError(f"{path}: not a whole PyTorch file ({reason}); get it again") from error


def _array(tensor: Tensor) -> NDArray[Any]:
    plain = tensor.detach()
    plain = plain.float() if plain.dtype == torch.bfloat16 else plain
    return np.ascontiguousarray(plain.resolve_conj().numpy())


def categories() -> dict[str, Any]:
    """Names of the 1000 ImageNet classes, in the order of the logits, as torchvision has them."""
    return {"categories": list(AlexNet_Weights.IMAGENET1K_V1.meta["categories"])}


def write(source: str, out: str) -> None:
    """Write prepared weights as a state: under torchvision's names where the network is its own.

    The facts go along as an attribute of the state, which ``load_state_dict`` does not look at.
    """
    found = Pretrained.load(Path(source))
    facts = found.facts
    names = published_names(found.tensors, facts.variant, facts.head)
    state: OrderedDict[str, Tensor] = OrderedDict(
        (theirs, torch.from_numpy(found.tensors[ours])) for ours, theirs in names.items()
    )
    setattr(state, _FACTS, json.dumps(facts.to_json()))
    torch.save(state, out)


def logits(path: str, architecture: dict[str, Any], images: str, out: str) -> None:
    """Evaluate what a file holds on prepared images (npy, (B, 3, S, S)); write the output (npy).

    A ``.pth`` under torchvision's names goes into torchvision's own network.
    """
    network = _network(path, Architecture.from_json(architecture))
    with torch.inference_mode():
        np.save(out, network.eval()(torch.from_numpy(np.load(images))).numpy())


def _network(path: str, architecture: Architecture) -> nn.Module:
    wanted = architecture.weight_shapes() | architecture.statistic_shapes()
    network: nn.Module = build(architecture)
    if not path.endswith((".pth", ".pt")):
        tensors = Pretrained.load(Path(path)).tensors
        network.load_state_dict({name: torch.from_numpy(tensors[name]) for name in wanted})
        return network
    state, _ = _state(path)
    if len(state) == len(wanted) and "classifier.6.weight" in state:
        network = alexnet(num_classes=architecture.classes)
        network.load_state_dict(state)
        return network
    names = {ours: theirs for theirs, ours in core_names(state).items()}
    network.load_state_dict({name: state[names[name]] for name in wanted})
    return network


def fetch(folder: str, file: str, url: str | None, progress: bool) -> None:
    """Have torchvision's weights downloaded into ``folder`` by torch.hub, as torchvision does it.

    The hash in the name ``file`` is checked. ``url`` is that of a mirror. Raises UserError where
    the network, the server, the hash or the disk fails; then no file is left.
    """
    address = url or AlexNet_Weights.IMAGENET1K_V1.url
    socket.setdefaulttimeout(READ_SECONDS)  # torch.hub sets none and would wait for ever
    try:
        look_up(address)
        torch.hub.load_state_dict_from_url(
            address,
            model_dir=folder,
            file_name=file,
            progress=progress,
            check_hash=True,
            map_location="cpu",
            weights_only=True,
        )
    except (OSError, HTTPException, httpx.HTTPError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{address}: cannot be downloaded ({reason}); check the network, or get {file} "
            "elsewhere and pass it with --weights FILE, or set $ALEXBENCH_WEIGHTS_URL to a mirror"
        ) from error
