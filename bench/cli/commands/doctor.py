"""``alexbench doctor``: the settings each framework really uses here, and what is missing."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from bench.cli.options import device_option, json_option
from bench.core.cache import cache_folder, temporary_folder
from bench.core.case import Case
from bench.core.download import cifar10_archive
from bench.core.limits import Limits
from bench.core.system import nvml
from bench.core.system.devices import accelerated
from bench.core.system.environment import capture
from bench.core.system.resources import memory_limit, usable_cpus
from bench.data.sources import prepared
from bench.data.synthetic import generate
from bench.harness.ceilings import Found, best, obtain
from bench.harness.observer import look
from bench.report.format import significant
from bench.training.frameworks import FRAMEWORKS, Framework
from bench.worker.ceilings import OPERATION_NAMES
from bench.worker.client import Worker, WorkerError, unheard
from bench.worker.device.probing import DeviceChoice, choose


@click.command(short_help="Show what each framework uses here and what is missing.")
@click.option("--no-ceilings", is_flag=True, help="Do not measure the peak FLOP/s.")
@click.option("--fresh", is_flag=True, help="Measure peaks again that are in the cache.")
@device_option
@json_option("text")
def doctor(no_ceilings: bool, fresh: bool, device: str, as_json: bool) -> None:
    """Show the settings in force in each framework here (closed track), its peak FLOP/s, and what
    is missing."""
    choice = choose(device, [name for name, row in FRAMEWORKS.items() if not row.missing()])
    found = diagnose(with_ceilings=not no_ceilings, fresh=fresh, choice=choice)
    if choice.words:
        click.echo(choice.words, err=True)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for section in ("machine", "data"):
        click.echo(section)
        _show(found[section])
    for name, row in found["frameworks"].items():
        click.echo(name)
        _show(row)
    if "ceilings" in found:
        click.echo("\n".join(ceiling_lines(found["ceilings"])))


def _show(fields: dict[str, Any], indent: str = "  ") -> None:
    for key, value in fields.items():
        name = key.replace("_", " ")
        if isinstance(value, dict):
            click.echo(f"{indent}{name}:")
            _show(value, indent + "  ")
        else:
            click.echo(f"{indent}{name}: {'not reported' if value is None else value}")


_ON_CPU = DeviceChoice("cpu", {})
_PROBE = Case(variant="cifar-plain", framework="", batch_size=2)


def diagnose(
    *, with_ceilings: bool = False, fresh: bool = False, choice: DeviceChoice = _ON_CPU
) -> dict[str, Any]:
    """The machine, the data and every framework, each probed in a process of its own.

    Args:
        with_ceilings: Whether peak FLOP/s are included; measuring them takes about 10 s per
            framework.
        fresh: Whether they are measured even where the cache has them.
        choice: The device that frameworks compute on, and who cannot.
    """
    data = prepared(generate(train=20, test=20, seed=0), temporary_folder())
    found = {
        "machine": _machine() | _accelerator(choice.device),
        "data": {"ALEXBENCH_DATA": bool(os.environ.get("ALEXBENCH_DATA")), **_cache()},
        "frameworks": {name: _framework(row, data, choice) for name, row in FRAMEWORKS.items()},
    }
    if with_ceilings:
        found["ceilings"] = _ceilings(fresh, choice)
    return found


def _accelerator(device: str) -> dict[str, Any]:
    """The accelerator as a record's environment has it, and its state now; empty for the CPU."""
    if not accelerated(device):
        return {}
    card = nvml.card(device)
    facts = card.facts()
    if not facts:
        return {"device": device, "gpu": card.reason}
    return {"device": device, "gpu": facts, "gpu_state": card.state()}


def _ceilings(fresh: bool, choice: DeviceChoice = _ON_CPU) -> dict[str, Any]:
    """The best of each framework per precision and operation, and the best of all frameworks."""
    found = [
        Found(name, reason=choice.unusable[name])
        if name in choice.unusable
        else obtain(name, fresh=fresh, device=choice.device)
        for name in FRAMEWORKS
    ]
    return {
        "frameworks": {one.framework: _ceiling(one) for one in found},
        "best": best(found),
    }


def _ceiling(found: Found) -> dict[str, Any]:
    if found.reason:
        return {"available": False, "reason": found.reason}
    kinds = {kind: best([found], kind) for kind in OPERATION_NAMES}
    return {
        "available": True,
        "measured_at": found.measured_at,
        "cached": found.cached,
        "best": {
            precision: {kind: kinds[kind].get(precision) for kind in OPERATION_NAMES}
            for precision in dict.fromkeys(one["precision"] for one in found.ceilings)
        },
        "operations": list(found.ceilings),
    }


def ceiling_lines(ceilings: dict[str, Any]) -> list[str]:
    """Lines of text for ``ceilings`` of `diagnose`."""
    lines = ["peaks (highest GFLOP/s that was measured)"]
    for name, row in ceilings["frameworks"].items():
        if not row["available"]:
            lines.append(f"  {name}: none: {row['reason']}")
            continue
        when = "cached; --fresh measures again" if row["cached"] else "measured now"
        lines.append(f"  {name}: of {row['measured_at']} ({when})")
        for precision, kinds in row["best"].items():
            words = [_in_words(kind, kinds[kind]) for kind in OPERATION_NAMES]
            lines.append(f"    {precision}: {'; '.join(words)}")
        lines += [
            f"    {answer['precision']} {answer['shape']}: {answer['reason']}"
            for answer in row["operations"]
            if answer["flops_per_second"] is None
        ]
    for precision, answer in ceilings["best"].items():
        winner = _in_words(answer["operation"], answer)
        lines.append(f"  this machine's {precision}: {winner}, in {answer['framework']}")
    return lines


def _in_words(kind: str, answer: dict[str, Any] | None) -> str:
    if answer is None:
        return f"no {OPERATION_NAMES[kind]}"
    pace = significant(answer["flops_per_second"] / 1e9)
    return f"{OPERATION_NAMES[kind]} {pace} GFLOP/s ({answer['shape']})"


def _machine() -> dict[str, Any]:
    environment = capture({})
    kept = ("cpu", "cores", "cpu_quota", "memory_bytes", "governor", "os", "python", "alexbench")
    return {
        "libc": " ".join(platform.libc_ver()),
        **{key: environment[key] for key in (*kept, "commit")},
        "threads": len(usable_cpus()),
        "memory_limit_bytes": memory_limit() or "none",
        **_load(),
    }


def _load() -> dict[str, Any]:
    """How busy the machine is now, and a warning where a measurement would be disturbed."""
    state, warning = look()
    return {"state": state | ({"warning": warning} if warning else {})}


def _cache() -> dict[str, Any]:
    return {"cifar10_downloaded": cifar10_archive(cache_folder()).exists()}


def _framework(row: Framework, data: Path, choice: DeviceChoice) -> dict[str, Any]:
    missing = row.missing() or choice.unusable.get(row.name)
    if missing:
        return {"available": False, "reason": missing}
    case = replace(_PROBE, framework=row.name, device=choice.device)
    try:
        with Worker(case, data, Limits(timeout_seconds=120)) as worker:
            worker.open(unheard)
            answer = worker.measure("startup", unheard)
    except WorkerError as error:
        return {"available": False, "reason": str(error), "versions": row.versions()}
    return {
        "available": True,
        "versions": row.versions(),
        "repeatability": row.repeatability,
        # Of the closed track, where all settings that are ours are the same in every framework.
        "settings": {k: v for k, v in answer["settings"].items() if not _of_the_case(k)},
    }


def _of_the_case(key: str) -> bool:
    """Whether a setting describes the probe's case and not this machine."""
    return key == "recipe" or key.endswith("_sha256")
