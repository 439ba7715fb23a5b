"""What ``predict`` and ``embed`` share: their options, and one call of them.

Results go to stdout or into a file, everything else to stderr. An image that cannot be taken
costs one line there and exit code 2; the others go through.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from bench.training.frameworks import FRAMEWORKS


def image_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments of both commands."""
    for option in (
        click.option(
            "--batch-size",
            type=click.IntRange(min=1),
            default=32,
            metavar="N",
            help="Pictures at a time; 32 unless told.",
        ),
        click.option(
            "--convert",
            is_flag=True,
            help="Take grey, CMYK, palette, transparent (on white), 16-bit and animated (first "
            "frame) pictures as RGB.",
        ),
        click.option(
            "--weights",
            default="torchvision",
            metavar="NAME|FILE",
            help="Of a source or a file; torchvision unless told.",
        ),
        click.option(
            "--framework",
            metavar="F",
            help=f"One of {', '.join(FRAMEWORKS)}; the first installed when not given.",
        ),
        click.argument(
            "images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path)
        ),
    ):
        command = option(command)
    return command


class ImageRun:
    """One call of a command: pictures through a network, into sheets."""

    def __init__(
        self,
        images: tuple[Path, ...],
        framework: str | None,
        batch_size: int,
        convert: bool,
        weights: str,
    ) -> None:
        from bench.inference.images import image_paths
        from bench.inference.session import chosen_framework

        self.row = chosen_framework(framework)
        self.done = 0
        self.difference: float | None = None
        self._paths = list(image_paths(images))
        self._batch_size = min(batch_size, len(self._paths))
        self._convert, self._refused = convert, 0
        self._console = Console(stderr=True, highlight=False)

    def refuses_all(self) -> bool:
        """Whether no picture can be taken; then all are named, and nothing need be started."""
        from bench.core.errors import UserError
        from bench.inference.images import read_rgb

        reasons = []
        for path in self._paths:
            try:
                read_rgb(path, self._convert)
            except UserError as error:
                reasons.append(str(error))
                continue
            return False
        for reason in reasons:
            self._refuse(reason)
        return True

    def through(self, served: Any, sheets: list[Any]) -> int:
        """Exit code: 2 where a picture was refused, 1 where the worker failed."""
        from bench.core.text import headline
        from bench.inference.session import InferenceSession, batches, image_reader
        from bench.worker.client import WorkerError

        read = image_reader(served.preprocessing, self._convert)
        try:
            opened = InferenceSession(served, self.row, self._batch_size)
            with self._bar() as bar, opened as session:
                task = bar.add_task(f"starting {self.row.name}", total=len(self._paths))
                for batch in batches(self._paths, read, self._batch_size, self._refuse):
                    rows = session.run(batch.images)
                    bar.stop()  # what is printed below must not land in it
                    for sheet in sheets:
                        sheet.add(batch.names, rows)
                    bar.start()
                    self.done += len(batch.names)
                    bar.update(task, advance=batch.examined, description=self.row.name)
                self.difference = session.difference
        except WorkerError as error:
            self._say(f"{self.row.name}: {headline(str(error))}; {self._written()}")
            return 1
        finally:
            for sheet in sheets:
                sheet.close()
        return 2 if self._refused else 0

    def _written(self) -> str:
        count = len(self._paths)
        return f"{self.done} of {count} images are done" if self.done else "no image is done"

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
            redirect_stdout=False,  # it would take what is piped elsewhere to the terminal
        )

    def _refuse(self, why: str) -> None:
        self._refused += 1
        self._say(why)

    def _say(self, what: str) -> None:
        """One line, beside the bar."""
        self._console.print(Text(f"alexbench: {shown(what)}"), soft_wrap=True)


def shown(text: str) -> str:
    """A name as a terminal can show it: one line, and no bytes that are no text."""
    clean = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in clean)
