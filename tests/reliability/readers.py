"""Readers of what comes from outside: samples, how they are mutated, and what may come of them.

A reader either takes an input or refuses it with one line. What it has taken must hold: a record
can be written and read again, and so can the record of a worker's answer; of one in sixteen the
audit, the frame and all tables are made.
"""

from __future__ import annotations

import io
import json
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import h5py
import numpy as np
from PIL import Image
from safetensors.numpy import save

from bench.analysis.audit.begun import matrix
from bench.analysis.audit.checks import audit
from bench.analysis.frame import frame_of
from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.kinds import KINDS
from bench.core.records import Record, record_of_line
from bench.core.run_paths import RUN_FILE
from bench.core.system.machine import machine_metrics
from bench.data.archives import Bundle, read_bundle
from bench.data.cifar_batches import read_batches
from bench.data.image_folders import decode
from bench.harness.matrix import Task
from bench.harness.measure import record_of
from bench.harness.profiles import PROFILES
from bench.harness.results import checked, checked_block, checked_states
from bench.harness.resumption.run_settings import Begun, RunSettings
from bench.inference.images import read_rgb
from bench.networks import variants
from bench.networks.preprocessing import TORCHVISION
from bench.networks.pretrained import FACTS
from bench.networks.variants import VARIANTS
from bench.report.tables import write_tables
from bench.weights.facts import interpret
from bench.weights.files import RawWeights, model_config, read
from bench.weights.identify import identify
from bench.weights.keras_models.config import input_size, layers_of, parse
from bench.worker import events
from bench.worker.process import WorkerError
from tests.reliability import mutators
from tests.reliability.mutators import Mutate
from tests.support import weight_examples
from tests.support.synthetic_records.many_records import many_records
from tests.support.weight_examples import MIXED

LONGEST_MESSAGE = 1500
"""Letters of a refusal, which is one line."""
TOLD = 16
"""Of this many records that are taken, one is put into tables: it takes a tenth of a second."""


@dataclass(frozen=True)
class Reader:
    """One reader of untrusted input.

    Attributes:
        name: In the figures.
        share: How many of a million inputs are for it.
        seeds: Inputs that it takes.
        mutate: Makes an input of them.
        read: Reads an input, given a folder for a file of it.
    """

    name: str
    share: int
    seeds: Callable[[], list[bytes]]
    mutate: Mutate
    read: Callable[[bytes, Path], object]


def accepted(reader: Reader, content: bytes, folder: Path) -> bool:
    """Whether a reader takes an input; any error but its own refusal is raised."""
    try:
        reader.read(content, folder)
    except (UserError, WorkerError) as error:
        message = str(error)
        if "\n" in message or len(message) > LONGEST_MESSAGE:
            raise AssertionError(
                f"a refusal of several lines or too long: {message[:300]!r}"
            ) from error
        return False
    return True


def _records() -> list[bytes]:
    some = [r for r in many_records(200) if len(r.samples) < 50]
    _told(some[0])  # Arrow reserves a GiB of addresses once, before these are limited
    by_kind = {(r.kind, r.status, r.case.track): r for r in some}
    lines = [_short(json.dumps(r.to_json())) for r in by_kind.values()]
    return [line.encode() for line in lines]


def _short(line: str) -> str:
    """A record without its longest list: mutations would be in nothing else."""
    value = json.loads(line)
    value["metrics"].pop("step_losses", None)
    return json.dumps(value)


def _record(content: bytes, folder: Path) -> None:
    _holds(record_of_line(content + b"\n", "records.jsonl:1"))


def _holds(record: Record) -> None:
    """Raise where a record cannot be written, or is not read as it was written."""
    line = json.dumps(record.to_json(), allow_nan=False)
    again = record_of_line(line.encode() + b"\n", "again")
    assert again == record, "read again it is another record"
    assert again.key == record.key
    if crc32(line.encode()) % TOLD == 0:
        _told(record)


def _told(record: Record) -> None:
    """Raise where the audit, the frame or a table of a record that was taken fails."""
    audit([record])
    frame_of([record])
    with tempfile.TemporaryDirectory() as name:
        write_tables([record], Path(name))


def _cases() -> list[bytes]:
    cases = (Case("cifar-bn", "pytorch"), Case("a", "keras-jax", init="pretrained", weights="w"))
    return [json.dumps(case.to_json()).encode() for case in cases]


def _case(content: bytes, folder: Path) -> None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError("not JSON") from error
    case = Case.from_json(value)
    assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case


def _run_files() -> list[bytes]:
    options = {"profile": "quick", "seeds": 3, "variants": ["cifar-bn"], "batch_sizes": [8]}
    begun = Begun("alexbench run", options, (), (("a case", "latency"),))
    settings = RunSettings.now(begun, PROFILES["quick"], {"name": "d", "fingerprint": "f"})
    return [json.dumps(asdict(settings)).encode()]


def _run_file(content: bytes, folder: Path) -> None:
    (folder / RUN_FILE).write_bytes(content)
    read = RunSettings.read(folder)
    assert read
    assert read.differences(read) == []
    list(matrix([], asdict(read)))
    read.write(folder)
    assert RunSettings.read(folder) == read, "written again it is another"


_CASE = Case("cifar-bn", "pytorch")


def _events() -> list[bytes]:
    _told(many_records(1)[0])
    state = {
        "seconds": 1.0, "cpu_seconds": 2.0, "threads": 2, "others": 0.1, "steal": None,
        "throttled": 0.0, "load": 1.5,
    }  # fmt: skip
    result = {
        "event": "result", "samples": [0.1, 0.2, 0.3], "images_per_sample": 16, "unit": "s",
        "metrics": {"first_step_seconds": 0.1, "steps_per_sample": 3, "diverged": False},
        "machine": [state], "settings": {"threads": 2, "recipe": {"name": "short"}},
        "peak_memory_bytes": 1 << 20, "device_memory_bytes": None,
    }  # fmt: skip
    waiting = {"event": "waiting", "samples": [0.1], "machine": state}
    others = [
        {"event": "progress", "done": 0.5, "note": "step 3"},
        {"event": "error", "status": "oom", "error": "ValueError: a\nb"},
    ]
    return [json.dumps(value).encode() for value in (result, result, waiting, *others)]


def _event(content: bytes, folder: Path) -> None:
    for reply, fields in (("result", events.MEASUREMENT), ("waiting", events.WAITING)):
        try:
            event = events.parse(content, reply, fields)
        except ValueError as error:
            refusal = UserError(str(error))
            continue
        if event["event"] == "result":
            for name in KINDS:
                answer = checked(event, name)
                machine = machine_metrics(checked_states(answer))
                answer["metrics"] |= machine
                if answer["samples"]:
                    _holds(record_of(Task(_CASE, name), answer, [answer["samples"]]))
        elif event["event"] == "waiting":
            checked_block(event)
        return
    raise refusal


def _batches() -> list[bytes]:
    pixels = np.arange(3 * 3072, dtype=np.uint8).reshape(3, 3072)
    batch = {b"data": pixels, b"labels": [0, 9, 3], b"filenames": [b"a.png", b"b.png", b"c"]}
    return [pickle.dumps(batch, protocol) for protocol in (0, 1, 2, 3, 4, 5)]


def _batch(content: bytes, folder: Path) -> None:
    bundle = Bundle(Path("x"), {"data_batch_1": content, "test_batch": _batches()[2]}, frozenset())
    read_batches(bundle, binary=False)


def _image(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    pixels = np.arange(32 * 32 * 4, dtype=np.uint8).reshape(32, 32, 4)
    made = io.BytesIO()
    Image.fromarray(pixels, "RGBA").convert(mode).save(made, kind, **options)
    return made.getvalue()


def _images() -> list[bytes]:
    plain = [_image(kind) for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")]
    odd = [_image("PNG", "P"), _image("PNG", "LA"), _image("TIFF", "RGB", compression="tiff_lzw")]
    return [*plain, *odd, _image("JPEG", "CMYK"), _image("JPEG", "L", progressive=True)]


def _one_image(content: bytes, folder: Path) -> None:
    path = folder / "a.png"
    path.write_bytes(content)
    refusals = []
    for attempt in (lambda: decode(content, "a"), lambda: read_rgb(path, convert=True)):
        try:
            attempt()
        except UserError as error:
            refusals.append(error)
    if len(refusals) == 2:
        raise refusals[0]


def _archives() -> list[bytes]:
    record = bytes([3]) + bytes(3072)
    binary = {f"cifar/{name}.bin": record * 2 for name in ("data_batch_1", "test_batch")}
    png = _image("PNG")
    folders = {f"a/{split}/{name}/1.png": png for split in ("train", "test") for name in "xy"}
    return [mutators.tar_of(binary), mutators.tar_of(folders), mutators.tar_of({"b" * 120: b"c"})]


def _file(suffix: str, take: Callable[[Path], object]) -> Callable[[bytes, Path], None]:
    def reading(content: bytes, folder: Path) -> None:
        path = folder / f"a{suffix}"
        path.write_bytes(content)
        take(path)

    return reading


def _weights(path: Path) -> None:
    read(path)
    model_config(path)


_ARRAYS = {
    "conv1.weight": np.ones((4, 3, 3, 3), "f"), "conv1.bias": np.ones(4, "f"),
    "dense1.weight": np.ones((10, 16), "f"), "dense1.bias": np.ones(10, "f"),
}  # fmt: skip


def _safetensors() -> list[bytes]:
    return [save(_ARRAYS), save(_ARRAYS, {"alexbench": json.dumps({"variant": "cifar-bn"})})]


def _npz() -> list[bytes]:
    plain, packed = io.BytesIO(), io.BytesIO()
    np.savez(plain, **_ARRAYS)
    np.savez_compressed(packed, **_ARRAYS, alexbench=np.array("{}"))
    return [plain.getvalue(), packed.getvalue()]


def _h5() -> list[bytes]:
    found = []
    for options in ({}, {"compression": "gzip", "chunks": True}):
        made = io.BytesIO()
        with h5py.File(made, "w") as file:
            for layer, part in (("conv2d", "conv1"), ("dense", "dense1")):
                group = file.create_group(f"layers/{layer}/vars")
                for place, name in enumerate(("weight", "bias")):
                    array = _ARRAYS[f"{part}.{name}"]
                    group.create_dataset(str(place), data=array, **options)
        found.append(made.getvalue())
    made = io.BytesIO()
    with h5py.File(made, "w") as file:  # Keras 2's layout, of a whole model
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [b"dense"]
        file.attrs["model_config"] = _configs()[0]
        group = root.create_group("dense")
        group.attrs["weight_names"] = [b"k", b"b"]
        group["k"], group["b"] = _ARRAYS["dense1.weight"], _ARRAYS["dense1.bias"]
    return [*found, made.getvalue()]


def _keras() -> list[bytes]:
    import zipfile  # noqa: PLC0415

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("config.json", _configs()[0])
        archive.writestr("metadata.json", b"{}")
        archive.writestr("model.weights.h5", _h5()[0])
    return [made.getvalue()]


def _configs() -> list[bytes]:
    def layer(kind: str, **config: Any) -> dict[str, Any]:
        return {
            "module": "keras.layers", "class_name": kind, "registered_name": None,
            "config": {"name": kind.lower(), "dtype": "float32", **config},
        }  # fmt: skip

    how = {"padding": "same", "strides": [1, 1], "data_format": "channels_last"}
    layers = [
        layer("InputLayer", batch_shape=[None, 32, 32, 3]),
        layer(
            "Conv2D", filters=8, kernel_size=[3, 3], dilation_rate=[1, 1], activation="relu", **how
        ),
        layer("MaxPooling2D", pool_size=[2, 2], **{**how, "padding": "valid"}),
        layer("BatchNormalization", axis=-1, epsilon=0.001, momentum=0.99),
        layer("Dropout", rate=0.5),
        layer("Flatten"),
        layer("Dense", units=10, activation="softmax", use_bias=True),
    ]
    model = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    within = {"class_name": "Sequential", "config": {"name": "t", "layers": [model, layers[-1]]}}
    return [json.dumps(value).encode() for value in (model, within)]


def _config(content: bytes, folder: Path) -> None:
    config = parse(content, "a.keras")
    input_size(config)
    layers_of(config, 32, "a.keras")


def _shapes() -> list[bytes]:
    rows = [row.architecture(10) for row in VARIANTS.values() if row.input_size <= 64]
    return [json.dumps({**row.weight_shapes(), **row.statistic_shapes()}).encode() for row in rows]


def _network(content: bytes, folder: Path) -> None:
    identify({name: tuple(shape) for name, shape in json.loads(content).items()}, "a.npz")


def _facts() -> list[bytes]:
    how = {
        "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.2, 0.2], "size": 20, "resize": 23,
        "pixel_range": 1.0, "interpolation": "bilinear",
    }  # fmt: skip
    facts = {
        "name": "a", "variant": MIXED.name, "head": "source", "notes": "", "input_size": 20,
        "categories": list("abcdef"), "constants": {"conv2_bn": {"eps": 0.002}},
        "preprocessing": {**asdict(TORCHVISION), **how}, "training": {},
    }  # fmt: skip
    return [json.dumps(facts).encode(), json.dumps({"variant": MIXED.name}).encode()]


def _interpreted(content: bytes, folder: Path) -> None:
    variants.VARIANTS[MIXED.name] = MIXED
    try:
        raw = RawWeights(dict(_mixed_weights()), {FACTS: content.decode("utf-8", "replace")})
        interpret(raw, Path("a.safetensors"), "0" * 64)
    finally:
        del variants.VARIANTS[MIXED.name]


@cache
def _mixed_weights() -> dict[str, Any]:
    return weight_examples.weights()


def _pth() -> list[bytes]:
    import torch  # noqa: PLC0415  in a process that reads .pth files alone

    found = []
    for old in (True, False):
        made = io.BytesIO()
        state = {name: torch.from_numpy(array) for name, array in _ARRAYS.items()}
        torch.save(state, made, _use_new_zipfile_serialization=not old)
        found.append(made.getvalue())
    return found


def _state(path: Path) -> None:
    from models_torch import weight_files  # noqa: PLC0415  what a worker runs

    weight_files.read(str(path), str(path.with_suffix(".safetensors")))


READERS = (
    Reader("records", 250_000, _records, mutators.of_json, _record),
    Reader("cases", 120_000, _cases, mutators.of_json, _case),
    Reader("settings of runs", 30_000, _run_files, mutators.of_json, _run_file),
    Reader("worker events", 250_000, _events, mutators.of_json, _event),
    Reader("archives", 90_000, _archives, mutators.of_tar, _file(".tar", read_bundle)),
    Reader("batch pickles", 130_000, _batches, mutators.of_bytes, _batch),
    Reader("images", 80_000, _images, mutators.of_png, _one_image),
    Reader(
        "safetensors",
        30_000,
        _safetensors,
        mutators.of_safetensors,
        _file(".safetensors", _weights),
    ),
    Reader("npz", 30_000, _npz, mutators.of_zip, _file(".npz", _weights)),
    Reader("h5", 8_000, _h5, mutators.of_bytes, _file(".h5", _weights)),
    Reader("keras", 3_000, _keras, mutators.of_zip, _file(".keras", _weights)),
    Reader("configs of Keras models", 40_000, _configs, mutators.of_json, _config),
    Reader("facts of weights", 6_000, _facts, mutators.of_json, _interpreted),
    Reader("shapes of weights", 3_000, _shapes, mutators.of_shapes, _network),
    Reader("pth", 2_000, _pth, mutators.of_zip, _file(".pth", _state)),
)
"""Shares are of a little over a million."""
