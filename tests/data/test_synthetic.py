"""The generated set: repeatable, balanced, and hard enough that seeing shapes pays."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.data import synthetic
from bench.data.dataset import Dataset, Split


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return synthetic.generate(train=6000, test=2000, seed=0)


def features(split: Split) -> NDArray[np.float32]:
    """Pixels averaged over 2x2, centred, (N, 768): enough for a linear classifier."""
    blocks = split.images.reshape(-1, 16, 2, 16, 2, 3).astype(np.float32)
    pixels: NDArray[np.float32] = blocks.mean(axis=(2, 4)).reshape(len(split), -1)
    return pixels / np.float32(255) - np.float32(0.5)


def test_a_seed_gives_the_same_images_and_another_seed_others() -> None:
    first, again, other = (synthetic.generate(700, 300, seed) for seed in (3, 3, 4))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert (first.train.images != other.train.images).any(axis=(1, 2, 3)).all()


def test_images_of_a_seed_stay_what_they_were() -> None:
    """Records of the generated set are comparable only while this holds; else raise VERSION."""
    assert synthetic.VERSION == 3
    assert synthetic.generate(600, 100, 0).fingerprint == (
        "1e3d698fb1d1497c159e3a24b9039ed90694334c30180e48c41b397b2270e52b"
    )


def test_a_smaller_set_is_the_beginning_of_a_larger_one(dataset: Dataset) -> None:
    small = synthetic.generate(train=730, test=20, seed=0)
    np.testing.assert_array_equal(small.train.images, dataset.train.images[:730])
    np.testing.assert_array_equal(small.test.images, dataset.test.images[:20])


def test_classes_are_ten_and_balanced(dataset: Dataset) -> None:
    assert dataset.name == "generated"
    assert len(set(dataset.classes)) == 10
    assert np.bincount(dataset.train.labels).tolist() == [600] * 10
    assert np.bincount(dataset.test.labels).tolist() == [200] * 10
    assert np.bincount(synthetic.generate(25, 13).train.labels).tolist() == [3] * 5 + [2] * 5


def test_no_image_is_there_twice(dataset: Dataset) -> None:
    seen = {image.tobytes() for split in (dataset.train, dataset.test) for image in split.images}
    assert len(seen) == 8000


def test_images_are_in_colour_and_use_the_range(dataset: Dataset) -> None:
    assert all(0.4 < value < 0.6 for value in dataset.mean)
    assert all(0.15 < value < 0.3 for value in dataset.std)
    red, blue = dataset.train.images[..., 0], dataset.train.images[..., 2]
    assert np.abs(red.astype(int) - blue).mean() > 30


def test_linear_classifier_beats_chance_and_stays_low(dataset: Dataset) -> None:
    inputs, labels = features(dataset.train), dataset.train.labels
    targets = np.eye(10, dtype=np.float32)[labels] - np.float32(0.1)
    ridge = inputs.T @ inputs + 100 * np.eye(inputs.shape[1], dtype=np.float32)
    weights = np.linalg.solve(ridge, inputs.T @ targets)
    accuracy = ((features(dataset.test) @ weights).argmax(1) == dataset.test.labels).mean()
    assert 0.15 < accuracy < 0.40  # a network of the quick profile is to reach 0.80


def test_nearest_class_mean_is_bad(dataset: Dataset) -> None:
    inputs, test = features(dataset.train), features(dataset.test)
    means = np.stack([inputs[dataset.train.labels == label].mean(0) for label in range(10)])
    distances = ((test[:, None] - means) ** 2).sum(2)
    assert 0.05 < (distances.argmin(1) == dataset.test.labels).mean() < 0.30


def test_mean_colour_tells_nothing_about_the_class(dataset: Dataset) -> None:
    colours = dataset.train.images.mean(axis=(1, 2))
    means = np.stack([colours[dataset.train.labels == label].mean(0) for label in range(10)])
    assert np.abs(means - means.mean(0)).max() < colours.std(0).min() / 2


@pytest.mark.parametrize(("train", "test", "seed"), [(9, 10, 0), (10, 9, 0), (10, 10, -1)])
def test_impossible_sizes_and_seeds_are_refused(train: int, test: int, seed: int) -> None:
    with pytest.raises(ValueError, match=f"Received: {train}, {test}, {seed}"):
        synthetic.generate(train, test, seed)
