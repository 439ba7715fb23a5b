"""``alexbench fetch``: download, verify and cache data and weights."""

from __future__ import annotations

import click


@click.command(short_help="Download, verify and cache CIFAR-10 or weights.")
@click.argument("what", type=click.Choice(["cifar10", "weights"]))
def fetch(what: str) -> None:
    """Download, verify and cache CIFAR-10, or the weights that torchvision publishes."""
    from bench.core.cache import cache_folder
    from bench.core.download import fetch_cifar10
    from bench.weights.sources import fetch_weights

    click.echo(fetch_weights() if what == "weights" else fetch_cifar10(cache_folder()))
