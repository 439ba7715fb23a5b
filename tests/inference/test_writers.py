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
from tests.support import fake_server


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Embeddings:
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
def test_a_disk_that_is_full_is_told_in_one_line_and_leaves_nothing(
    tmp_path: Path, answers: Embeddings, ending: str
) -> None:
    sheet = FileWriter(tmp_path / f"out{ending}", answers)

    def write() -> None:
        sheet.add([str(i) for i in range(500)], rows(500))
        sheet.close()

    with files_of_at_most(10_000), pytest.raises(UserError, match=r"^cannot write to .*; give"):
        write()
    sheet.close()
    assert not list(tmp_path.glob("*out*"))


def test_a_folder_that_goes_away_is_told_in_one_line(tmp_path: Path, answers: Embeddings) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    sheet = FileWriter(folder / "out.json", answers)
    sheet.add(["a"], rows(1))
    shutil.rmtree(folder)
    with pytest.raises(UserError, match=r"cannot write to .*out\.json: No such file"):
        sheet.close()


def test_nothing_added_is_no_file(tmp_path: Path, answers: Embeddings) -> None:
    FileWriter(tmp_path / "out.json", answers).close()
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize("ending", SUFFIXES)
def test_memory_does_not_grow_with_what_is_written(
    tmp_path: Path, answers: Embeddings, ending: str
) -> None:
    sheet, batch = FileWriter(tmp_path / f"out{ending}", answers), rows(100)
    names = [f"{i:04}" for i in range(100)]
    sheet.add(names, batch)
    tracemalloc.start()
    for _ in range(40):
        sheet.add(names, batch)
    sheet.close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / f"out{ending}").stat().st_size > 41 * batch.nbytes
    # An npz keeps the names, and copies in pieces of a megabyte.
    assert peak < 1.5e6 + 41 * 100 * 300 * (ending == ".npz")


@pytest.mark.parametrize("name", ["ein \u00e4.png", 'comma,"quote"\n.png', "\udcff.png"])
def test_names_come_back_as_they_were(tmp_path: Path, answers: Embeddings, name: str) -> None:
    for ending in SUFFIXES:
        sheet = FileWriter(tmp_path / f"out{ending}", answers)
        sheet.add([name], rows(1))
        sheet.close()
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))[0]["image"] == name
    with np.load(tmp_path / "out.npz") as arrays:
        assert arrays["images"].tolist() == [name]
    content = (tmp_path / "out.csv").read_bytes().decode("utf-8", "surrogateescape")
    assert name.replace('"', '""') in content


def test_probabilities_add_up_to_one_however_large_the_logits() -> None:
    found = softmax(np.array([[1000, 999, -1000], [0, 0, 0]], np.float32))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found[0], [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1)), 0])
    np.testing.assert_allclose(found[1], 1 / 3)
