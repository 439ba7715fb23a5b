"""``alexbench predict``: the most probable classes of images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.cli.images import ImageRun, printable
from bench.cli.options import image_options, json_option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.inference.output import Predictions


@click.command(short_help="Print the most probable classes of images.")
@image_options
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="K",
    help="Classes per image; by default 5, or all where the network has fewer.",
)
@json_option("tables")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write a .csv, .json or .npz file instead of printing tables.",
)
def predict(top: int | None, as_json: bool, output: Path | None, **given: Any) -> int:
    """Print the most probable classes of images (files, or folders of them) with probabilities."""
    from bench.inference.output import Predictions
    from bench.inference.writers import FileWriter, JsonWriter, check_output
    from bench.networks.inference import prediction_network

    if output:
        check_output(output)
    run = ImageRun(**given)
    if run.refuses_all():
        return 2
    served = prediction_network(*run.open_weights())
    predictions = Predictions(served, top)
    sheets: list[Any] = [FileWriter(output, predictions)] if output else []
    if as_json:
        sheets.append(JsonWriter(sys.stdout, predictions))
    code = run.through(served, sheets or [_Tables(predictions)])
    if output and not as_json and run.done:
        click.echo(output)
    return code


class _Tables:
    """A sheet on stdout, a table per image."""

    def __init__(self, predictions: Predictions) -> None:
        self._predictions = predictions
        self._console = Console(highlight=False)

    def add(self, names: list[str], rows: NDArray[np.float32]) -> None:
        """See :class:`bench.inference.writers.Writer`."""
        for name, row in zip(names, rows, strict=True):
            self._console.print(Text(printable(name), style="bold"), soft_wrap=True)
            table = Table(box=box.SIMPLE_HEAD, pad_edge=True)
            table.add_column("probability", justify="right", no_wrap=True)
            table.add_column("class", justify="right", no_wrap=True)
            table.add_column("label")
            for found in self._predictions.of(row):
                label = Text(printable(found.label))
                table.add_row(f"{100 * found.probability:.2f} %", str(found.index), label)
            self._console.print(table)

    def close(self) -> None:
        """Every table is printed already."""
