"""``alexbench convert``: weights between frameworks and file formats."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Convert weights between frameworks and file formats.")
@click.argument("source", metavar="IN")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--variant", help="The network, where the file fits several.")
@click.option("--force", is_flag=True, help="Overwrite OUT.")
def convert(source: str, out: Path, variant: str | None, force: bool) -> None:
    """Write the weights IN (a file, or the name of a source) to OUT; its suffix is the format."""
    from bench.weights.convert import convert as write

    for sentence in write(source, out, named=variant, force=force):
        click.echo(sentence)
    click.echo(out)
