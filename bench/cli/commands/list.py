"""``alexbench list``: the variants, frameworks and weight sources there are, as JSON or tables."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.cli.options import json_option
from bench.networks.variants import VARIANTS
from bench.training.frameworks import FRAMEWORKS

Rows = list[dict[str, Any]]


@click.command("list", short_help="List variants, frameworks and weights.")
@json_option("tables")
def list_command(as_json: bool) -> None:
    """List the variants, frameworks and weight sources, and whether each is available here."""
    if as_json:
        click.echo(json.dumps(everything(), indent=2))
    else:
        print_tables()


def everything() -> dict[str, Rows]:
    """Rows under ``variants``, ``frameworks`` and ``weights``, with every field."""
    from bench.weights.sources import rows

    return {
        "variants": _variants(),
        "frameworks": _frameworks(),
        "weights": rows(),
    }


def print_tables() -> None:
    """Print the same as tables; those of weights have fewer fields."""
    from bench.weights.sources import brief

    console = Console()
    for title, rows in (everything() | {"weights": brief()}).items():
        console.print(_table(title, rows))


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


def _table(title: str, rows: Rows) -> Table:
    table = Table(title=title, title_justify="left")
    for name in rows[0]:
        numeric = all(type(row[name]) is int for row in rows)
        prose = name in ("source", "reason", "versions", "layers", "pixels", "checksum")
        table.add_column(
            name.replace("_", " "), justify="right" if numeric else "left", no_wrap=not prose
        )
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    # Escaped: rich would take the [torch] of an install line for markup.
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
