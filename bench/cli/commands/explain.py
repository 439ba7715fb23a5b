"""``alexbench explain``: which regions of images support a class; the first layer's filters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.images import ImageRun, printable
from bench.cli.options import explain_options

if TYPE_CHECKING:
    from bench.networks.inference import InferenceNetwork
    from bench.training.interfaces import Explanation, PreparedImages

_BATCH = 16
"""Images in memory at a time."""


@click.command(short_help="Show which regions of images support a class (Grad-CAM).")
@explain_options
@click.option(
    "--class",
    "wanted",
    metavar="NAME|N",
    help="The class to explain; by default the most probable one.",
)
@click.option(
    "--layer",
    metavar="ROW",
    help="ReLU whose activation maps are weighted; by default the last of the convolutions.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("explained"),
    show_default=True,
    help="Folder for the PNG files.",
)
def explain(
    images: tuple[Path, ...],
    wanted: str | None,
    layer: str | None,
    output: Path,
    **given: Any,
) -> int:
    """Write a PNG per image with the regions that support its class (Grad-CAM), and filters.png.

    Without an image only filters.png is written: the kernels of the first convolution.
    """
    from bench.core.files import expanded
    from bench.inference.explanation import class_called, explainable_layer, filters
    from bench.networks.inference import prediction_network
    from bench.weights.reading import Reading
    from bench.weights.sources import open_weights

    output = expanded(output)
    reading = Reading(key=given["key"], channel_order=given["channel_order"])
    source, file = open_weights(given["weights"], reading=reading)
    sheet = output / "filters.png"

    def draw_filters() -> None:
        _make(output)
        filters(source.facts.architecture(), source.tensors, source.facts.name).save(sheet)
        click.echo(sheet)

    if not images:
        draw_filters()
        return 0
    network = prediction_network(source, file)
    run = ImageRun(images, batch_size=_BATCH, **given)
    target = explainable_layer(network.architecture, layer)
    asked = None if wanted is None else class_called(network, wanted)
    draw_filters()  # after all that may be refused
    drawn = _Sheets(output, network, target, run.row.name)
    return _explained(run, network, target, asked, drawn)


def _explained(
    run: ImageRun, network: InferenceNetwork, layer: str, wanted: int | None, drawn: _Sheets
) -> int:
    """Draw every image; the exit code."""
    from bench.inference.explanation import Explainer
    from bench.worker.client import WorkerError

    try:
        with Explainer(network, run.row, layer, run.device) as explainer:
            for batch in run.batches(network.preprocessing):
                found = explainer.explain(batch.images, wanted)
                for line in drawn.draw(batch.names, batch.images, found):
                    click.echo(line)
                run.done += len(batch.names)
    except WorkerError as error:
        run.failed(error)
        return 1
    return run.finished()


class _Sheets:
    """The PNG files of one call; images of two folders may have one name."""

    def __init__(self, folder: Path, network: InferenceNetwork, layer: str, framework: str) -> None:
        self._folder, self._network = folder, network
        self._how = f"({layer}, {framework})"
        self._names: set[str] = set()

    def draw(self, names: list[str], images: PreparedImages, found: Explanation) -> Iterator[str]:
        """Write a file for each image; a line for each."""
        from bench.inference.explanation import overlay, shown
        from bench.inference.output import softmax

        shares, pixels = softmax(found.logits), shown(images, self._network.preprocessing)
        for place, name in enumerate(names):
            index = int(found.classes[place])
            label = printable(self._network.label(index))
            words = f"{label} {100 * shares[place, index]:.1f} %"
            out = self._free(f"{Path(name).stem}-gradcam")
            overlay(pixels[place], found.maps[place], f"{words} {self._how}").save(out)
            yield f"{out}: {words}"

    def _free(self, stem: str) -> Path:
        name, number = stem, 1
        while name in self._names:
            number += 1
            name = f"{stem}-{number}"
        self._names.add(name)
        return self._folder / f"{name}.png"


def _make(folder: Path) -> None:
    from bench.core.errors import cannot_write

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error, "give another folder with -o") from error
