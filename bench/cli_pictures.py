"""``alexbench predict`` and ``alexbench embed``: a network's answers for pictures.

Results go to stdout or into a file, everything else to stderr. A picture that cannot be taken
costs one line there and exit code 2; the others go through.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bench.frameworks import FRAMEWORKS


def _shared(command: Callable[..., Any]) -> Callable[..., Any]:
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


@click.command()
@_shared
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
    from bench.answer_files import FileSheet, JsonSheet, check_output
    from bench.answers import Predictions
    from bench.served import for_predictions
    from bench.weight_sources import open_weights

    if output:
        check_output(output)
    run = _Run(**given)
    if run.refuses_all():
        return 2
    served = for_predictions(*open_weights(given["weights"]))
    answers = Predictions(served, top)
    sheets: list[Any] = [FileSheet(output, answers)] if output else []
    if as_json:
        sheets.append(JsonSheet(sys.stdout, answers))
    code = run.through(served, sheets or [_Tables(answers)])
    if output and not as_json and run.done:
        click.echo(output)
    return code


@click.command()
@_shared
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="A .npz, .csv or .json file.",
)
def embed(output: Path, **given: Any) -> int:
    """Write the 4096 features of pictures (files, or folders of them) after the second hidden
    layer.

    They are computed in two ways, by a slice of the network and by the framework's own look inside
    (a hook, a sub-model); on the first batch both must agree.
    """
    from bench.answer_files import FileSheet, check_output
    from bench.answers import Embeddings
    from bench.served import for_embeddings
    from bench.weight_sources import open_weights

    check_output(output)
    run = _Run(**given)
    if run.refuses_all():
        return 2
    served = for_embeddings(*open_weights(given["weights"]))
    code = run.through(served, [FileSheet(output, Embeddings(served))])
    if run.done:
        said = "to the bit" if run.difference == 0 else f"within {run.difference:.0e}"
        click.echo(
            f"{output}: {run.done} x {served.width} after {served.embedding}; "
            f"slice and whole network agree {said}"
        )
    return code


class _Run:
    """One call of a command: pictures through a network, into sheets."""

    def __init__(
        self,
        images: tuple[Path, ...],
        framework: str | None,
        batch_size: int,
        convert: bool,
        weights: str,
    ) -> None:
        from bench.answering import chosen_framework
        from bench.picture_files import expand

        self.row = chosen_framework(framework)
        self.done = 0
        self.difference: float | None = None
        self._paths = list(expand(images))
        self._batch_size = min(batch_size, len(self._paths))
        self._convert, self._refused = convert, 0
        self._console = Console(stderr=True, highlight=False)

    def refuses_all(self) -> bool:
        """Whether no picture can be taken; then all are named, and nothing need be started."""
        from bench.errors import UserError
        from bench.picture_files import read_rgb

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
        from bench.answering import Session, batches, reader
        from bench.launch import WorkerError, headline

        read = reader(served.preprocessing, self._convert)
        try:
            with self._bar() as bar, Session(served, self.row, self._batch_size) as session:
                task = bar.add_task(f"starting {self.row.name}", total=len(self._paths))
                for batch in batches(self._paths, read, self._batch_size, self._refuse):
                    rows = session.rows(batch.pictures)
                    bar.stop()  # what is printed below must not land in it
                    for sheet in sheets:
                        sheet.add(batch.names, rows)
                    bar.start()
                    self.done += len(batch.names)
                    bar.update(task, advance=batch.looked_at, description=self.row.name)
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
        return f"{self.done} of {count} pictures are done" if self.done else "no picture is done"

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


class _Tables:
    """A table per picture on stdout."""

    def __init__(self, answers: Any) -> None:
        self._answers = answers
        self._console = Console(highlight=False)

    def add(self, names: list[str], rows: NDArray[np.float32]) -> None:
        """See :class:`bench.answer_files.Sheet`."""
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
