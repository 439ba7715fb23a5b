"""PyTorch's own files of weights: read without running their code, written, and evaluated.

`bench.worker.client.call` runs these functions in a worker; paths are strings.
"""

from __future__ import annotations

import json
import re
import socket
import warnings
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
from bench.core.text import with_article
from bench.networks.architecture import Architecture
from bench.networks.checkpoints import chosen_set
from bench.networks.pretrained import Pretrained
from bench.networks.weight_names import core_names, published_names
from models_torch.alexnet import build
from models_torch.exports import export as export
from models_torch.exports import export_logits as export_logits
from models_torch.exports import export_state as export_state

_ADVICE = "save model.state_dict() and give that file"
_FACTS = "alexbench"
_LARGEST = 2 << 30
"""Bytes of all tensors of a file, as in `bench.weights.limits`."""
_MOST_KINDS = 100
"""Classes of plain values in one file that are passed over."""
_CODE = (
    *("builtins", "__builtin__", "subprocess", "importlib", "runpy", "shutil", "socket", "ctypes"),
    *("pickle", "marshal", "code", "codeop", "pty", "multiprocessing", "operator", "types", "imp"),
    *("os", "posix", "nt", "sys", "io", "webbrowser", "urllib", "http", "asyncio", "threading"),
)
"""Modules whose functions no checkpoint needs: a file that names one was made to run something."""
_PLAIN_BUILTINS = (
    *("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list"),
    *("object", "range", "set", "slice", "str", "tuple", "type"),
)


def read(path: str, out: str, key: str | None = None) -> dict[str, Any]:
    """Write the tensors of a file of ``torch.save`` to ``out`` (safetensors); give the metadata.

    Those of bfloat16, which numpy lacks, become float32 and are listed; ``names`` has the order of
    the file. ``key`` names one of several sets. Raises UserError where the file is damaged, asks
    for code, or holds no tensors by name.
    """
    state, metadata, notes = _chosen(path, key)
    save_file({name: _array(tensor) for name, tensor in state.items()}, out)
    widened = [name for name, tensor in state.items() if tensor.dtype == torch.bfloat16]
    return {"bfloat16": widened, "metadata": metadata, "names": list(state), "notes": notes}


def _state(path: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    state, metadata, _ = _chosen(path, None)
    return state, metadata


def _chosen(path: str, key: str | None) -> tuple[dict[str, Tensor], dict[str, str], list[str]]:
    """Tensors by name, the suite's metadata, and what was passed over in words."""
    found = _load(path)
    if isinstance(found, PassedOver):
        raise UserError(
            f"{path}: the pickle asks for code ({found.kind}), as a whole pickled module does; "
            f"nothing was run; {_ADVICE}"
        )
    if not isinstance(found, Mapping):
        kind = with_article(type(found).__name__)
        raise UserError(f"{path}: holds {kind}, no state by name; {_ADVICE}")
    facts = getattr(found, _FACTS, None)
    chosen = chosen_set(found, _axes, path, key)
    for name, tensor in chosen.tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise UserError(f"{path}: {name} is sparse or quantized; save it dense, in float32")
    total = sum(tensor.numel() * tensor.element_size() for tensor in chosen.tensors.values())
    if total > _LARGEST:
        raise UserError(f"{path}: declares {total} bytes of tensors; at most {_LARGEST} are read")
    notes = [f"taken from {chosen.key!r}"] if chosen.key else []
    if chosen.passed_over:
        notes.append(f"passed over: {', '.join(chosen.passed_over)}")
    return chosen.tensors, {_FACTS: facts} if isinstance(facts, str) else {}, notes


def _axes(value: object) -> int | None:
    return value.dim() if isinstance(value, Tensor) else None


class PassedOver:
    """The place of a value that is no tensor: takes what its class would, and does nothing."""

    kind = ""

    def __new__(cls, *_: object, **__: object) -> PassedOver:
        """Made from any arguments, which are dropped."""
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        """A state that is dropped."""


class _PassedOverList(PassedOver, list[Any]):
    """The same for a class that is filled like a list."""


class _PassedOverDict(PassedOver):
    """The same for a class that is filled like a dictionary: the loader fills its own alone."""

    def __new__(cls, *_: object, **__: object) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        """A dictionary that the loader knows."""
        return OrderedDict()


def _load(path: str) -> object:
    """What a file holds, with an inert stand-in for every value of a class that is no tensor.

    PyTorch's loader of weights only asks for each class that it does not know; it gets one that
    does nothing. Raises UserError.
    """
    stand_ins: dict[str, type[PassedOver]] = {}
    while True:
        named: list[Any] = [(made, name) for name, made in stand_ins.items()]
        try:
            with torch.serialization.safe_globals(named), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of protocols: what cannot be read is an error
                return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # damaged files raise nearly every type there is
            said = str(error)
            asked = re.search(r"GLOBAL ([\w.]+)", said)
            unknown = asked and "not an allowed global" in said
            name = _full_name(asked[1]) if asked else ""
            new = unknown and name not in stand_ins and len(stand_ins) < _MOST_KINDS
            if new and _is_plain(name):
                stand_ins[name] = type(name, (PassedOver,), {"kind": name})
                continue
            if filled := _filled(stand_ins, said):
                stand_ins |= filled
                continue
            raise _refusal(path, said, asked and asked[1], error) from error


def _full_name(asked: str) -> str:
    """The name as the loader compares it: it leaves out ``builtins`` in its message."""
    return asked if "." in asked else f"builtins.{asked}"


def _is_plain(name: str) -> bool:
    """Whether a class or function is passed over; False for what was made to run something."""
    module, _, last = name.rpartition(".")
    if module in ("builtins", "__builtin__"):
        return last in _PLAIN_BUILTINS
    return module.split(".")[0] not in _CODE


def _filled(stand_ins: Mapping[str, type[PassedOver]], said: str) -> dict[str, type[PassedOver]]:
    """Another stand-in for a class that turns out to be filled like a list or a dictionary."""
    kind = _PassedOverList if "Can only append" in said else _PassedOverDict
    if kind is _PassedOverDict and "Can only SETITEM" not in said:
        return {}
    for name, made in stand_ins.items():
        if f"{made.__name__}'>" in said and not issubclass(made, kind):
            return {name: type(made.__name__, (kind,), {"kind": name})}
    return {}


def _refusal(path: str, said: str, asked: str | None, error: Exception) -> UserError:
    if asked or "TorchScript" in said:
        what = asked or "TorchScript"
        return UserError(
            f"{path}: the pickle asks for code ({what}), as a whole pickled module does; "
            f"nothing was run; {_ADVICE}"
        )
    if "weights_only" in said:
        return UserError(
            f"{path}: no file of torch.save, or one that asks for more than tensors; nothing "
            f"was run; {_ADVICE}"
        )
    reason = " ".join(said.split(". ")[0].split())[:200]
    reason = reason if " " in reason else f"{type(error).__name__} {reason}".strip()
    return UserError(f"{path}: not a whole PyTorch file ({reason}); get it again")


def _array(tensor: Tensor) -> NDArray[Any]:
    plain = tensor.detach()
    plain = plain.float() if plain.dtype == torch.bfloat16 else plain
    return plain.resolve_conj().contiguous().numpy()  # a number stays one


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

    A ``.pth`` under torchvision's names goes into torchvision's own network, where the images are
    of its size.
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
    if "classifier.6.weight" in state:
        theirs: nn.Module = alexnet(num_classes=architecture.classes)
        if _shapes(theirs.state_dict()) == _shapes(state):
            theirs.load_state_dict(state)
            return theirs
    head = "replace-last" if "head.weight" in wanted else "source"
    names = {ours: theirs for theirs, ours in core_names(state, head).items()}
    network.load_state_dict({name: state[names[name]] for name in wanted})
    return network


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


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
