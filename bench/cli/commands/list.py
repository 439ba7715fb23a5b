"""``alexbench list``: variants, frameworks, weights, profiles and recipes, as JSON or tables."""

from __future__ import annotations

import json
from itertools import chain
from textwrap import wrap
from typing import Any

import click

from bench.cli.options import json_option
from bench.harness.profiles import PROFILES
from bench.networks.variants import VARIANTS
from bench.training.frameworks import FRAMEWORKS
from bench.training.recipes import RECIPES

Rows = list[dict[str, Any]]


@click.command("list", short_help="List variants, frameworks, weights, profiles and recipes.")
@json_option("tables")
def list_command(as_json: bool) -> None:
    """List variants, frameworks, weights, profiles and recipes, and what is available here."""
    if as_json:
        click.echo(json.dumps(everything(), indent=2))
    else:
        print_tables()


def everything() -> dict[str, Rows]:
    """Rows under ``variants``, ``frameworks``, ``weights``, ``profiles`` and ``recipes``."""
    from bench.weights.sources import rows

    return {
        "variants": _variants(),
        "frameworks": _frameworks(),
        "weights": rows(),
        "profiles": [{"name": r.name, "description": r.description} for r in PROFILES.values()],
        "recipes": [{"name": r.name, "description": r.description} for r in RECIPES.values()],
    }


def print_tables() -> None:
    """Print the same as tables; those of weights have fewer fields."""
    from bench.weights.sources import brief

    for title, rows in (everything() | {"weights": brief()}).items():
        click.echo("\n".join([title, *_table(rows), ""]))


def _variants() -> Rows:
    rows = []
    for variant in VARIANTS.values():
        architecture = variant.architecture()
        rows.append(
            {
                "name": variant.name,
                "source": variant.source,
                "input_size": variant.input_size,
                "classes": variant.classes,
                "parameters": architecture.parameters,
                "forward_flops": architecture.forward_flops(),
            }
        )
    return rows


def _frameworks() -> Rows:
    rows = []
    for row in FRAMEWORKS.values():
        missing = row.missing()
        versions = ", ".join(f"{name} {number}" for name, number in row.versions().items())
        rows.append(
            {
                "name": row.name,
                "available": missing is None,
                "reason": missing,
                "versions": versions,
                "repeatable": row.repeatable,
            }
        )
    return rows


def _table(rows: Rows) -> list[str]:
    """Short facts in columns, and below each row what takes more than a few words."""
    names = [name for name in rows[0] if name not in _PROSE]
    cells = [[_cell(row[name]) for name in names] for row in rows]
    columns = list(zip(*[[name.replace("_", " ") for name in names], *cells], strict=True))
    widths = [max(map(len, column)) for column in columns]
    numeric = [all(type(row[name]) is int for row in rows) for name in names]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in zip(*columns, strict=True)
    ]
    below = [
        wrap(
            "; ".join(filter(None, (_cell(row[name]) for name in _PROSE if name in row))),
            _WIDTH,
            break_on_hyphens=False,
        )
        for row in rows
    ]
    head, *others = lines
    parts = (
        [line, *(f"    {text}" for text in some)] for line, some in zip(others, below, strict=True)
    )
    return [f"  {line}" for line in (head, *chain.from_iterable(parts))]


_PROSE = ("description", "source", "reason", "versions", "layers", "pixels", "checksum")
"""Fields of more than a word."""
_WIDTH = 72  # of their lines: a terminal of 80 has room for them


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
