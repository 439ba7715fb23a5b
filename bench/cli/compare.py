"""``alexbench compare``: two runs, case by case."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bench.cli.options import json_option


@click.command(short_help="Compare two runs, case by case.")
@click.argument("run_a", metavar="A", type=click.Path(path_type=Path))
@click.argument("run_b", metavar="B", type=click.Path(path_type=Path))
@json_option("a table")
def compare(run_a: Path, run_b: Path, as_json: bool) -> None:
    """Per case: speed of B over speed of A (above 1: B is faster), its interval and the verdict."""
    from bench.analysis.compare import as_text, heads
    from bench.analysis.runs import compare as compare_runs
    from bench.analysis.runs import records

    a, b = records(run_a), records(run_b)
    found = compare_runs(a, b)
    if as_json:
        click.echo(json.dumps([row.to_json() for row in found], indent=2))
    else:
        click.echo("\n".join([*heads(a, b), as_text(found)]))
