"""The transfer article's accuracy by class, counted as it counts, and as a record has it."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.synthetic import generate
from bench.worker.evaluation import accuracy_of, evaluate, evaluate_with_flips

CLASSES = 10


class Answers:
    """Logits that are right for some images of each class."""

    def predict(self, images: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(int(images[0, 0].sum()) + int(images[0, :, 0].sum()))
        return rng.normal(size=(len(images), CLASSES)).astype(np.float32)


def test_the_table_by_class_is_the_articles() -> None:
    """Batches of four, a counter of right answers and one of images for each class."""
    data = generate(train=16, test=200, seed=2)
    logits = Answers().predict(data.test.images)
    right, total = [0.0] * CLASSES, [0.0] * CLASSES
    for start in range(0, len(data.test.labels), 4):
        labels = data.test.labels[start : start + 4]
        predicted = logits[start : start + 4].argmax(axis=1)
        for label, hit in zip(labels, predicted == labels, strict=True):
            right[label] += hit
            total[label] += 1
    theirs = [100 * hits / images for hits, images in zip(right, total, strict=True)]

    class Fixed:
        def predict(self, images: np.ndarray) -> np.ndarray:
            return logits

    class Whole:
        def test(self, part: slice) -> np.ndarray:
            return data.test.images[part]

    counts = evaluate(Fixed(), data, Whole())  # type: ignore[arg-type]
    ours = np.diag(counts) / counts.sum(axis=1)
    assert 100 * ours == pytest.approx(theirs)
    assert accuracy_of(counts) == pytest.approx(sum(right) / sum(total))
    assert 100 * ours.mean() == pytest.approx(sum(theirs) / CLASSES)  # its last line


def test_with_flips_the_logits_of_both_images_decide() -> None:
    data = generate(train=16, test=700, seed=2)  # more than one batch

    class Inputs:
        def test(self, part: slice) -> np.ndarray:
            return data.test.images[part]

    images = data.test.images
    logits = Answers().predict
    batches = [slice(0, 500), slice(500, 700)]
    both = [logits(images[part]) + logits(images[part][:, :, ::-1]) for part in batches]
    chosen = np.concatenate(both).argmax(axis=1)
    counts = evaluate_with_flips(Answers(), data, Inputs())  # type: ignore[arg-type]
    expected = np.zeros((CLASSES, CLASSES), np.int64)
    np.add.at(expected, (data.test.labels, chosen), 1)
    np.testing.assert_array_equal(counts, expected)
    assert (counts != evaluate(Answers(), data, Inputs())).any()  # type: ignore[arg-type]
