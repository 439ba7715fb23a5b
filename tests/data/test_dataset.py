"""Datasets: fingerprints, statistics, subsets, the validation split, saving and loading."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import UserError
from bench.data import dataset as data
from bench.data.dataset import Dataset, Split


def random_split(size: int, seed: int, classes: int = 4) -> Split:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (size, 32, 32, 3), np.uint8)
    return Split(images, rng.permutation(size).astype(np.int64) % classes)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    train, test = random_split(203, 1), random_split(40, 2)
    return data.describe_pixels("images", ("a", "b", "c", "d"), train, test)


def keys(split: Split) -> set[bytes]:
    return {image.tobytes() for image in split.images}


def test_statistics_match_float64_over_all_pixels(dataset: Dataset) -> None:
    pixels = dataset.train.images.reshape(-1, 3) / 255
    assert dataset.mean == tuple(round(value, 4) for value in pixels.mean(0).tolist())
    assert dataset.std == tuple(round(value, 4) for value in pixels.std(0).tolist())


def test_statistics_of_more_than_one_block_do_not_overflow() -> None:
    images = np.full((2100, 32, 32, 3), 255, np.uint8)
    images[::2, ..., 1] = 0
    assert data.pixel_statistics(images) == ((1.0, 0.5, 1.0), (0.0, 0.5, 0.0))


@pytest.mark.parametrize(
    "change", ["train pixel", "test pixel", "train label", "test label", "class name", "files"]
)
def test_fingerprint_depends_on_everything(dataset: Dataset, change: str) -> None:
    classes, digest = dataset.classes, ""
    train, test = (s.take(np.arange(len(s))) for s in (dataset.train, dataset.test))
    if change == "train pixel":
        train.images[-1, -1, -1, -1] ^= 1
    elif change == "test pixel":
        test.images[0, 0, 0, 0] ^= 1
    elif change == "train label":
        train.labels[7] = (train.labels[7] + 1) % 4
    elif change == "test label":
        test.labels[-1] = (test.labels[-1] + 1) % 4
    elif change == "class name":
        classes = ("a", "b", "c", "e")
    else:
        digest = "0" * 64
    same = data.fingerprint(dataset.classes, dataset.train, dataset.test, "")
    assert same == dataset.fingerprint
    assert data.fingerprint(classes, train, test, digest) != same


def test_describe_gives_the_fields_of_a_record(dataset: Dataset) -> None:
    assert dataset.describe() == {
        "name": "images",
        "fingerprint": dataset.fingerprint,
        "train_images": 203,
        "test_images": 40,
    }


@given(train=st.integers(1, 203), test=st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_subset_is_balanced_and_repeatable(dataset: Dataset, train: int, test: int) -> None:
    part = dataset.subset(train, test)
    assert (len(part.train), len(part.test)) == (train, test)
    for split in (part.train, part.test):
        counts = np.bincount(split.labels, minlength=4)
        assert counts.max() - counts.min() <= 1
    assert part.fingerprint == dataset.subset(train, test).fingerprint
    assert keys(part.train) <= keys(dataset.train)


def test_subset_has_its_own_name_and_fingerprint_and_keeps_the_constants(dataset: Dataset) -> None:
    part = dataset.subset(100, 1000)
    assert part.name == "images, subset 100 + 40"
    assert part.fingerprint != dataset.fingerprint
    assert (part.mean, part.std) == (dataset.mean, dataset.std)


def test_subsets_are_nested_and_labels_stay_with_their_images(dataset: Dataset) -> None:
    small, large = dataset.subset(50, 10), dataset.subset(120, 20)
    assert keys(small.train) < keys(large.train)
    pairs = zip(dataset.train.images, dataset.train.labels.tolist(), strict=True)
    label_of = {image.tobytes(): label for image, label in pairs}
    for image, label in zip(small.train.images, small.train.labels.tolist(), strict=True):
        assert label_of[image.tobytes()] == label


def test_subset_that_cuts_nothing_off_is_the_dataset_itself(dataset: Dataset) -> None:
    assert dataset.subset(203, 999) is dataset
    assert dataset.subset(202, 999) is not dataset


def test_subset_takes_all_of_a_rare_class() -> None:
    labels = np.array([0] * 30 + [1] * 3, np.int64)
    split = Split(random_split(33, 5).images, labels)
    part = data.describe_pixels("x", ("a", "b"), split, split).subset(20, 20)
    assert np.bincount(part.train.labels).tolist() == [17, 3]


def test_subset_of_nothing_is_refused(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="Received: 0, 5"):
        dataset.subset(0, 5)


def test_validation_split_is_cut_from_the_training_set_alone(dataset: Dataset) -> None:
    held = dataset.validation(40)
    assert held.name == "images, validation split"
    assert (len(held.train), len(held.test)) == (163, 40)
    assert not keys(held.train) & keys(held.test)
    assert keys(held.train) | keys(held.test) == keys(dataset.train)
    assert not (keys(held.train) | keys(held.test)) & keys(dataset.test)
    assert np.bincount(held.test.labels).tolist() == [10] * 4
    assert held.fingerprint == dataset.validation(40).fingerprint != dataset.fingerprint


@pytest.mark.parametrize("size", [0, 203])
def test_validation_split_has_to_leave_training_images(dataset: Dataset, size: int) -> None:
    with pytest.raises(UserError, match=f"cannot take {size} validation images from 203"):
        dataset.validation(size)


def test_split_refuses_other_shapes_and_types() -> None:
    good = random_split(3, 0)
    with pytest.raises(ValueError, match=r"Received: \(3, 32, 32\)"):
        Split(good.images[..., 0], good.labels)
    with pytest.raises(ValueError, match=r"Received: \(2,\)"):
        Split(good.images, good.labels[:2])
    with pytest.raises(ValueError, match="Received: uint8 and int32"):
        Split(good.images, good.labels.astype(np.int32))


def test_saved_dataset_comes_back_equal_mapped_and_read_only(
    dataset: Dataset, tmp_path: Path
) -> None:
    noted = dataclasses.replace(dataset, notes="why", files_digest="f" * 64)
    folder = tmp_path / "deep" / "set"
    data.save(noted, folder)
    back = data.load(folder)
    assert data.meta(back) == data.meta(noted)
    for ours, theirs in ((noted.train, back.train), (noted.test, back.test)):
        np.testing.assert_array_equal(ours.images, theirs.images)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
    assert isinstance(back.train.images, np.memmap)
    assert not back.train.images.flags.writeable
    assert [path.name for path in folder.parent.iterdir()] == ["set"]


def test_saving_replaces_what_was_there(dataset: Dataset, tmp_path: Path) -> None:
    data.save(dataset, tmp_path / "set")
    mapped = data.load(tmp_path / "set")
    data.save(dataset.subset(10, 10), tmp_path / "set")
    assert len(data.load(tmp_path / "set").train) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(list((tmp_path / "set").iterdir())) == 5
    np.testing.assert_array_equal(mapped.train.images, dataset.train.images)  # still open


def test_save_that_fails_leaves_no_files(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(np, "save", refuse)
    with pytest.raises(OSError, match="no space"):
        data.save(dataset, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("victim", ["train_images.npy", "test_labels.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "rubbish"])
def test_load_names_the_folder_that_is_damaged(
    dataset: Dataset, tmp_path: Path, victim: str, damage: str
) -> None:
    folder = tmp_path / "set"
    data.save(dataset.subset(20, 8), folder)
    file = folder / victim
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        damaged = {"cut": content[: len(content) - 9], "empty": b"", "rubbish": b"\x93NUMPY{}"}
        file.write_bytes(damaged[damage])
    with pytest.raises(UserError, match="not a whole prepared dataset") as caught:
        data.load(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '|u1', 'shape': (1,",  # tokenize.TokenError
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (9223372036854775807, 32, 32, 3), }",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999, 32, 32, 3), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (20,), }",
        b"(" * 9000,
        b"[1]",
    ],
)
def test_damaged_headers_of_arrays_are_errors_of_one_line(
    dataset: Dataset, tmp_path: Path, header: bytes
) -> None:
    data.save(dataset.subset(20, 8), tmp_path / "set")
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(100)
    (tmp_path / "set" / "train_labels.npy").write_bytes(content)
    with pytest.raises(UserError, match="not a whole prepared dataset") as caught:
        data.load(tmp_path / "set")
    assert "\n" not in str(caught.value)


def test_every_altered_byte_of_the_description_is_noticed(dataset: Dataset, tmp_path: Path) -> None:
    small = dataset.subset(20, 8)
    data.save(small, tmp_path / "set")
    file = tmp_path / "set" / "meta.json"
    content, rng = file.read_bytes(), np.random.default_rng(0)
    for place in rng.integers(0, len(content), 200):
        altered = bytearray(content)
        altered[place] ^= int(rng.integers(1, 256))
        file.write_bytes(altered)
        try:
            found = data.load(tmp_path / "set")
        except UserError:
            continue
        assert data.meta(found) == data.meta(small)  # white space, or the case of \\u00B7
