"""Hostile files: each has a payload that makes a marker, and is given to the reader of its kind.

A control shows first that a payload works where it is run: the same pickle given to ``pickle``, the
same archive unpacked without care.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import marshal
import os
import pickle
import random
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bench.core.errors import UserError
from bench.core.records import Record
from bench.data.sources import open_dataset
from bench.inference.images import read_rgb
from bench.report.html import write_results
from bench.training.frameworks import FRAMEWORKS, REFERENCE
from bench.weights.files import model_config
from bench.weights.sources import open_weights
from bench.worker import checkpoints
from bench.worker.process import WorkerError
from tests.reliability.support import Figures, main, place
from tests.support.synthetic_records.synthetic import make_failure, make_record

Hostile = tuple[str, bytes, Callable[[Path], object]]
"""Name of a file, its content, and what reads it."""


class _Calls:
    """Pickled, it asks for a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self._call


def run(given: argparse.Namespace, rng: random.Random, figures: Figures) -> None:
    """Every file once; the marker must never be there, and no error but a refusal."""
    with place() as here:
        os.environ.update({**here.environment, "ALEXBENCH_CACHE": str(here.root / "cache")})
        marker = here.root / "marker"
        _control(here.root / "control")
        for name, content, read in _files(marker, here.root):
            path = here.root / "hostile" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            problem = None
            try:
                read(path)
                figures.notes["read without running anything"] += 1
            except (UserError, WorkerError) as error:
                figures.notes["refused"] += 1
                problem = f"several lines: {error}" if "\n" in str(error) else None
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
            if os.path.lexists(marker):
                figures.lost += 1
                problem = "its payload was run"
                subprocess.run(["rm", "-rf", str(marker)], check=True)
            figures.count(problem and f"{name}: {problem}")


def _control(marker: Path) -> None:
    """The payloads work: without this the script would show nothing."""
    pickle.loads(_pickles(marker)["os"])
    assert marker.is_dir(), "the payload of the control does nothing"
    marker.rmdir()


def _pickles(marker: Path) -> dict[str, bytes]:
    target = str(marker)
    code = f"__import__('os').mkdir({target!r})"
    text = target.encode()
    return {
        "os": pickle.dumps({b"data": _Calls(os.mkdir, target), b"labels": [1]}),
        "eval": pickle.dumps(_Calls(eval, code), 0),
        "exec": pickle.dumps([_Calls(exec, code)], 2),
        "subprocess": pickle.dumps(_Calls(subprocess.call, (["mkdir", target],)), 4),
        "text": b"cposix\nsystem\n(S'mkdir " + text + b"'\ntR.",
        "instance": b"(S'mkdir " + text + b"'\nios\nsystem\n.",
        "object": b"\x80\x02cposix\nsystem\n(X" + len(text + b"mkdir ").to_bytes(4, "little")
        + b"mkdir " + text + b"t\x81.",
        "within arrays": pickle.dumps({b"data": np.array([_Calls(os.mkdir, target)], object)}),
        "state": b"cbuiltins\nobject\n)R}S'a'\ncposix\nmkdir\nsb.",
        "getattr": b"cbuiltins\ngetattr\n(cbuiltins\n__import__\nS'__self__'\ntR.",
        "numpy": b"cnumpy.testing._private.utils\nrunstring\n(S'"
        + code.encode().replace(b"'", b'"') + b"'\n}tR.",
        "codecs": b"c_codecs\nlookup\n(S'../" + text + b"'\ntR.",
    }  # fmt: skip


def _files(marker: Path, root: Path) -> Iterator[Hostile]:
    yield from _datasets(marker)
    yield from _weights(marker)
    yield from _images(marker)
    yield from _reports(marker, root)


def _datasets(marker: Path) -> Iterator[Hostile]:
    def opened(path: Path) -> object:
        return open_dataset(str(path), progress=False)

    for name, content in _pickles(marker).items():
        files = {"a/data_batch_1": content, "a/test_batch": content, "a/batches.meta": content}
        yield f"pickle-{name}.tar", _tar(files), opened
    above = "../" * 20
    for name, target in (("absolute", str(marker)), ("above", f"{above}{marker}")):
        yield f"path-{name}.tar", _tar({target: b"x", "a/data_batch_1.bin": bytes(3073)}), opened
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        yield f"link-{kind.decode()}.tar", _links(marker, kind), opened
    yield "device.tar", _device(marker), opened


def _tar(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def _links(marker: Path, kind: bytes) -> bytes:
    """A link out of the archive, and a file that goes through it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        link = tarfile.TarInfo("a/train")
        link.type, link.linkname = kind, str(marker.parent)
        archive.addfile(link)
        through = tarfile.TarInfo(f"a/train/{marker.name}/1.png")
        through.size = 1
        archive.addfile(through, io.BytesIO(b"x"))
        batch = tarfile.TarInfo("a/data_batch_1.bin")
        batch.type, batch.linkname = kind, str(marker)
        archive.addfile(batch)
    return made.getvalue()


def _device(marker: Path) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        pipe = tarfile.TarInfo(str(marker))
        pipe.type = tarfile.FIFOTYPE
        archive.addfile(pipe)
    return made.getvalue()


def _weights(marker: Path) -> Iterator[Hostile]:
    def opened(path: Path) -> object:
        return open_weights(str(path))

    calls = np.array([_Calls(os.mkdir, str(marker))], object)
    objects = io.BytesIO()
    np.savez(objects, a=calls)
    yield "objects.npz", objects.getvalue(), opened
    yield "pickle-in-the-place.npz", _pickles(marker)["os"], opened
    yield "pickle-in-the-place.safetensors", _pickles(marker)["os"], opened
    for name, config in _configs(marker).items():
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr("config.json", json.dumps(config))
            archive.writestr("metadata.json", "{}")
            archive.writestr("model.weights.h5", _h5(None))
            archive.writestr(f"../{marker.name}", b"x")
            archive.writestr(str(marker), b"x")
        yield f"{name}.keras", made.getvalue(), opened
        yield f"{name}-config.keras", made.getvalue(), model_config
        yield f"{name}.h5", _h5(config), opened
    for name, content in _pickles(marker).items():
        if FRAMEWORKS[REFERENCE].missing() is None:
            yield f"{name}.pth", content, opened
    if FRAMEWORKS[REFERENCE].missing() is None:
        for old in (True, False):
            yield f"torch-{old}.pth", _torch(marker, old), opened
    checkpoint = io.BytesIO()
    np.savez(checkpoint, about=calls, state=calls)
    digest = hashlib.sha256(checkpoint.getvalue()).hexdigest()[:32]
    yield f"step-0000000001-{digest}.npz", checkpoint.getvalue(), _checkpoint


def _checkpoint(path: Path) -> object:
    return dict(checkpoints.read(path).state)


def _configs(marker: Path) -> dict[str, dict[str, Any]]:
    code = compile(f"__import__('os').mkdir({str(marker)!r})", "a", "eval")
    packed = base64.b64encode(marshal.dumps((lambda x: x).__code__.replace(co_code=code.co_code)))
    function = {
        "class_name": "__lambda__",
        "config": {"code": packed.decode(), "defaults": None, "closure": None},
    }
    layers = {
        "lambda": {"class_name": "Lambda", "config": {"name": "l", "function": function}},
        "module": {"module": "os", "class_name": "mkdir", "config": {"path": str(marker)}},
        "registered": {
            "module": "builtins", "class_name": "eval", "registered_name": "eval",
            "config": {"source": f"__import__('os').mkdir({str(marker)!r})"},
        },
        "build": {
            "module": "keras.layers", "class_name": "Dense", "build_config": {"input_shape": [1]},
            "config": {"units": 1, "activation": f"__import__('os').mkdir({str(marker)!r})"},
        },
    }  # fmt: skip
    return {
        name: {"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
        for name, layer in layers.items()
    }


def _h5(config: dict[str, Any] | None) -> bytes:
    made = io.BytesIO()
    with h5py.File(made, "w") as file:
        group = file.create_group("layers/conv2d/vars")
        group["0"], group["1"] = np.ones((3, 3, 3, 4), "f"), np.ones(4, "f")
        if config:
            file.attrs["model_config"] = json.dumps(config)
    return made.getvalue()


def _torch(marker: Path, old: bool) -> bytes:
    """A ``.pth`` that PyTorch itself writes, in a process of its own."""
    code = (
        "import io, os, sys, torch\n"
        "Evil = type('Evil', (), {'__reduce__': lambda self: (os.mkdir, (sys.argv[1],))})\n"
        "made = io.BytesIO()\n"
        f"torch.save({{'a': Evil()}}, made, _use_new_zipfile_serialization={not old})\n"
        "sys.stdout.buffer.write(made.getvalue())"
    )
    command = [sys.executable, "-c", code, str(marker)]
    return subprocess.run(command, capture_output=True, check=True).stdout


def _images(marker: Path) -> Iterator[Hostile]:
    script = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n({marker}) (w) file\nshowpage\n"
    yield "script.png", script.encode(), read_rgb
    link = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{marker}"/></svg>'
    yield "drawing.png", link.encode(), read_rgb


def _reports(marker: Path, root: Path) -> Iterator[Hostile]:
    """Records whose texts are code where they are not escaped: of templates, pages, plots."""
    call = f"cycler.__init__.__globals__.os.mkdir({str(marker)!r})"
    texts = (
        "{{ " + call + " }}",
        "{% print " + call + " %}",
        "<script>marker()</script>",
        f"$\\immediate\\write18{{mkdir {marker}}}$",
        '"><img src=x onerror=marker()>',
    )
    for place_, text in enumerate(texts):
        records = [
            make_record(kind="latency"),
            replace(make_record(kind="accuracy"), settings={"threads": text, text: 1}),
            make_failure(error=text),
        ]
        caveat = {"on": "accuracy", "why": text}
        records[1] = replace(records[1], caveats=(caveat,), dataset={"name": text})

        yield f"texts-{place_}.jsonl", b"", partial(_written, text, records)


def _written(text: str, records: list[Record], path: Path) -> None:
    page = write_results(records, path.with_suffix(""), title=text, notes=[text])
    content = page.read_text("utf-8")
    for tag in ("<script>marker", "<img src=x"):
        if tag in content:
            raise AssertionError(f"the page holds {tag!r}")


if __name__ == "__main__":
    main(run)
