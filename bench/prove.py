"""``alexbench parity``: every variant in every framework here, as certificates."""

from __future__ import annotations

from bench import frameworks, variants
from bench.certificates import Certificate, Subject
from bench.errors import UserError
from bench.frameworks import FRAMEWORKS
from bench.markup import NOTHING, markdown
from bench.proof import CLASSES
from bench.variants import VARIANTS

COLUMNS = {
    "float32 logits": "float32 logits",
    "float32 gradients": "float32 gradients",
    "float64 gradients": "float64 gradients",
    "float64 weights, SGD": "10 steps SGD",
    "float64 weights, Adam": "10 steps Adam",
}
"""Figures that the table shows; the JSON has all."""


def subjects(rows: tuple[str, ...], names: tuple[str, ...]) -> list[Subject]:
    """The networks ``rows`` (all variants when empty) in ``names`` (all that can run here).

    Raises UserError for an unknown name, one that cannot run here, or when no framework can.
    """
    chosen = [variants.variant(name) for name in rows or VARIANTS]
    for name in names:
        why = frameworks.framework(name).missing()
        if why:
            raise UserError(f"framework {name}: {why}")
    found = names or frameworks.installed(tuple(FRAMEWORKS))
    if not found:
        raise UserError(
            "no framework is installed to prove; pip install 'alexbench[torch,tensorflow]'"
        )
    return [
        Subject(row.name, name, "source", row.input_size, CLASSES)
        for name in found
        for row in chosen
    ]


def as_table(certificates: list[Certificate]) -> str:
    """A row per certificate; below it, where each that failed parts from the reference."""
    headers = ("variant", "framework", "parity", *COLUMNS.values(), "proof at")
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
