"""Opening datasets: every form, every kind of damage, the cache, and the order of `auto`."""

import dataclasses
import hashlib
import io
import os
import pickle
import tarfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.core import download
from bench.core.errors import UserError
from bench.data import archives, sources, synthetic
from bench.data import dataset as data
from bench.data.cifar_batches import CLASSES
from bench.data.dataset import Dataset

Files = dict[str, bytes]
REAL = Path(os.environ.get("ALEXBENCH_DATA", "")) / "cifar10-jpeg75.tar.xz"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALEXBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ALEXBENCH_DATA", raising=False)
    monkeypatch.delenv("ALEXBENCH_CIFAR10_URL", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "cache"


def pixels(count: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)


def records(count: int, seed: int) -> bytes:
    planes = pixels(count, seed).transpose(0, 3, 1, 2).reshape(count, 3072)
    labels = (np.arange(count) % 10).astype(np.uint8)[:, None]
    return np.concatenate([labels, planes], axis=1).tobytes()


def binary_files() -> Files:
    meta = "\n".join(CLASSES).encode() + b"\n\n"
    return {
        "data_batch_1.bin": records(20, 1),
        "data_batch_2.bin": records(10, 2),
        "test_batch.bin": records(10, 3),
        "batches.meta.txt": meta,
    }


def pickled_files(protocol: int = 2, keys: Callable[[str], object] = str.encode) -> Files:
    def batch(count: int, seed: int) -> bytes:
        planes = pixels(count, seed).transpose(0, 3, 1, 2).reshape(count, 3072)
        labels = [number % 10 for number in range(count)]
        return pickle.dumps({keys("data"): planes, keys("labels"): labels}, protocol)

    names = pickle.dumps({keys("label_names"): [keys(name) for name in CLASSES]}, protocol)
    return {
        "data_batch_1": batch(20, 1),
        "data_batch_2": batch(10, 2),
        "test_batch": batch(10, 3),
        "batches.meta": names,
    }


def png(image: NDArray[np.uint8], mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).convert(mode).save(out, format="PNG")
    return out.getvalue()


def image_files() -> Files:
    images = pixels(6, 4)
    return {
        "train/dog/2.png": png(images[0]),
        "train/dog/1.png": png(images[1]),
        "train/cat/1.png": png(images[2]),
        "test/dog/9.png": png(images[3]),
        "test/cat/1.png": png(images[4]),
        "test/cat/2.PNG": png(images[5]),
    }


def write_tar(path: Path, files: Files, mode: str = "w:gz", top: str = "") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(top + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def write_folder(root: Path, files: Files) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def open_quietly(path: Path) -> Dataset:
    return sources.open_dataset(str(path), progress=False)


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        open_quietly(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


def assert_batches(dataset: Dataset) -> None:
    assert dataset.name == "CIFAR-10 format"
    assert dataset.classes == CLASSES
    np.testing.assert_array_equal(
        dataset.train.images, np.concatenate([pixels(20, 1), pixels(10, 2)])
    )
    np.testing.assert_array_equal(dataset.test.images, pixels(10, 3))
    assert dataset.train.labels.tolist() == [*range(10), *range(10), *range(10)]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
@pytest.mark.parametrize("top", ["", "cifar-10-batches-bin/", "./"])
def test_binary_archive_is_read(tmp_path: Path, mode: str, top: str) -> None:
    assert_batches(open_quietly(write_tar(tmp_path / "a.tar", binary_files(), mode, top)))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("keys", [str, str.encode])
def test_pickled_archive_is_read(
    tmp_path: Path, protocol: int, keys: Callable[[str], object]
) -> None:
    files = pickled_files(protocol, keys)
    assert_batches(open_quietly(write_tar(tmp_path / "a.tar.gz", files, top="x/")))


def test_pickle_of_an_older_numpy_is_read(tmp_path: Path) -> None:
    files = {
        name: content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
        for name, content in pickled_files(2).items()
    }
    assert files != pickled_files(2)
    assert_batches(open_quietly(write_folder(tmp_path / "py", files)))


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin/"])
def test_folder_of_batches_is_read(tmp_path: Path, inner: str) -> None:
    for number, files in enumerate((binary_files(), pickled_files())):
        root = tmp_path / str(number)
        assert_batches(
            open_quietly(write_folder(root / inner, files) if inner else write_folder(root, files))
        )
        assert_batches(open_quietly(root))


def test_images_are_read_in_sorted_order(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pets", image_files())
    archive = write_tar(tmp_path / "pets.tar.xz", image_files(), "w:xz", "pets/")
    from_folder, from_archive = open_quietly(folder), open_quietly(archive)
    images = pixels(6, 4)
    for found in (from_folder, from_archive):
        assert (found.name, found.classes) == ("image folder", ("cat", "dog"))
        np.testing.assert_array_equal(found.train.images, images[[2, 1, 0]])
        np.testing.assert_array_equal(found.test.images, images[[4, 5, 3]])
        assert found.train.labels.tolist() == [0, 1, 1]
    assert from_folder.fingerprint == from_archive.fingerprint


def test_same_pixels_in_other_files_have_another_fingerprint(tmp_path: Path) -> None:
    files = image_files()
    first = open_quietly(write_folder(tmp_path / "a", files))
    out = io.BytesIO()
    Image.open(io.BytesIO(files["train/cat/1.png"])).save(out, format="PNG", compress_level=0)
    second = open_quietly(
        write_folder(tmp_path / "b", {**files, "train/cat/1.png": out.getvalue()})
    )
    np.testing.assert_array_equal(first.train.images, second.train.images)
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "P", "1"])
def test_grey_and_transparent_images_become_rgb(tmp_path: Path, mode: str) -> None:
    grey = np.repeat(pixels(1, 8)[0, :, :, :1] // 128 * 255, 3, axis=2)
    files = {**image_files(), "train/cat/1.png": png(grey, mode)}
    found = open_quietly(write_folder(tmp_path / "p", files))
    np.testing.assert_array_equal(found.train.images[0], grey)


@pytest.mark.parametrize(("width", "height"), [(48, 32), (32, 31)])
def test_image_of_another_size_is_named(tmp_path: Path, width: int, height: int) -> None:
    files = {**image_files(), "test/cat/2.png": png(np.zeros((height, width, 3), np.uint8))}
    message = refusal(write_folder(tmp_path / "p", files))
    assert (
        f"test/cat/2.png: {width}x{height} pixels; images must be 32x32; --resize 32 resizes"
        in message
    )


@pytest.mark.parametrize("kind", ["cut png", "cut jpeg", "rubbish", "empty", "icon"])
def test_damaged_image_is_named(tmp_path: Path, kind: str) -> None:
    image = pixels(1, 0)[0]
    encoded = {"cut png": png(image)[:-200], "rubbish": b"rubbish" * 9, "empty": b""}
    for name, form in (("cut jpeg", "JPEG"), ("icon", "ICO")):
        out = io.BytesIO()
        Image.fromarray(image).save(out, format=form)
        encoded[name] = out.getvalue()[: -400 if form == "JPEG" else None]
    files = {**image_files(), "train/cat/5.jpg": encoded[kind]}
    message = refusal(write_folder(tmp_path / "p", files))
    assert "train/cat/5.jpg: not a whole image (" in message
    assert "PNG, JPEG, WebP, AVIF, BMP, GIF and TIFF are read" in message


@pytest.mark.parametrize(
    ("drop", "expected"),
    [
        ("test/", "class 'cat' has one image, which cannot be in both splits"),
        ("train/", "no train split; expected train/<class>"),
        ("test/dog", "class 'dog' is only in train/"),
        ("train/cat", "class 'cat' is only in test/"),
    ],
)
def test_images_need_both_splits_with_the_same_classes(
    tmp_path: Path, drop: str, expected: str
) -> None:
    files = {name: file for name, file in image_files().items() if not name.startswith(drop)}
    assert expected in refusal(write_folder(tmp_path / "p", files))


def test_class_without_images_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", {**image_files(), "train/emu/a.txt": b"x"})
    (folder / "test/emu").mkdir()
    assert "no image in test/emu/; expected PNG, JPEG" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"data_batch_1.bin": None}, "data_batch_1.bin missing; the archive is not whole"),
        ({"data_batch_2.bin": records(10, 2)[:-1]}, "data_batch_2.bin: 30,729 bytes are not whole"),
        ({"data_batch_2.bin": b""}, "data_batch_2.bin: is empty"),
        ({"test_batch.bin": b"\x0a" + records(10, 3)[1:]}, "test_batch.bin: label 10; labels are"),
        ({"test_batch.bin": records(9, 3)}, "class 'truck' has no test image"),
        ({"test_batch.bin": None}, "no test batch; expected test_batch.bin"),
        ({"batches.meta.txt": b"one two"}, "batches.meta.txt: 2 class names; expected 10"),
        ({"data_batch_1": b"x"}, "holds binary batches and pickled batches; keep only one"),
    ],
)
def test_wrong_binary_batches_are_named(
    tmp_path: Path, change: dict[str, bytes | None], expected: str
) -> None:
    changed = {**binary_files(), **change}
    files = {name: content for name, content in changed.items() if content is not None}
    assert expected in refusal(write_tar(tmp_path / "a.tar.gz", files))


def pickled(**entries: object) -> bytes:
    good: dict[str, object] = {"data": np.zeros((10, 3072), np.uint8), "labels": [*range(10)]}
    return pickle.dumps({**good, **entries})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (pickled(labels=[*range(9)]), "9 labels for 10 images"),
        (pickled(labels=[*range(9), 2**70]), "label 1180591620717411303424; labels are 0 to 9"),
        (pickled(labels=["a"] * 10), "no list of whole numbers under 'labels'"),
        (pickled(data=np.zeros((10, 3071), np.uint8)), "data of shape (10, 3071); expected"),
        (pickled(data=np.zeros((10, 3072))), "no array of uint8 under 'data'"),
        (pickle.dumps([1, 2]), "no array of uint8 under 'data'"),
        (pickled()[:-500], "test_batch: not a whole pickle"),
        (b"", "test_batch: not a whole pickle"),
    ],
)
def test_wrong_pickles_are_named(tmp_path: Path, content: bytes, expected: str) -> None:
    files = {**pickled_files(), "test_batch": content}
    assert expected in refusal(write_folder(tmp_path / "py", files))


class Malicious:
    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_pickle_that_wants_to_run_code_is_refused_and_not_run(
    tmp_path: Path, protocol: int
) -> None:
    trap = tmp_path / "trap"
    bombs = {
        "posix.system": Malicious(os.system, f"touch {trap}"),
        "builtins.eval": Malicious(eval, f"open({str(trap)!r}, 'w')"),
        "io.open": Malicious(open, str(trap), "w"),
        "numpy.save": Malicious(np.save, str(trap), 1),
    }
    for number, (asked, bomb) in enumerate(bombs.items()):
        content = pickle.dumps({"data": bomb, "labels": []}, protocol)
        for name in ("data_batch_1", "batches.meta"):
            files = {**pickled_files(), name: content}
            message = refusal(write_folder(tmp_path / f"{number}{name}", files))
            assert "the pickle asks for" in message
            assert asked.split(".")[1] in message
            assert name in message
    assert not list(tmp_path.glob("trap*"))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_archive_cut_off_anywhere_is_refused(tmp_path: Path, mode: str) -> None:
    whole = write_tar(tmp_path / "whole.tar", image_files(), mode).read_bytes()
    stops = [1, 100, len(whole) // 3, len(whole) // 2, len(whole) - 9]
    if mode == "w":  # between members, where nothing is torn
        stops = [1, 100, 512, 4096, len(whole.rstrip(b"\0")) // 512 * 512]
    for stop in stops:
        cut = tmp_path / "cut.tar"
        cut.write_bytes(whole[:stop])
        assert "not a whole tar archive" in refusal(cut)


def test_damaged_member_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", binary_files(), "w")
    content = bytearray(path.read_bytes())
    content[content.index(b"batches.meta.txt")] ^= 1  # the last member; its checksum now fails
    path.write_bytes(content)
    assert "not a whole tar archive (no whole member at byte" in refusal(path)


def test_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("CIFAR-10 " * 400)
    assert refusal(path).startswith(f"{path}: no archive; expected")


def test_archive_without_a_dataset_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"readme": b"x", "../test_batch.bin": b"x"}, "w")
    assert "no dataset in it; expected an archive or folder with data_batch_1.bin" in refusal(path)


def test_two_datasets_in_one_archive_are_refused(tmp_path: Path) -> None:
    files = {f"{top}/{name}": file for top in "ab" for name, file in image_files().items()}
    assert "datasets in more than one place ('a', 'b')" in refusal(
        write_tar(tmp_path / "x.tar", files)
    )


def test_file_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    write_tar(path, binary_files(), "w")
    write_tar(path, {"./test_batch.bin": records(10, 9)}, "a")
    assert "test_batch.bin is there twice" in refusal(path)


def test_linked_members_are_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", binary_files(), "w")
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("data_batch_3.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    assert "data_batch_3.bin is a link" in refusal(path)


def test_archives_that_fill_the_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tar(
        tmp_path / "a.tar.gz", {"0": bytes(2_000_000), "1": bytes(2_000_000), **binary_files()}
    )
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 3_000_000)
    assert "unpacks to more than 0.0 GB" in refusal(path)
    monkeypatch.undo()
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 50_000)
    assert "data_batch_1.bin has 61,460 bytes" in refusal(path)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    assert "more than 2 members" in refusal(write_tar(tmp_path / "b.tar", image_files(), "w"))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_long_headers_of_members_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = write_tar(tmp_path / "a.tar", binary_files(), "w")
    with tarfile.open(path, "a") as tar:
        header = tarfile.TarInfo("name")
        header.type, header.size = kind, 100_000
        tar.addfile(header, io.BytesIO(bytes(100_000)))
    assert "a header of 100,000 bytes" in refusal(path)


@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_sparse_members_are_refused(tmp_path: Path, form: str) -> None:
    path = write_tar(tmp_path / "a.tar", binary_files(), "w")
    with tarfile.open(path, "a", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("data_batch_3.bin")
        if form == "gnu":
            member.type = tarfile.GNUTYPE_SPARSE
        else:
            member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
        tar.addfile(member)
    assert "is a sparse file" in refusal(path)


def test_size_that_an_image_declares_is_checked_before_it_is_decoded(tmp_path: Path) -> None:
    content = bytearray(png(pixels(1, 0)[0]))
    for side, expected in ((12_000, "12000x12000 pixels"), (60_000, "not a whole image")):
        size = side.to_bytes(4, "big")
        content[16:24] = size + size
        content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
        files = {**image_files(), "train/cat/1.png": bytes(content)}
        assert expected in refusal(write_folder(tmp_path / str(side), files))


def test_missing_path_is_named(tmp_path: Path) -> None:
    assert "no such file or folder" in refusal(tmp_path / "nowhere")


def test_folder_with_one_archive_stands_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "shelf"
    write_folder(folder, {"README.md": b"x", "weights.safetensors": b"x"})
    assert "no dataset in this folder" in refusal(folder)
    write_tar(folder / "one.tar.gz", binary_files())
    assert_batches(open_quietly(folder))
    write_tar(folder / "two.tgz", binary_files())
    assert "more than one archive (one.tar.gz, two.tgz)" in refusal(folder)


def test_of_several_archives_the_one_with_all_of_cifar10_is_taken_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shelf"
    folder.mkdir()
    whole = write_tar(folder / "whole.tar.gz", binary_files())
    write_tar(folder / "part.tgz", {**binary_files(), "README": b"x"})
    digest = hashlib.sha256(whole.read_bytes()).hexdigest()
    monkeypatch.setitem(archives.WHOLE_CIFAR10, digest, "whole")
    monkeypatch.setenv("ALEXBENCH_DATA", str(folder))
    assert_batches(sources.open_dataset("auto", cache=tmp_path / "cache", progress=False))
    (line,) = capsys.readouterr().err.splitlines()
    assert "taken is whole.tar.gz, which has all of CIFAR-10 (also there: part.tgz)" in line
    (folder / "again.tar.gz").write_bytes(whole.read_bytes())
    assert "more than one archive" in refusal(folder)


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(sources, "read_bundle", refuse)


@pytest.mark.parametrize("form", ["archive", "folder"])
def test_second_open_comes_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    path = tmp_path / "pets"
    make = write_folder if form == "folder" else write_tar
    make(path, image_files())
    first = open_quietly(path)
    with monkeypatch.context() as patch:
        forbid_decoding(patch)
        second = open_quietly(path)
    assert data.meta(first) == data.meta(second)
    np.testing.assert_array_equal(first.train.images, second.train.images)
    changed = {**image_files(), "train/cat/1.png": png(pixels(1, 77)[0])}
    make(path, changed)
    assert open_quietly(path).fingerprint != first.fingerprint


@pytest.mark.parametrize("victim", ["train_images.npy", "test_labels.npy", "meta.json", "pointer"])
def test_damaged_cache_is_made_again(tmp_path: Path, cache: Path, victim: str) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", binary_files())
    first = open_quietly(archive)
    pattern = "sources/*.json" if victim == "pointer" else f"prepared/*/{victim}"
    (file,) = cache.glob(pattern)
    content = bytearray(file.read_bytes())
    content[-9 if victim == "pointer" else -1] ^= (
        1  # for the arrays this is a pixel or a label: only the fingerprint shows it
    )
    file.write_bytes(content)
    second = open_quietly(archive)
    assert second.fingerprint == first.fingerprint
    np.testing.assert_array_equal(second.train.images[0], pixels(20, 1)[0])
    assert data.load(sources.prepared(second)).fingerprint == first.fingerprint
    assert_batches(second)


def test_prepared_folder_is_what_workers_load(tmp_path: Path, cache: Path) -> None:
    small = synthetic.generate(40, 20)
    folder = sources.prepared(small)
    assert folder.parent.parent == cache
    assert small.fingerprint.startswith(folder.name.partition("-")[0])
    assert data.meta(data.load(folder)) == data.meta(small)
    stamp = (folder / "meta.json").stat().st_mtime_ns
    assert sources.prepared(small) == folder
    assert (folder / "meta.json").stat().st_mtime_ns == stamp
    renamed = dataclasses.replace(small, name="other")
    assert data.load(sources.prepared(renamed)).name == "other"


def test_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    archive = write_tar(tmp_path / "a.tar.gz", binary_files())
    found = sources.open_dataset(str(archive), cache=blocked, progress=False)
    assert_batches(found)
    folder = sources.prepared(found, blocked)
    assert data.load(folder).fingerprint == found.fingerprint
    assert blocked.read_text() == "in the way"


def test_cache_folder_follows_the_environment(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sources.cache_folder() == cache
    monkeypatch.delenv("ALEXBENCH_CACHE")
    assert "alexbench" in sources.cache_folder().name.lower()


@pytest.mark.parametrize("spec", ["auto", "cifar10"])
def test_named_data_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str) -> None:
    write_tar(tmp_path / "shelf.tar.gz", binary_files())
    monkeypatch.setenv("ALEXBENCH_DATA", str(tmp_path))
    assert_batches(sources.open_dataset(spec, progress=False))
    monkeypatch.setenv("ALEXBENCH_DATA", str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"\$ALEXBENCH_DATA: .*gone: no such file"):
        sources.open_dataset(spec, progress=False)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALEXBENCH_CIFAR10_URL", "http://127.0.0.1:9/cifar.tar.gz")
    small = synthetic.generate(20, 10)
    monkeypatch.setattr(synthetic, "generate", lambda: small)


@pytest.mark.usefixtures("offline")
def test_auto_offline_uses_the_generated_set_and_says_so() -> None:
    with pytest.warns(
        sources.SyntheticDataWarning, match=r"SYNTHETIC set \(generated\) instead: http"
    ) as seen:
        found = sources.open_dataset("auto", progress=False)
    assert len(seen) == 1
    assert found.name == "generated"
    assert found.notes == str(seen[0].message)
    assert "\n" not in found.notes
    assert sources.open_dataset("generated", progress=False).notes == ""


@pytest.mark.usefixtures("offline")
def test_cifar10_offline_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(UserError, match=r"127.0.0.1:9.*set \$ALEXBENCH_DATA or pass --data PATH"):
        sources.open_dataset("cifar10", progress=False)


@pytest.mark.usefixtures("offline")
def test_auto_takes_the_archive_that_was_downloaded_before(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = download.cifar10_archive(cache)
    target.parent.mkdir(parents=True)
    write_tar(target, binary_files())
    sum_ = download.file_checksum(target, "md5:")
    monkeypatch.setattr(download, "CIFAR10_CHECKSUM", sum_)
    assert_batches(sources.open_dataset("auto", progress=False))


@pytest.mark.usefixtures("offline")
def test_a_cache_that_can_only_be_read_has_the_archive(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Synthetic images took the place of CIFAR-10, which was there."""
    target = download.cifar10_archive(cache)
    target.parent.mkdir(parents=True)
    write_tar(target, binary_files())
    monkeypatch.setattr(download, "CIFAR10_CHECKSUM", download.file_checksum(target, "md5:"))
    monkeypatch.setattr(sources, "writable", lambda folder: tmp_path / "elsewhere")
    assert_batches(sources.open_dataset("auto", progress=False))


def test_official_set_is_known_by_counts_names_and_statistics(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    labels = np.arange(60_000, dtype=np.int64) % 10
    images = np.zeros((60_000, 32, 32, 3), np.uint8)
    train = data.Split(images[:50_000], labels[:50_000])
    test = data.Split(images[:10_000], labels[:10_000])
    made = Dataset("x", CLASSES, train, test, "", sources.OFFICIAL_MEAN, sources.OFFICIAL_STD)
    assert sources.is_official(made)
    assert not sources.is_official(dataclasses.replace(made, mean=(0.5, 0.5, 0.5)))
    assert not sources.is_official(dataclasses.replace(made, std=(0.2023, 0.1994, 0.201)))
    assert not sources.is_official(dataclasses.replace(made, classes=CLASSES[::-1]))
    assert not sources.is_official(dataclasses.replace(made, test=train))


@pytest.mark.skipif(not REAL.is_file(), reason="needs the real images in $ALEXBENCH_DATA")
def test_jpeg75_images_are_known() -> None:
    found = open_quietly(REAL)
    assert found.name == "CIFAR-10 (JPEG 75)"
    assert found.classes == CLASSES
    assert (len(found.train), len(found.test)) == (50_000, 10_000)
    assert np.bincount(found.train.labels).tolist() == [5000] * 10
    assert np.bincount(found.test.labels).tolist() == [1000] * 10
    assert found.files_digest == sources.JPEG75_DIGEST
    # the figures of the images' own README
    assert found.mean == (0.4913, 0.4821, 0.4465)
    assert found.std == (0.2452, 0.2428, 0.2606)


@pytest.mark.parametrize("size", [b"7" * 11, b"\x80" + b"\x7f" * 11, b"\xff" * 12])
def test_a_member_of_no_use_may_not_declare_more_than_an_archive_can_hold(
    tmp_path: Path, size: bytes
) -> None:
    """It would be passed over by reading as many bytes, long after the end of the file."""
    header = bytearray(tarfile.TarInfo("README").tobuf(tarfile.USTAR_FORMAT))
    header[124 : 124 + len(size)] = size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(header) + bytes(1024))
    began = time.process_time()
    with pytest.raises(UserError, match=r"a\.tar: "):
        archives.read_bundle(path)
    assert time.process_time() - began < 5
