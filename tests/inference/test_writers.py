"""Output files: whole or not there, and no memory for what is written already."""

import json
import resource
import shutil
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.inference.output import Embeddings, softmax
from bench.inference.writers import SUFFIXES, FileWriter
from bench.networks.inference import embedding_network
from tests.support.plugins import fake_server


@pytest.fixture(autouse=True)
def output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Embeddings:
    fake_server.install(monkeypatch, tmp_path / "cache")
    return Embeddings(embedding_network(fake_server.pretrained(), Path()))


def rows(count: int, width: int = fake_server.FEATURES) -> np.ndarray:
    return np.random.default_rng(0).random((count, width), np.float32)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("ending", SUFFIXES)
def test_a_full_disk_is_one_line_and_no_file(
    tmp_path: Path, output: Embeddings, ending: str
) -> None:
    writer = FileWriter(tmp_path / f"out{ending}", output)

    def write() -> None:
        writer.add([str(i) for i in range(500)], rows(500))
        writer.close()

    with files_of_at_most(10_000), pytest.raises(UserError, match=r"^cannot write to .*; give"):
        write()
    writer.close()
    assert not list(tmp_path.glob("*out*"))


def test_a_folder_that_is_removed_is_one_line(tmp_path: Path, output: Embeddings) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    writer = FileWriter(folder / "out.json", output)
    writer.add(["a"], rows(1))
    shutil.rmtree(folder)
    with pytest.raises(UserError, match=r"cannot write to .*out\.json: No such file"):
        writer.close()


def test_without_an_image_there_is_no_file(tmp_path: Path, output: Embeddings) -> None:
    FileWriter(tmp_path / "out.json", output).close()
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize("ending", SUFFIXES)
def test_memory_does_not_grow_with_the_number_of_images(
    tmp_path: Path, output: Embeddings, ending: str
) -> None:
    writer, batch = FileWriter(tmp_path / f"out{ending}", output), rows(100)
    names = [f"{i:04}" for i in range(100)]
    writer.add(names, batch)
    tracemalloc.start()
    for _ in range(40):
        writer.add(names, batch)
    writer.close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / f"out{ending}").stat().st_size > 41 * batch.nbytes
    # An npz keeps the names, and copies in pieces of a megabyte.
    assert peak < 1.5e6 + 41 * 100 * 300 * (ending == ".npz")


@pytest.mark.parametrize("name", ["ein \u00e4.png", 'comma,"quote"\n.png', "\udcff.png"])
def test_names_of_files_are_read_back_unchanged(
    tmp_path: Path, output: Embeddings, name: str
) -> None:
    for ending in SUFFIXES:
        writer = FileWriter(tmp_path / f"out{ending}", output)
        writer.add([name], rows(1))
        writer.close()
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))[0]["image"] == name
    with np.load(tmp_path / "out.npz") as arrays:
        assert arrays["images"].tolist() == [name]
    content = (tmp_path / "out.csv").read_bytes().decode("utf-8", "surrogateescape")
    assert name.replace('"', '""') in content


def test_probabilities_sum_to_one_for_large_logits() -> None:
    found = softmax(np.array([[1000, 999, -1000], [0, 0, 0]], np.float32))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found[0], [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1)), 0])
    np.testing.assert_allclose(found[1], 1 / 3)
