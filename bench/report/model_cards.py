"""Model cards: a Markdown page next to saved weights, made from the record of their training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.analysis.certified import problem_of, status_of
from bench.core.errors import cannot_write
from bench.core.files import write_whole
from bench.core.records import Record
from bench.data.cifar_batches import OFFICIAL
from bench.networks.variants import VARIANTS
from bench.report.format import count, escaped_cell, percent, significant
from bench.training.tracks import TRACKS

_COPY = "not the official CIFAR-10, so the accuracy is not comparable with published ones"


def write_cards(records: Iterable[Record], folder: Path) -> list[Path]:
    """Write ``<case>.md`` next to each file of saved weights.

    Args:
        records: Of a run.
        folder: Where the files of weights are.

    Returns:
        The cards that were written.

    Raises:
        OutputError: One cannot be written.
    """
    written = []
    for record in records:
        saved = record.metrics.get("saved_weights") or {}
        if "file" not in saved or not (folder / str(saved["file"])).is_file():
            continue
        path = (folder / str(saved["file"])).with_suffix(".md")
        try:
            write_whole(path, card(record).encode())
        except OSError as error:
            raise cannot_write(path, error, "make room, or pass --no-save-weights") from error
        written.append(path)
    return written


def card(record: Record) -> str:
    """The page of one training."""
    case, saved = record.case, record.metrics["saved_weights"]
    row = VARIANTS.get(case.variant)
    return "\n".join(
        [
            f"# {case.variant}, trained in {case.framework}",
            "",
            f"Weights: `{saved['file']}`  ",
            f"Digest of the tensors (sha256): `{saved['weights_sha256']}`",
            "",
            *_section("Network", _network(record, row.source if row else "unknown")),
            *_section("Data", _data(record)),
            *_section("Accuracy", _accuracy(record)),
            *_per_class(record),
            *_section("Certificate", _certificate(record)),
            *_section("How it was made", _made(record)),
            "## How to use it",
            "",
            "```sh",
            f"alexbench predict IMAGE --weights {saved['file']}",
            f"alexbench convert {saved['file']} model.onnx    # or .keras, .pt2, .pth",
            "```",
            "",
            "```python",
            "from models_torch import AlexNet    # or models_keras",
            f'model = AlexNet("{case.variant}", weights="{saved["file"]}")',
            "```",
            "",
        ]
    )


def _section(title: str, facts: Mapping[str, str | None]) -> list[str]:
    lines = [f"| {name} | {escaped_cell(value)} |" for name, value in facts.items() if value]
    return [f"## {title}", "", "| | |", "|---|---|", *lines, ""]


def _network(record: Record, source: str) -> dict[str, str | None]:
    case = record.case
    return {
        "network": f"`{case.variant}`: {source}",
        "head": f"`{case.head}`",
        "input": f"RGB, {case.input_size}x{case.input_size} pixels",
        "classes": ", ".join(map(str, record.metrics.get("classes", ()))),
        "started from": f"weights `{case.weights}`" if case.weights else "random weights",
        "frozen": "all layers that came with the weights" if case.frozen else None,
    }


def _data(record: Record) -> dict[str, str | None]:
    data = record.dataset
    name = str(data.get("name", "unknown"))
    return {
        "data set": name if name in (OFFICIAL, "unknown") else f"{name} ({_COPY})",
        "fingerprint": f"`{data.get('fingerprint', '')}`",
        "images": f"{count(data.get('train_images'))} for training, "
        f"{count(data.get('test_images'))} for the test",
    }


def _accuracy(record: Record) -> dict[str, str | None]:
    metrics = record.metrics
    return {
        "test accuracy": f"{percent(metrics['test_accuracy'])} (seed {record.case.seed}, one "
        "training)",
        "images seen in training": count(metrics.get("train_images")),
        "seconds of training": significant(metrics.get("train_seconds")),
        "caveats": "; ".join(str(each["why"]) for each in record.caveats) or None,
    }


def _per_class(record: Record) -> list[str]:
    found = record.metrics.get("per_class") or {}
    if not found:
        return []
    rows = [f"| {escaped_cell(name)} | {percent(share)} |" for name, share in found.items()]
    return ["| class | accuracy |", "|---|---:|", *rows, ""]


def _certificate(record: Record) -> dict[str, str | None]:
    row = TRACKS.get(record.case.track)
    if row is not None and not row.certified:
        return {"parity certificate": f"none: the {record.case.track} track asks for none"}
    parity = record.parity
    worst = parity.get("figures", {}).get("float32 logits", {}).get("worst")
    return {
        "parity certificate": status_of(record),
        "problem": problem_of(record),
        "key": f"`{parity['key']}`" if parity.get("key") else None,
        "largest difference of logits from the float64 reference": worst and f"{worst:.1e}",
    }


def _made(record: Record) -> dict[str, str | None]:
    case, environment = record.case, record.environment
    versions = environment.get("versions") or {}
    settings = record.settings.get("recipe") or {}
    return {
        "case": f"`{case.id}`",
        "recipe": f"`{case.recipe}`: {settings.get('description', '')}",
        "settings": f"`{json.dumps(_plain(settings))}`",
        "track": case.track,
        "precision": case.precision,
        "machine": f"{environment.get('cpu', 'unknown')}, {count(environment.get('cores'))} cores"
        + (f", {case.device}" if case.device != "cpu" else ""),
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "alexbench": f"{environment.get('alexbench', '')} ({environment.get('commit', '')})",
        "begun": record.started_at,
    }


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in ("name", "description")}
