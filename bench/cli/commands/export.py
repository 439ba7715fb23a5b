"""``alexbench export``: records, tables and curves in the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from bench.cli.options import names, record_options, runs_argument

if TYPE_CHECKING:
    from bench.analysis.runs import Filter

TABLES = ("csv", "json", "markdown", "latex", "parquet")
SERVICES = ("github-action-benchmark", "bencher")
CURVES = ("tensorboard", "mlflow")


@click.command(short_help="Write results for other programs: CSV, LaTeX, curves.")
@runs_argument
@record_options
@click.option(
    "--to",
    type=click.Choice((*TABLES, *SERVICES, *CURVES)),
    required=True,
    help="A format of tables; results for a service that follows benchmarks; or the curves of "
    "trainings for TensorBoard or MLflow.",
)
@click.option(
    "--table",
    default="records",
    show_default=True,
    metavar="NAME",
    help="records (one row per record), or a table of the report such as interleaved.",
)
@click.option(
    "--columns", callback=names, metavar="A,B", help="Columns to take, in this order; else all."
)
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    help="Where to write: a file, by default the standard output; a folder for TensorBoard; a "
    "folder or a tracking server for MLflow.",
)
def export(
    runs: tuple[Path, ...],
    chosen: Filter,
    to: str,
    table: str,
    columns: tuple[str, ...],
    output: str | None,
) -> None:
    """Write the results of one or more runs in a format of other programs.

    CSV, JSON and Parquet have all columns in full precision; Markdown and LaTeX are for readers.
    """
    from bench.analysis.runs import read

    if to not in TABLES and (table != "records" or columns):
        raise click.UsageError(f"--to {to} takes no --table and no --columns")
    if output is None and to in (*CURVES, "parquet"):
        raise click.UsageError(f"--to {to} needs -o PATH")
    records = [record for run in chosen.of(read(runs)) for record in run.records]
    if to in CURVES:
        from bench.core.text import many
        from bench.report.export.curves import WRITERS

        assert output is not None
        target = _target(output)
        click.echo(f"{many(WRITERS[to](records, target), 'training')} written to {target}")
        return
    if to in SERVICES:
        from bench.report.export.benchmarks import FORMATS

        content = FORMATS[to](records)
    else:
        from bench.report.export.tables import export as export_table

        content = export_table(records, to, table, columns)
    _write(content, output)


def _target(output: str) -> str:
    """A folder, or the address of a server.

    Raises:
        UserError: The address has no host: a client would try it for minutes.
    """
    from bench.core.errors import UserError
    from bench.core.files import expanded

    if "://" not in output:
        return str(expanded(output))
    parts = urlsplit(output)
    if parts.scheme in ("http", "https") and not parts.hostname:
        raise UserError(f"-o {output}: an address without a host, like http://localhost:5000")
    return output


def _write(content: bytes, output: str | None) -> None:
    from bench.core.errors import cannot_write
    from bench.core.files import expanded, write_whole

    if output is None:
        click.echo(content, nl=False)
        return
    path = expanded(output)
    try:
        write_whole(path, content)
    except OSError as error:
        raise cannot_write(path, error, "give another file with -o") from error
    click.echo(str(path))
