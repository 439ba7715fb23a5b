"""Datasets as people have them: any size, split, archive and name; a row per kind of case."""

import hashlib
import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.core import download
from bench.core.errors import UserError
from bench.data import archives, sources
from bench.data import dataset as data
from bench.data.cifar_batches import CLASSES
from bench.data.contact_sheet import write_contact_sheet
from bench.inference.images import read_rgb
from tests.core import test_download
from tests.data.test_sources import (
    Files,
    binary_files,
    cache,
    image_files,
    open_quietly,
    pickled_files,
    pixels,
    png,
    records,
    refusal,
    write_folder,
    write_tar,
)

server = test_download.server

__all__ = ["cache", "server"]


def renamed(**splits: str) -> Files:
    """The small image folder with other names of its splits; no test split where it has none."""
    found = {}
    for name, content in image_files().items():
        split, _, rest = name.partition("/")
        if new := splits.get(split):
            found[f"{new}/{rest}"] = content
    return found


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        ("train", "val", "val/ is the test split, since there is no other"),
        ("train", "valid", "val/ is the test split"),
        ("Train", "Validation", "val/ is the test split"),
        ("TRAIN", "TEST", ""),
        ("training", "testing", ""),
    ],
)
@pytest.mark.parametrize("form", ["folder", "tar", "zip"])
def test_splits_have_any_usual_name(
    tmp_path: Path, train: str, test: str, said: str, form: str
) -> None:
    files = renamed(train=train, test=test)
    make = {"folder": write_folder, "tar": write_tar, "zip": write_zip}[form]
    found = open_quietly(make(tmp_path / f"pets.{form}", files))
    whole = open_quietly(write_folder(tmp_path / "usual", image_files()))
    np.testing.assert_array_equal(found.train.images, whole.train.images)
    np.testing.assert_array_equal(found.test.images, whole.test.images)
    assert said in found.notes
    assert bool(found.notes) == bool(said)


def test_a_validation_split_next_to_a_test_split_is_not_used_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = image_files() | {"val/cat/1.png": png(pixels(1, 9)[0])}
    found = open_quietly(write_folder(tmp_path / "pets", files))
    assert (len(found.train), len(found.test)) == (3, 3)
    assert found.notes == "val/ with 1 images is not used, since there is a test split"
    assert found.notes in capsys.readouterr().err


@pytest.mark.parametrize("top", ["", "pets/"])
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_images_next_to_the_splits_are_counted(tmp_path: Path, top: str, form: str) -> None:
    own = image_files()
    image = next(iter(own.values()))
    others = dict.fromkeys(["dev/cat/0.png", "dev/cat/1.png", "extra/0.png", ".git/0.png"], image)
    files = {f"{top}{name}": content for name, content in (own | others).items()}
    write = write_folder if form == "folder" else write_zip
    found = open_quietly(write(tmp_path / f"set-{form}", files))
    assert found.notes == (
        "images not used, since splits are called train, val or test: 2 in dev/, 1 in extra/"
    )
    assert open_quietly(write_folder(tmp_path / "plain", own)).fingerprint == found.fingerprint


def write_zip(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def classes_alone(count: int = 10) -> Files:
    return {
        f"{name}/{i}.png": png(image)
        for seed, name in enumerate(("cat", "dog", "emu"))
        for i, image in enumerate(pixels(count, seed))
    }


@pytest.mark.parametrize("form", ["folder", "tar", "zip"])
@pytest.mark.parametrize("top", ["", "pets/"])
def test_without_splits_a_fifth_of_each_class_is_the_test(
    tmp_path: Path, form: str, top: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {f"{top}{name}": content for name, content in classes_alone().items()}
    make = {"folder": write_folder, "tar": write_tar, "zip": write_zip}[form]
    found = open_quietly(make(tmp_path / f"animals.{form}", files))
    assert found.classes == ("cat", "dog", "emu")
    assert np.bincount(found.train.labels).tolist() == [8, 8, 8]
    assert np.bincount(found.test.labels).tolist() == [2, 2, 2]
    both = {image.tobytes() for split in (found.train, found.test) for image in split.images}
    assert len(both) == 30
    assert "no train and test folders: 20 % of each class, always the same" in found.notes
    assert found.notes in capsys.readouterr().err
    again = open_quietly(write_folder(tmp_path / "again", classes_alone()))
    assert again.fingerprint == found.fingerprint


def test_without_splits_what_is_left_out_is_counted(tmp_path: Path) -> None:
    """A class whose images lie in sub-folders, or are of another kind, vanished without a word."""
    image = png(pixels(1, 9)[0])
    more = {"fox/a/1.png": image, "fox/b/2.png": image, "dog/old/3.png": image}
    other = {"gnu/1.heic": b"heic", "notes/readme.txt": b"text"}
    plain = open_quietly(write_folder(tmp_path / "plain", classes_alone()))
    found = open_quietly(write_folder(tmp_path / "animals", classes_alone() | more | other))
    assert found.fingerprint == plain.fingerprint
    assert "without splits a class has none in sub-folders: 1 in dog/, 2 in fox/" in found.notes
    assert "passed over in class folders: 1 .heic, 1 .txt" in found.notes
    (tmp_path / "top" / "animals").parent.mkdir()
    wrapped = open_quietly(write_folder(tmp_path / "top" / "animals", classes_alone() | more))
    assert "1 in dog/, 2 in fox/" in wrapped.notes
    packed = open_quietly(write_zip(tmp_path / "a.zip", classes_alone() | more | other))
    assert packed.fingerprint == plain.fingerprint
    assert "without splits a class has none in sub-folders: 1 in dog/, 2 in fox/" in packed.notes
    assert "passed over in class folders: 1 .heic, 1 .txt" in packed.notes


def test_an_archive_next_to_class_folders_is_taken_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "animals", classes_alone(4))
    write_zip(folder / "animals.zip", classes_alone())
    assert len(open_quietly(folder).train) == 24
    assert "taken is an archive, and not the class folders next to it (cat, dog, emu)" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("name", ["train/cat/99.png", "cat/99.png"])
def test_a_link_to_an_image_that_is_not_there_is_one_line(tmp_path: Path, name: str) -> None:
    """As those of git-annex without their content: the data set was smaller, without a word."""
    files = image_files() if name.startswith("train") else classes_alone()
    folder = write_folder(tmp_path / "animals", files)
    (folder / name).symlink_to(tmp_path / "annex" / "99.png")
    assert "99.png: cannot be read (No such file or directory)" in refusal(folder)


def test_a_folder_that_may_not_be_read_costs_no_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As lost+found where a disk is mounted."""
    real = archives._found_in

    def found_in(folder: str, prefix: str, unsplit: bool) -> object:
        if folder.endswith("lost+found"):
            raise PermissionError(13, "Permission denied", folder)
        return real(folder, prefix, unsplit)

    monkeypatch.setattr(archives, "_found_in", found_in)
    disk = tmp_path / "disk"
    (disk / "lost+found").mkdir(parents=True)
    assert "lost+found: cannot be read (Permission denied)" in refusal(disk)
    write_zip(disk / "animals.zip", classes_alone())
    assert len(open_quietly(disk).train) == 24


@pytest.mark.parametrize("form", ["folder", "tar", "zip"])
def test_a_training_split_alone_gives_a_fifth_to_the_test(tmp_path: Path, form: str) -> None:
    """As competitions hand them out: the test images are there, without their classes."""
    files = {f"train/{name}": content for name, content in classes_alone().items()}
    make = {"folder": write_folder, "tar": write_tar, "zip": write_zip}[form]
    found = open_quietly(make(tmp_path / f"alone.{form}", files))
    assert np.bincount(found.test.labels).tolist() == [2, 2, 2]
    assert found.notes == "train/ alone: 20 % of each class, always the same, is the test"
    files |= {f"test/{i}.png": png(image) for i, image in enumerate(pixels(4, 9))}
    competition = open_quietly(make(tmp_path / f"competition.{form}", files))
    assert competition.fingerprint == found.fingerprint
    assert competition.notes.endswith("test/ has 4 images in no class, which are not used")


@pytest.mark.parametrize("form", ["folder", "tar", "zip"])
def test_folders_around_a_dataset_and_within_classes_are_looked_into(
    tmp_path: Path, form: str
) -> None:
    """As torchvision and Keras read the folder of a class; archives wrap datasets in folders."""
    whole = open_quietly(write_folder(tmp_path / "usual", image_files()))
    files = {f"export/2026/{name}": content for name, content in image_files().items()}
    make = {"folder": write_folder, "tar": write_tar, "zip": write_zip}[form]
    found = open_quietly(make(tmp_path / f"wrapped.{form}", files))
    assert found.fingerprint == whole.fingerprint
    files = {
        f"{name.rpartition('/')[0]}/part 1/raw/{name.rpartition('/')[2]}": content
        for name, content in image_files().items()
    }
    found = open_quietly(make(tmp_path / f"nested.{form}", files))
    assert found.classes == ("cat", "dog")
    np.testing.assert_array_equal(found.train.images, whole.train.images)
    twice = {f"train/{name}": content for name, content in image_files().items()}
    found = open_quietly(make(tmp_path / f"twice.{form}", twice))
    assert found.fingerprint == whole.fingerprint


def test_a_class_may_be_called_as_a_split(tmp_path: Path) -> None:
    files = {name.replace("dog", "train"): content for name, content in image_files().items()}
    for make in (write_folder, write_tar, write_zip):
        assert open_quietly(make(tmp_path / make.__name__, files)).classes == ("cat", "train")


def oriented(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    image.transpose(Image.Transpose.ROTATE_90).save(out, "PNG", exif=exif)
    return out.getvalue()


def test_images_of_other_kinds_are_converted_as_predict_converts_them(tmp_path: Path) -> None:
    """16 bits are scaled, what is transparent is put on white, photographs are turned upright."""
    own = pixels(1, 7)[0]
    image = Image.fromarray(own)
    clear = image.convert("RGBA")
    clear.putalpha(0)
    wide = Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32) * 64)
    odd = {
        "1.png": oriented(image),
        "2.png": encoded(clear, "PNG"),
        "3.png": encoded(wide, "PNG"),
        "4.bmp": encoded(image, "BMP"),
        "5.tif": encoded(image, "TIFF"),
    }
    files = {
        **{
            f"{split}/cat/{name}": content
            for split in ("train", "test")
            for name, content in odd.items()
        },
        **{f"{split}/dog/1.png": png(own) for split in ("train", "test")},
    }
    found = open_quietly(write_folder(tmp_path / "p", files))
    turned, white, scaled, *plain = found.train.images[:5]
    np.testing.assert_array_equal(turned, own)
    assert (white == 255).all()
    assert scaled[-1, -1].tolist() == [round(1023 * 64 / 257)] * 3
    for each in plain:
        np.testing.assert_array_equal(each, own)
    assert found.notes == (
        "6 images converted to upright 8-bit RGB: 2 turned by EXIF, 2 RGB with alpha, 2 16-bit grey"
    )
    folder = tmp_path / "images"
    folder.mkdir()
    for name, content in odd.items():
        (folder / name).write_bytes(content)
    for name, trained in zip(odd, found.train.images, strict=False):
        np.testing.assert_array_equal(np.asarray(read_rgb(folder / name, True)), trained)


def test_a_class_of_one_image_cannot_be_split(tmp_path: Path) -> None:
    files = classes_alone() | {"fox/1.png": png(pixels(1, 5)[0])}
    assert "class 'fox' has one image" in refusal(write_folder(tmp_path / "p", files))


def test_images_without_folders_of_classes_are_refused(tmp_path: Path) -> None:
    files = {
        f"{split}/{i}.png": png(pixels(1, i)[0]) for split in ("train", "test") for i in (1, 2)
    }
    message = refusal(write_tar(tmp_path / "a.tar", files))
    assert "images lie in" in message
    assert "without folders of classes" in message


def test_archives_made_on_macos_are_read(tmp_path: Path) -> None:
    own = {f"pets/{name}": content for name, content in image_files().items()}
    rubbish = {f"__MACOSX/pets/{k.rpartition('/')[0]}/._{k.rpartition('/')[2]}": b"x" for k in own}
    rubbish |= {
        "pets/.DS_Store": b"x",
        "pets/train/.DS_Store": b"x",
        "pets/train/cat/._1.png": b"x",
    }
    whole = open_quietly(write_folder(tmp_path / "usual", image_files()))
    for make in (write_zip, write_tar, write_folder):
        found = open_quietly(make(tmp_path / f"pets-{make.__name__}", own | rubbish))
        assert found.fingerprint == whole.fingerprint
        assert found.notes == ""


def test_a_zip_made_on_windows_is_read(tmp_path: Path) -> None:
    whole = open_quietly(write_folder(tmp_path / "usual", image_files()))
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for name, content in image_files().items():
            member = zipfile.ZipInfo("x")
            member.filename = f"pets/{name}".replace("/", "\\")  # the constructor would turn it
            archive.writestr(member, content)
    assert open_quietly(tmp_path / "pets.zip").fingerprint == whole.fingerprint


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("cifar-10.tar.gz", b"\n<!DOCTYPE html><html>", "a web page, as a download that failed"),
        ("cifar-10.tar.gz", b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        ("train.parquet", b"PAR1" + bytes(600), "a Parquet file"),
        ("images.h5", b"\x89HDF\r\n\x1a\n" + bytes(600), "an HDF5 file"),
        ("images.npy", b"\x93NUMPY\1\0", "an array of NumPy"),
        ("train.csv", b"pixel0,pixel1\n1,2\n", "no archive"),
        ("data.tar", b"nothing", "not a whole tar archive"),
    ],
)
def test_files_that_are_no_archive_are_named(
    tmp_path: Path, name: str, content: bytes, what: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert refusal(path).startswith(f"{path}: {what}")


def test_a_zip_that_declares_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_zip(tmp_path / "a.zip", binary_files())
    with monkeypatch.context() as patched:
        patched.setattr(archives, "MAX_FILE_BYTES", 50_000)
        assert "data_batch_1.bin has 61,460 bytes" in refusal(path)
    assert open_quietly(path).name == "CIFAR-10 format"
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    broken = tmp_path / "b.zip"
    broken.write_bytes(content[:-30])
    assert "not a whole" in refusal(broken)


def test_names_in_any_bytes_are_escaped(tmp_path: Path) -> None:
    odd = "caf\udce9"
    files = {
        name.replace("dog", odd).replace("9.png", "\udcff.png"): content
        for name, content in image_files().items()
    }
    for make in (write_folder, write_tar):
        found = open_quietly(make(tmp_path / make.__name__, files))
        assert found.classes == (r"caf\xe9", "cat")
        data.load(sources.prepared(found))
        write_contact_sheet(found, tmp_path / "sheet.png")


def encoded(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, lossless=True)
    return out.getvalue()


def test_webp_and_jfif_are_images_and_what_is_none_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = Image.fromarray(pixels(1, 7)[0])
    files = image_files() | {
        "train/cat/3.webp": encoded(image, "WEBP"),
        "train/cat/4.JFIF": encoded(image, "JPEG"),
        "train/cat/5.svg": b"<svg/>",
        "train/cat/list.txt": b"x",
        "train/dog/README": b"x",
    }
    for make in (write_folder, write_tar):
        found = open_quietly(make(tmp_path / make.__name__, files))
        assert np.bincount(found.train.labels).tolist() == [3, 2]
        np.testing.assert_array_equal(found.train.images[1], pixels(1, 7)[0])
        assert found.notes == (
            "passed over in class folders: 1 .svg, 1 .txt, 1 no suffix; PNG, JPEG, WebP, AVIF, "
            "BMP, GIF and TIFF are read"
        )
        assert "passed over in class folders" in capsys.readouterr().err


def sized(*sizes: tuple[int, int]) -> Files:
    rng = np.random.default_rng(0)
    return {
        f"{split}/{name}/{i}.png": png(rng.integers(0, 256, (h, w, 3), np.uint8))
        for split in ("train", "test")
        for name in ("cat", "dog")
        for i, (w, h) in enumerate(sizes)
    }


@pytest.mark.parametrize("side", [32, 48])
def test_images_of_any_size_are_resized_when_asked_and_the_name_has_it(
    tmp_path: Path, side: int
) -> None:
    folder = write_folder(tmp_path / "p", sized((100, 60), (31, 200), (32, 32)))
    assert "images must be 32x32; --resize 32 resizes them" in refusal(folder)
    found = sources.open_dataset(str(folder), progress=False, resize=side)
    assert found.name == f"image folder, resized to {side}"
    assert found.train.images.shape == (6, side, side, 3)
    assert found.side == side
    again = data.load(sources.prepared(found))
    assert again.fingerprint == found.fingerprint
    assert again.mean == tuple(
        round(float(v), 4) for v in (found.train.images.reshape(-1, 3) / 255).mean(0)
    )
    write_contact_sheet(found, tmp_path / "sheet.png")


def test_the_middle_square_is_taken(tmp_path: Path) -> None:
    wide = np.zeros((32, 96, 3), np.uint8)
    wide[:, 32:64] = 200  # the middle third
    files = {**sized((32, 32)), "train/cat/0.png": png(wide)}
    folder = write_folder(tmp_path / "p", files)
    found = sources.open_dataset(str(folder), progress=False, resize=32)
    assert (found.train.images[0] == 200).all()


def test_a_size_that_cannot_be_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", image_files())
    with pytest.raises(UserError, match="--resize 8: expected a side of 16 to 512 pixels"):
        sources.open_dataset(str(folder), progress=False, resize=8)
    batches = write_folder(tmp_path / "b", binary_files())
    with pytest.raises(UserError, match=r"--resize 64: CIFAR-10's batches have 32x32 pixels"):
        sources.open_dataset(str(batches), progress=False, resize=64)


@pytest.mark.parametrize(
    "files",
    [
        {
            "cifar-100-python/train": b"x",
            "cifar-100-python/test": b"x",
            "cifar-100-python/meta": b"",
        },
        {"cifar-100-binary/train.bin": b"x", "cifar-100-binary/fine_label_names.txt": b"x"},
    ],
)
def test_cifar_100_is_named(tmp_path: Path, files: Files) -> None:
    assert "this is CIFAR-100" in refusal(write_tar(tmp_path / "a.tar.gz", files))
    assert "this is CIFAR-100" in refusal(write_folder(tmp_path / "f", files))
    inner = {name.partition("/")[2]: content for name, content in files.items()}
    assert "this is CIFAR-100" in refusal(write_folder(tmp_path / "inner", inner))


def official(batches: range) -> Files:
    """Batches with as many images as the official ones have."""
    batch = records(10, 0) * 1000
    return {f"data_batch_{i}.bin": batch for i in batches} | {"test_batch.bin": records(10, 3)}


@pytest.mark.parametrize(
    ("batches", "missing"),
    [(range(1, 5), "data_batch_5.bin is missing: 4 of"), (range(2, 4), "data_batch_1.bin missing")],
)
def test_a_missing_batch_is_named(tmp_path: Path, batches: range, missing: str) -> None:
    message = refusal(write_folder(tmp_path / "half", official(batches)))
    assert missing in message
    assert "unpack the archive again" in message


def test_batches_that_were_written_again_are_read(tmp_path: Path) -> None:
    """Images with the channels last, labels as an array."""
    files = pickled_files()
    for name, count, seed in (
        ("data_batch_1", 20, 1),
        ("data_batch_2", 10, 2),
        ("test_batch", 10, 3),
    ):
        labels = np.arange(count) % 10
        files[name] = pickle.dumps({"data": pixels(count, seed), "labels": labels}, 4)
    found = open_quietly(write_folder(tmp_path / "py", files))
    assert found.classes == CLASSES
    np.testing.assert_array_equal(found.test.images, pixels(10, 3))
    assert found.test.labels.tolist() == [*range(10)]


@pytest.mark.parametrize("name", download.KERAS_NAMES)
def test_kerass_cache_is_looked_into_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("ALEXBENCH_CIFAR10_URL", "http://127.0.0.1:9/nothing")
    folder = tmp_path / "keras" / "datasets"
    folder.mkdir(parents=True)
    path = write_tar(folder / name, pickled_files())
    with pytest.raises(UserError, match=r"127\.0\.0\.1"):  # not whole: another checksum
        sources.open_dataset("cifar10", progress=False)
    monkeypatch.setattr(download, "KERAS_CHECKSUM", download.file_checksum(path, "sha256:"))
    assert sources.open_dataset("cifar10", progress=False).name == "CIFAR-10 format"


def test_a_slow_download_says_its_rate_and_the_way_on(
    tmp_path: Path,
    server: test_download.Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = iter(range(0, 100_000, 3))
    monkeypatch.setattr(download, "monotonic", lambda: float(next(now)))
    server.content = bytes(1 << 20)
    checksum = f"sha256:{hashlib.sha256(server.content).hexdigest()}"
    download.fetch(server.url, tmp_path / "file", checksum=checksum, progress=False)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("alexbench: downloading file: 0 of 1 MB at ")
    assert "kB/s, about " in lines[0]
    assert lines[0].endswith("; to go on without it: Ctrl-C, then --data generated")


def test_a_tar_with_a_folder_name_that_is_a_file(tmp_path: Path) -> None:
    """A list next to the class folders is none of them."""
    files = image_files() | {"train/classes.txt": b"cat dog"}
    for make in (write_folder, write_tar, write_zip):
        assert open_quietly(make(tmp_path / make.__name__, files)).classes == ("cat", "dog")
    with tarfile.open(tmp_path / "write_tar") as tar:
        assert "train/classes.txt" in tar.getnames()


def test_a_class_that_is_called_as_a_split_is_not_lost_without_a_word(tmp_path: Path) -> None:
    files = classes_alone() | {"train/1.png": png(pixels(1, 9)[0])}
    for made in (write_folder(tmp_path / "a", files), write_zip(tmp_path / "a.zip", files)):
        found = open_quietly(made)
        assert found.classes == ("cat", "dog", "emu")
        assert "train/ has 1 image" in found.notes or "1 in train/" in found.notes
