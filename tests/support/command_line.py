"""Options as the command line reads them."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bench.cli.commands.run import run
from bench.cli.main import cli


def parsed(options: Sequence[str]) -> click.Context:
    """The context of ``alexbench run`` with these options.

    It has the context of ``alexbench`` as its parent: a command keeps the names of its help option
    from the first one.
    """
    parent = click.Context(cli, **cli.context_settings)
    return run.make_context("run", list(options), parent=parent)
