"""``alexbench parity``: certificates for every variant in every installed framework."""

from __future__ import annotations

import json

import click

from bench.cli.options import device_option, json_option, listed
from bench.core.errors import UserError
from bench.harness.certificates import Certificate, Subject
from bench.networks import variants
from bench.networks.variants import VARIANTS
from bench.parity.problem import CLASSES
from bench.report.format import NOTHING, markdown
from bench.training import frameworks
from bench.training.frameworks import FRAMEWORKS
from bench.worker.device.probing import DeviceChoice, choose

COLUMNS = {
    "float32 logits": "float32 logits",
    "float32 gradients": "float32 gradients",
    "float64 gradients": "float64 gradients",
    "float64 weights, SGD": "10 steps SGD",
    "float64 weights, Adam": "10 steps Adam",
}
"""Figures of a certificate that are columns of the table; the JSON has all of them."""


@click.command(short_help="Check that all frameworks compute the same network.")
@listed("--variants", known=VARIANTS)
@listed("--frameworks", known=FRAMEWORKS)
@device_option
@click.option("--fresh", is_flag=True, help="Repeat checks whose certificate is in the cache.")
@json_option("a table")
def parity(
    variants: tuple[str, ...],
    frameworks: tuple[str, ...],
    device: str,
    fresh: bool,
    as_json: bool,
) -> int:
    """Check that each variant is the same network in each framework that is installed here."""
    from bench.cli.progress import certificate_progress
    from bench.harness.certificates import obtain

    wanted, choice = subjects(variants, frameworks, device)
    found = []
    for line in [choice.words, *(f"{n} {why}" for n, why in choice.unusable.items())]:
        if line:
            click.echo(line, err=True)
    with certificate_progress(len(wanted)) as (certifying, certificate_done):
        for _, certificate in obtain(wanted, certifying, fresh=fresh):
            found.append(certificate)
            certificate_done()
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(as_table(found))
    return 1 if any(certificate["status"] != "pass" for certificate in found) else 0


def subjects(
    rows: tuple[str, ...], names: tuple[str, ...], device: str = "cpu"
) -> tuple[list[Subject], DeviceChoice]:
    """Every network in every framework that can use the device, and the device.

    Args:
        rows: Names of variants; empty takes all.
        names: Names of frameworks; empty takes all that can run here.
        device: What ``--device`` says.

    Raises:
        UserError: A name is unknown, a framework cannot run here, or none can.
    """
    chosen = [variants.variant(name) for name in rows or VARIANTS]
    for name in names:
        why = frameworks.framework(name).missing()
        if why:
            raise UserError(f"framework {name}: {why}")
    found = names or frameworks.installed(tuple(FRAMEWORKS))
    if not found:
        raise UserError("no framework is installed; pip install 'alexbench[torch,tensorflow]'")
    choice = choose(device, tuple(found))
    made = [
        Subject(row.name, name, "source", row.input_size, CLASSES, choice.device)
        for name in choice.usable(found)
        for row in chosen
    ]
    return made, choice


def as_table(certificates: list[Certificate]) -> str:
    """A row per certificate; below the table, where each failed one differs from the reference."""
    headers = ("variant", "framework", "parity", *COLUMNS.values(), "checked at")
    cells = [
        (c["variant"], c["framework"], c["status"], *_figures(c), _scale(c)) for c in certificates
    ]
    right = (False, False, False, *(True for _ in COLUMNS), False)
    problems = [
        f"{c['variant']} in {c['framework']}: {c['problem']}" for c in certificates if c["problem"]
    ]
    return "\n".join([markdown(headers, cells, right), *problems])


def _figures(certificate: Certificate) -> list[str]:
    figures = certificate["figures"]
    worst = [figures[name]["worst"] if name in figures else None for name in COLUMNS]
    return [NOTHING if value is None else f"{value:.0e}" for value in worst]


def _scale(certificate: Certificate) -> str:
    if "input_size" not in certificate:
        return NOTHING
    return f"{certificate['input_size']} px, batch {certificate['batch_size']}"
