"""Batches reach Keras's ``fit`` as they are, each once, and nothing sleeps behind them."""

from tests.frameworks.probes.client import ask, each_keras


@each_keras
def test_every_batch_comes_once_and_unchanged(framework: str) -> None:
    facts = ask(framework, "fed").facts
    assert facts["same"] == [True] * 4
    assert facts["asked"] == [0, 1, 2, 3]


@each_keras
def test_tensorflow_tunes_no_buffer(framework: str) -> None:
    """Its tuning thread would keep ``fit`` for up to as long as the training took."""
    facts = ask(framework, "fed").facts
    assert facts.get("tuned") == (False if framework == "keras-tensorflow" else None)
