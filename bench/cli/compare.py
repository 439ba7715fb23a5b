"""``alexbench compare``: two runs, case by case."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("run_a", type=click.Path(path_type=Path))
@click.argument("run_b", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def compare(run_a: Path, run_b: Path, as_json: bool) -> None:
    """Per case: speed of B over speed of A (above 1: B is faster), its interval and the verdict."""
    from bench.analysis.compare import as_text
    from bench.analysis.compare import compare as compare_runs
    from bench.core.records import RecordStore

    found = compare_runs(RecordStore(run_a).read(), RecordStore(run_b).read())
    if as_json:
        click.echo(json.dumps([row.to_json() for row in found], indent=2))
    else:
        click.echo(as_text(found))
