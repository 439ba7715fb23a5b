"""``alexbench predict``: the likeliest classes of images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.cli.images import ImageRun, image_options, shown


@click.command()
@image_options
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=5,
    metavar="K",
    help="Classes per picture; 5 unless told.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of tables.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="A .csv, .json or .npz file instead."
)
def predict(top: int, as_json: bool, output: Path | None, **given: Any) -> int:
    """Name the likeliest classes of pictures (files, or folders of them) with probabilities."""
    from bench.inference.output import Predictions
    from bench.inference.writers import FileWriter, JsonWriter, check_output
    from bench.networks.inference import prediction_network
    from bench.weights.sources import open_weights

    if output:
        check_output(output)
    run = ImageRun(**given)
    if run.refuses_all():
        return 2
    served = prediction_network(*open_weights(given["weights"]))
    answers = Predictions(served, top)
    sheets: list[Any] = [FileWriter(output, answers)] if output else []
    if as_json:
        sheets.append(JsonWriter(sys.stdout, answers))
    code = run.through(served, sheets or [_Tables(answers)])
    if output and not as_json and run.done:
        click.echo(output)
    return code


class _Tables:
    """A table per picture on stdout."""

    def __init__(self, answers: Any) -> None:
        self._answers = answers
        self._console = Console(highlight=False)

    def add(self, names: list[str], rows: NDArray[np.float32]) -> None:
        """See :class:`bench.inference.writers.Writer`."""
        for name, row in zip(names, rows, strict=True):
            self._console.print(Text(shown(name), style="bold"), soft_wrap=True)
            table = Table(box=box.SIMPLE_HEAD, pad_edge=True)
            table.add_column("probability", justify="right", no_wrap=True)
            table.add_column("class", justify="right", no_wrap=True)
            table.add_column("label")
            for found in self._answers.of(row):
                label = Text(found.label)
                table.add_row(f"{found.probability:.2%}", str(found.index), label)
            self._console.print(table)

    def close(self) -> None:
        """Nothing is missing."""
