"""PyTorch's files of weights: what is read, what is refused, and torch.hub's downloads."""

from __future__ import annotations

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


def _refused(folder: Path) -> dict[str, str]:
    """What is said of each file that must not be taken."""
    planted = _Planted(folder / "ran")
    given: dict[str, Any] = {
        "code": {**_state(), "x": planted},
        "module": nn.Linear(2, 2),
        "number": 3,
        "checkpoint": {"epoch": 3, "weights": _state()},
        "sparse": {"a": torch.eye(3).to_sparse()},
    }
    for name, content in given.items():
        torch.save(content, folder / f"{name}.pth")
    whole = (folder / "checkpoint.pth").read_bytes()
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
    for name, content in forms.items():
        torch.save(content, folder / "state.pth")
        reported = read(str(folder / "state.pth"), str(folder / "state.safetensors"))
        arrays = load_file(folder / "state.safetensors")
        wanted = [
            tensor.bfloat16().float() if name == "bfloat16" else tensor for tensor in state.values()
        ]
        same = [
            torch.equal(torch.from_numpy(a), b)
            for a, b in zip(arrays.values(), _sorted(state, wanted), strict=True)
        ]
        found[name] = {"names": sorted(arrays), "same": all(same), **reported}
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
