"""Errors about unknown names."""

import pytest

from bench.core.errors import unknown

NAMES = ("pytorch", "keras-tensorflow", "keras-jax", "keras-torch")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("pytorhc", "pytorch"),
        ("tensorflow", "keras-tensorflow"),  # the one name that has it
        ("jax", "keras-jax"),
        ("Keras-Torch", "keras-torch"),
        ("keras", None),  # three have it
        ("mxnet", None),
        ("", None),
        (None, None),
    ],
)
def test_the_nearest_name_is_suggested_where_one_is_near(name: object, meant: str | None) -> None:
    message = str(unknown("framework", name, NAMES, "here: "))
    assert message.startswith(f"here: unknown framework '{name}'")
    assert message.endswith("; known: pytorch, keras-tensorflow, keras-jax, keras-torch")
    assert ("did you mean" in message) == (meant is not None)
    assert meant is None or f"(did you mean {meant}?)" in message


def test_a_long_name_is_cut() -> None:
    assert len(str(unknown("kind", "x" * 10_000, NAMES))) < 200
