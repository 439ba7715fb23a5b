"""``alexbench embed``: features of images after the second hidden layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.cli.images import ImageRun
from bench.cli.options import image_options


@click.command(short_help="Write the 4096 features of images to a file.")
@image_options
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="A .npz, .csv or .json file.",
)
def embed(output: Path, **given: Any) -> int:
    """Write the 4096 features of images (files, or folders of them) after the second hidden layer.

    They are computed in two ways, by a slice of the network and by the framework's own access to an
    inner layer (a hook, a sub-model); both must agree on the first batch.
    """
    from bench.inference.output import Embeddings
    from bench.inference.writers import FileWriter, check_output
    from bench.networks.inference import embedding_network

    check_output(output)
    run = ImageRun(**given)
    if run.refuses_all():
        return 2
    served = embedding_network(*run.open_weights(partial=True))
    code = run.through(served, [FileWriter(output, Embeddings(served))])
    if run.done:
        equal = "bit for bit" if run.difference == 0 else f"within {run.difference:.0e}"
        click.echo(
            f"{output}: {run.done} x {served.width} after {served.embedding}; "
            f"slice and whole network agree {equal}"
        )
    return code
