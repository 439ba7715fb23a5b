"""PyTorch's files of weights: what is read, what is refused, and torch.hub's downloads."""

from __future__ import annotations

import argparse
import collections
import datetime
import hashlib
import http.server
import os
import pickle
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import nn

from bench.core.errors import UserError
from models_torch.weight_files import categories, fetch, read


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        facts: dict[str, Any] = {
            "refused": _refused(folder),
            "planted_code_ran": (folder / "ran").exists(),
            "taken": _taken(folder),
            "categories": categories()["categories"],
            "fetched": _fetched(folder),
        }
    return facts, {}


def _state() -> dict[str, Any]:
    torch.manual_seed(0)
    return {"features.0.weight": torch.randn(64, 3, 11, 11), "features.0.bias": torch.randn(64)}


class _Planted:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


class _Asks:
    """Asks for a call when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


class _Meter:
    """As trainers keep next to the weights."""

    def __init__(self) -> None:
        self.values = [1.0, np.float64(2.0)]


class _Settings(dict[str, Any]):
    """A dictionary of a class of its own, as configurations are."""


def _checkpoints() -> dict[str, Any]:
    """The same state as trainers of the world keep it."""
    state = _state()
    momentum = {0: {"momentum_buffer": torch.zeros(64, 3, 11, 11)}}
    return {
        "imagenet-example": {
            "epoch": 90,
            "arch": "alexnet",
            "state_dict": {f"module.{k}": v for k, v in state.items()},
            "best_acc1": torch.tensor(56.5),
            "optimizer": {"state": momentum, "param_groups": [{"lr": 0.1}]},
        },
        **{key: {key: state, "epoch": 3} for key in ("net", "model", "weights", "params", "ema")},
        "nested": {"network": {"model_state": state}},
        "numpy-number": {"net": state, "acc": np.float64(93.1), "mean": np.zeros(3)},
        "namespace": {
            "state_dict": state,
            "args": argparse.Namespace(lr=0.1, out=Path("/tmp")),
            "history": collections.defaultdict(list, {"loss": [1.0]}),
            "when": datetime.datetime(2020, 1, 1),
        },
        "own-classes": {"state_dict": state, "meter": _Meter(), "config": _Settings(a=1)},
        "beside-numbers": {**state, "epoch": 3},
        "defaultdict": collections.defaultdict(int, state),
    }


def _refused(folder: Path) -> dict[str, str]:
    """What is said of each file that must not be taken."""
    planted = _Planted(folder / "ran")
    given: dict[str, Any] = {
        "code": {**_state(), "x": planted},
        "module": nn.Linear(2, 2),
        "number": 3,
        "eval": {**_state(), "x": _Asks(eval, "1")},
        "empty-checkpoint": {"epoch": 3, "note": "no weights"},
        "several": {"model": _state(), "ema": _state()},
        "sparse": {"a": torch.eye(3).to_sparse()},
    }
    for name, content in given.items():
        torch.save(content, folder / f"{name}.pth")
    whole = (folder / "several.pth").read_bytes()
    (folder / "truncated.pth").write_bytes(whole[:-500])
    (folder / "junk.pth").write_bytes(b"neither one nor the other" * 50)
    (folder / "empty.pth").touch()
    (folder / "bare.pth").write_bytes(pickle.dumps(planted))
    paths = sorted(folder.glob("*.pth"))
    return {
        path.stem: _said(lambda path=path: read(str(path), str(folder / "out"))) for path in paths
    }


def _said(call: Callable[[], Any]) -> str:
    try:
        return f"taken: {call()}"
    except UserError as error:
        return str(error)


def _taken(folder: Path) -> dict[str, Any]:
    """Of each form of a state: its names, what was reported, and whether the bits are equal."""
    state = _state()
    forms = {
        "plain": state,
        "parameters": {name: nn.Parameter(tensor) for name, tensor in state.items()},
        "wrapped": {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}},
        "bfloat16": {name: tensor.bfloat16() for name, tensor in state.items()},
    }
    found = {}
    forms |= _checkpoints()
    forms |= {"legacy": state, "legacy-namespace": forms["namespace"]}
    for name, content in forms.items():
        path = folder / "checkpoint.pth.tar"
        torch.save(content, path, _use_new_zipfile_serialization=not name.startswith("legacy"))
        reported = read(str(path), str(folder / "state.safetensors"))
        arrays = load_file(folder / "state.safetensors")
        wanted = [
            tensor.bfloat16().float() if name == "bfloat16" else tensor for tensor in state.values()
        ]
        same = [
            torch.equal(torch.from_numpy(a), b)
            for a, b in zip(arrays.values(), _sorted(state, wanted), strict=True)
        ]
        found[name] = {**reported, "names": sorted(arrays), "same": all(same)}
    torch.save({"model": state, "ema": {k: v + 1 for k, v in state.items()}}, folder / "two.pth")
    reported = read(str(folder / "two.pth"), str(folder / "state.safetensors"), "ema")
    arrays = load_file(folder / "state.safetensors")
    same = [np.array_equal(arrays[k], v + 1) for k, v in state.items()]
    found["by-key"] = {**reported, "names": sorted(arrays), "same": all(same)}
    return found


def _sorted(state: dict[str, Any], tensors: list[Any]) -> list[Any]:
    by_name = dict(zip(state, tensors, strict=True))
    return [by_name[name] for name in sorted(by_name)]


@contextmanager
def _server(content: bytes, length: int, status: int) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/weights"
        server.shutdown()
        thread.join()


def _fetched(folder: Path) -> dict[str, Any]:
    torch.save(_state(), folder / "served.pth")
    content = (folder / "served.pth").read_bytes()
    right = f"w-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    found: dict[str, Any] = {}
    cases: dict[str, tuple[str, bytes, int]] = {
        "right": (right, content, 200),
        "wrong hash": ("w-00000000.pth", content, 200),
        "interrupted": (right, content[:-1000], 200),
        "absent": (right, b"", 404),
    }
    for name, (file, body, status) in cases.items():
        target = folder / name
        with _server(body, len(content) if status == 200 else 0, status) as url:
            said = _said(lambda t=target, f=file, u=url: fetch(str(t), f, u, False))
        found[name] = {
            "message": said.replace(url, "URL"),
            "left": sorted(p.name for p in target.iterdir()),
        }
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: no server answers there
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/weights"
        said = _said(lambda: fetch(str(folder / "offline"), right, url, False))
    found["offline"] = {"message": said.replace(url, "URL"), "left": []}
    found["no address"] = {
        "message": _said(lambda: fetch(str(folder / "x"), right, "x y", False)),
        "left": [],
    }
    socket.setdefaulttimeout(None)  # other probes run in this process
    return found
