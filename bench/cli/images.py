"""One call of ``predict``, ``embed`` or ``explain``: images through a network, results into sheets.

Results go to stdout or into a file, everything else to stderr. An image that cannot be read costs
one line there and exit code 2; all others are processed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from bench.core import terminal
from bench.core.errors import UserError
from bench.core.text import headline, many
from bench.inference.limits import MAX_PIXELS

if TYPE_CHECKING:
    from bench.inference.session import Batch
    from bench.networks.inference import InferenceNetwork
    from bench.networks.preprocessing import Preprocessing
    from bench.networks.pretrained import Pretrained


class ImageRun:
    """The images of one call, and how many of them are done.

    Args:
        images: Files, or folders of them.
        framework: Its name; None takes the first that is installed.
        batch_size: Images per batch, at most.
        weights: Name or file of the weights.
        device: What ``--device`` says.
        convert: No longer has an effect: conversion is the default.
        strict: Whether images that are not upright 8-bit RGB are refused instead of converted.
        recursive: Whether folders are taken with their sub-folders.
        max_pixels: Larger images are refused.
        show_skipped: Whether files that are passed over are named.
        key: See `bench.weights.reading.Reading`.
        channel_order: The same.

    Raises:
        UserError: The framework or a path does not exist.
    """

    def __init__(
        self,
        images: tuple[Path, ...],
        framework: str | None,
        batch_size: int,
        weights: str,
        device: str = "cpu",
        *,
        convert: bool = False,
        strict: bool = False,
        recursive: bool = False,
        max_pixels: int = MAX_PIXELS,
        show_skipped: bool = False,
        key: str | None = None,
        channel_order: str | None = None,
    ) -> None:
        from bench.data.pixels import Conversions
        from bench.inference.images import find_images
        from bench.inference.session import chosen_framework

        self.row, self.device, words = chosen_framework(framework, device)
        self.done = 0
        self.difference: float | None = None
        """Largest relative difference of the two ways to an embedding; None for logits."""
        self._found = find_images(images, recursive)
        self._paths = self._found.paths
        self._batch_size = min(batch_size, len(self._paths))
        self._convert, self._refused = not strict, 0
        self._max_pixels, self._conversions = max_pixels, Conversions()
        self._console = terminal.console(stderr=True, highlight=False)
        self._weights, self._key, self._channel_order = weights, key, channel_order
        if words:
            self._console.print(Text(words), soft_wrap=True)
        if summary := self._found.summary():
            self._report(summary)
        for path in self._found.skipped if show_skipped else ():
            self._report(f"passed over: {path}")

    def open_weights(self, *, partial: bool = False) -> tuple[Pretrained, Path]:
        """The weights, and their prepared copy.

        Args:
            partial: Whether the layers that fit are taken from a file of another network.

        Raises:
            UserError: See `bench.weights.sources.open_weights`.
        """
        from bench.weights.partial import NothingFitsError
        from bench.weights.reading import Reading
        from bench.weights.sources import open_weights

        reading = Reading(key=self._key, channel_order=self._channel_order, partial=partial)
        try:
            return open_weights(self._weights, reading=reading)
        except NothingFitsError:
            # In part it was this command's own attempt: what the whole file lacks is the answer.
            return open_weights(self._weights, reading=replace(reading, partial=False))

    def refuses_all(self) -> bool:
        """Whether no image can be read. All are then reported, and no worker need be started."""
        from bench.inference.images import read_rgb

        reasons = []
        for path in self._paths:
            try:
                read_rgb(path, self._convert, max_pixels=self._max_pixels)
            except UserError as error:
                reasons.append(str(error))
                continue
            return False
        for reason in reasons:
            self._refuse(reason)
        return True

    def through(self, served: InferenceNetwork, sheets: list[Any]) -> int:
        """Run the images through ``served`` into every sheet.

        Returns:
            The exit code: 0, 2 when an image was refused, 1 when the worker failed.
        """
        from bench.inference.session import InferenceSession
        from bench.worker.client import WorkerError

        try:
            opened = InferenceSession(served, self.row, self._batch_size, self.device)
            with self._bar() as bar, opened as session:
                task = bar.add_task(f"starting {self.row.name}", total=len(self._paths))
                for batch in self.batches(served.preprocessing):
                    rows = session.run(batch.images)
                    self.difference = session.difference
                    bar.stop()  # else it would be drawn into the lines that are printed below
                    for sheet in sheets:
                        sheet.add(batch.names, rows)
                    bar.start()
                    self.done += len(batch.names)
                    bar.update(task, advance=batch.examined, description=self.row.name)
        except WorkerError as error:
            self.failed(error)
            return 1
        finally:
            for sheet in sheets:
                sheet.close()
        return self.finished()

    def batches(self, preprocessing: Preprocessing) -> Iterator[Batch]:
        """The images in batches; one that cannot be read is reported and left out."""
        from bench.inference.session import batches, image_reader

        read = image_reader(
            preprocessing,
            self._convert,
            max_pixels=self._max_pixels,
            conversions=self._conversions,
        )
        return batches(self._paths, read, self._batch_size, self._refuse)

    def finished(self) -> int:
        """Report what was converted; the exit code, 2 when an image was refused."""
        if summary := self._conversions.summary():
            self._report(f"{summary}; {self._conversions.under_strict()}")
        return 2 if self._refused else 0

    def failed(self, error: Exception) -> None:
        """Report that the worker failed, how far it came, and what was converted."""
        self._report(f"{self.row.name}: {headline(str(error))}; {self._progress()}")
        self.finished()

    def _progress(self) -> str:
        images = many(len(self._paths), "image")
        return f"{self.done} of {images} done" if self.done else "no image is done"

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_interactive,
            transient=True,
            redirect_stdout=False,  # else output that is piped elsewhere goes to the terminal
        )

    def _refuse(self, reason: str) -> None:
        self._refused += 1
        self._report(reason)

    def _report(self, message: str) -> None:
        """Print one line on stderr."""
        self._console.print(Text(f"alexbench: {printable(message)}"), soft_wrap=True)


def printable(text: str) -> str:
    """Text (a file name, say) that fits one line of a terminal: control characters and bytes that
    are not text are escaped."""
    clean = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in clean)
