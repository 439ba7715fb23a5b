"""Batches reach Keras's ``fit`` unchanged, each once, without autotuning."""

from tests.frameworks.support.client import ask, each_keras


@each_keras
def test_every_batch_comes_once_and_unchanged(framework: str) -> None:
    facts = ask(framework, "training.fed").facts
    assert facts["same"] == [True] * 4
    assert facts["asked"] == [0, 1, 2, 3]


@each_keras
def test_tensorflow_tunes_no_buffer(framework: str) -> None:
    """Its tuning thread could delay the return of ``fit`` by up to the training's time."""
    facts = ask(framework, "training.fed").facts
    assert facts.get("tuned") == (False if framework == "keras-tensorflow" else None)
