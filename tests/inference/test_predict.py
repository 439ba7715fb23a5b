"""``alexbench predict`` on servers for tests: outputs, bad images, workers that die."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from bench.core.errors import UserError
from bench.inference.output import Predictions
from bench.networks.inference import prediction_network
from tests.support.images_cli import NAMES, Call, caller, features, logits, write_images
from tests.support.plugins import fake_server

COUNT = 7


@pytest.fixture(autouse=True)
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    fake_server.install(monkeypatch, tmp_path / "cache")
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets another one
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    fake_server.pretrained(NAMES).save(Path("w.safetensors"))
    return caller(monkeypatch)


@pytest.fixture
def paths() -> list[Path]:
    return write_images(Path(), COUNT)


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process of any kind may be started."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)


def predict(call: Call, *arguments: object, framework: str = "served") -> int:
    return call("predict", *arguments, "--framework", framework, "--weights", "w.safetensors")


def expected(paths: list[Path], top: int = 5) -> list[list[tuple[int, float]]]:
    wide = logits(paths).astype(np.float64)
    shares = np.exp(wide) / np.exp(wide).sum(axis=1, keepdims=True)
    return [[(int(i), row[i]) for i in np.argsort(-row)[:top]] for row in shares]


def assert_rows(found: list[dict[str, Any]], paths: list[Path], top: int = 5) -> None:
    assert [row["image"] for row in found] == [str(path) for path in paths]
    for row, wanted in zip(found, expected(paths, top), strict=True):
        classes = [entry["class"] for entry in row["predictions"]]
        assert classes == [index for index, _ in wanted]
        assert [entry["label"] for entry in row["predictions"]] == [NAMES[i] for i in classes]
        probabilities = [entry["probability"] for entry in row["predictions"]]
        np.testing.assert_allclose(probabilities, [p for _, p in wanted], rtol=1e-5)


@pytest.mark.parametrize("size", [1, 3, 32])
def test_json_has_the_top_five_classes_of_every_image_in_order(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str], size: int
) -> None:
    mixed = [paths[i] for i in (3, 0, 6, 1, 3)]
    assert predict(call, *mixed, "--json", "--batch-size", size) == 0
    shown = capsys.readouterr()
    assert_rows(json.loads(shown.out), mixed)
    assert shown.err == ""
    assert len({row[0][0] for row in expected(paths)}) > 1, "images that differ"


def test_text_names_every_image_and_its_classes(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(call, *paths[:2], "--top", 2) == 0
    shown = capsys.readouterr().out
    for path, wanted in zip(paths[:2], expected(paths[:2], 2), strict=True):
        assert str(path) in shown
        for index, probability in wanted:
            line = next(x for x in shown.splitlines() if f"{100 * probability:.2f} %" in x)
            assert f"{index}   kind {index}" in line
    assert shown.count("kind") == 4


def test_a_folder_is_replaced_by_its_images(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(call, ".", "--json") == 0
    assert_rows(json.loads(capsys.readouterr().out), paths)


def test_classes_without_names_are_numbered(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    fake_server.pretrained().save(Path("w.safetensors"))
    assert predict(call, paths[0], "--json", "--top", 10) == 0
    (found,) = json.loads(capsys.readouterr().out)
    labels = {entry["label"] for entry in found["predictions"]}
    assert labels == {f"class {index}" for index in range(10)}


def test_files_of_every_suffix_have_the_same_numbers(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for ending in ("json", "csv", "npz"):
        assert predict(call, *paths, "-o", f"out.{ending}", "--batch-size", 3, "--top", 3) == 0
        assert capsys.readouterr() == (f"out.{ending}\n", "")
    found = json.loads(Path("out.json").read_text(encoding="utf-8"))
    assert_rows(found, paths, top=3)

    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["image"] for line in lines] == [str(path) for path in paths for _ in range(3)]
    assert [line["rank"] for line in lines] == ["1", "2", "3"] * COUNT
    flat = [entry for row in found for entry in row["predictions"]]
    assert [line["label"] for line in lines] == [entry["label"] for entry in flat]
    assert [float(line["probability"]) for line in lines] == [e["probability"] for e in flat]

    with np.load("out.npz") as arrays:
        assert arrays["images"].tolist() == [str(path) for path in paths]
        assert arrays["categories"].tolist() == list(NAMES)
        assert arrays["classes"].shape == arrays["probabilities"].shape == (COUNT, 3)
        assert arrays["classes"].ravel().tolist() == [entry["class"] for entry in flat]
        assert arrays["probabilities"].ravel().tolist() == [e["probability"] for e in flat]
    assert sorted(path.name for path in Path().glob("*out*")) == ["out.csv", "out.json", "out.npz"]


def test_bad_images_are_named_and_the_others_are_predicted(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (20, 20)).save("grey.png")
    Path("text.jpg").write_text("no image")
    given = [paths[0], "grey.png", paths[1], "text.jpg", "absent.png", paths[2]]
    assert predict(call, *given, "--json", "--batch-size", 2, "--strict") == 2
    shown = capsys.readouterr()
    assert_rows(json.loads(shown.out), paths[:3])
    assert [line.partition(";")[0] for line in shown.err.splitlines()] == [
        "alexbench: grey.png: grey",
        "alexbench: text.jpg: not an image",
        "alexbench: absent.png: No such file or directory",
    ]
    assert predict(call, *given, "--json", "--convert") == 2
    assert len(json.loads(capsys.readouterr().out)) == 4


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize("output", [(), ("--json",), ("-o", "out.npz")])
def test_a_bad_image_alone_starts_nothing_and_writes_nothing(
    call: Call, capsys: pytest.CaptureFixture[str], output: tuple[str, ...]
) -> None:
    Path("a  b\n.png").write_text("no image")
    assert predict(call, "a  b\n.png", *output) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(r"alexbench: a  b\n.png: not an image; expected PNG")
    assert shown.err.count("\n") == 1
    assert not list(Path().glob("*out*"))


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--framework", "theano"), "unknown framework 'theano'; known: pytorch"),
        (("--framework", "served-missing"), "no_such_module not installed; pip install"),
        (("--framework", "served-none"), "served-none has no server"),
        (("--weights", "nowhere.pth"), "nowhere.pth"),
        (("--top", "11"), "--top 11: the network has 10 classes"),
        (("--top", "0"), "0 is not in the range"),
        (("--batch-size", "0"), "0 is not in the range"),
        (("-o", "out.txt"), "-o out.txt: unknown suffix; expected one of .csv, .json, .npz"),
        (("-o", "no/out.csv"), "-o no/out.csv: no folder no; make it first"),
        (("-o", "folder.csv"), "-o folder.csv: a folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    call: Call,
    paths: list[Path],
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    Path("folder.csv").mkdir()
    given = {"--framework": "served", "--weights": "w.safetensors"} | dict(
        zip(arguments[::2], arguments[1::2], strict=True)
    )
    assert call("predict", paths[0], *(part for pair in given.items() for part in pair)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("alexbench: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err


@pytest.mark.usefixtures("nothing_runs")
def test_weights_without_all_layers_name_those_that_are_missing(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    part = fake_server.pretrained(layers=("conv1",), classes=None, input_size=None)
    part.save(Path("w.safetensors"))
    assert predict(call, paths[0]) == 2
    message = capsys.readouterr().err
    assert "without dense1, dense2, dense3, which predict needs" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("output", [("--json",), ("-o", "out.json")])
@pytest.mark.parametrize(
    ("framework", "message"),
    [
        ("served-dying", "worker killed by SIGKILL; 3 of 7 images done"),
        ("served-raising", "ValueError: no more; 3 of 7 images done"),
    ],
)
def test_batches_before_a_failed_worker_are_written(
    call: Call,
    paths: list[Path],
    capsys: pytest.CaptureFixture[str],
    framework: str,
    message: str,
    output: tuple[str, ...],
) -> None:
    assert predict(call, *paths, *output, "--batch-size", 3, framework=framework) == 1
    shown = capsys.readouterr()
    assert shown.err == f"alexbench: {framework}: {message}\n"
    text = shown.out if output == ("--json",) else Path("out.json").read_text(encoding="utf-8")
    assert_rows(json.loads(text), paths[:3])


def test_output_that_is_not_finite_is_not_written(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(call, paths[0], "-o", "out.json", framework="served-infinite") == 1
    assert "not finite; no image is done" in capsys.readouterr().err
    assert not list(Path().glob("*out*"))


def test_a_failed_write_is_one_line(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(".out.csv.part").mkdir()
    assert predict(call, *paths, "-o", "out.csv") == 2
    assert capsys.readouterr().err == (
        "alexbench: cannot write to out.csv: Is a directory; give another -o\n"
    )


def test_an_interrupt_keeps_finished_batches_and_no_temporary_file(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    command = [sys.executable, "-m", "bench", "predict", *map(str, paths), "-o", "out.csv"]
    command += ["--framework", "served-sleeping", "--weights", "w.safetensors", "--batch-size", "3"]
    # A job in the background of a shell, as tests may be, hands down that it ignores the signal.
    heeding = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=heeding
    ) as process:
        ends = time.monotonic() + 300
        while not Path(".out.csv.part").exists() and time.monotonic() < ends:
            time.sleep(0.05)
        assert list(temporary.iterdir())
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, message = process.communicate(timeout=120)
    assert process.returncode == 130
    assert message.split("\n") == [
        "alexbench: SIGINT: stopping; a second signal ends at once",
        "alexbench: stopped by SIGINT; what was finished is written",
        "",
    ]
    assert Path("out.csv").read_text(encoding="utf-8").count("\n") == 1 + 3 * 5
    assert not Path(".out.csv.part").exists()
    assert list(temporary.iterdir()) == []


def test_batches_are_full_although_bad_images_are_skipped(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.png").write_text("no")
    # FakeServer asserts the size of what it gets.
    assert predict(call, paths[0], "bad.png", *paths[1:], "--json", "--batch-size", 2) == 2
    assert_rows(json.loads(capsys.readouterr().out), paths)
    assert features(paths).any()


def folder_of_photos() -> Path:
    """One plain image, one grey, one transparent, a text, and a name that is not UTF-8."""
    folder = Path("photos")
    (folder / "more").mkdir(parents=True)
    image = Image.new("RGB", (20, 24), "teal")
    image.save(folder / "a.png")
    image.convert("L").save(folder / "b.png")
    image.convert("RGBA").save(folder / "\udce9.png")
    image.save(folder / "more" / "c.jpg")
    (folder / "list.txt").write_text("no image")
    return folder


def test_a_folder_as_it_is_costs_one_line_about_what_was_converted(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(call, folder_of_photos(), "--json") == 0
    shown = capsys.readouterr()
    assert len(json.loads(shown.out)) == 3
    assert shown.err.splitlines() == [
        "alexbench: passed over: 1 file that is no image (1 .txt; --show-skipped) and 1 sub-folder "
        "(--recursive takes them)",
        "alexbench: 2 images converted to upright 8-bit RGB: 1 grey, 1 RGB with alpha; --strict "
        "refuses them",
    ]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["turned"], "1 turned by EXIF; --strict takes those turned as stored"),
        (["turned", "grey"], "--strict takes those turned as stored and refuses the others"),
    ],
)
def test_strict_takes_images_turned_by_exif_as_stored(
    call: Call, capsys: pytest.CaptureFixture[str], names: list[str], said: str
) -> None:
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    image = Image.new("RGB", (20, 24), "teal")
    image.save("turned.jpg", exif=turned)
    image.convert("L").save("grey.jpg")
    paths = [Path(f"{name}.jpg") for name in names]
    assert predict(call, *paths, "--json") == 0
    assert capsys.readouterr().err.rstrip().endswith(said)
    assert predict(call, *paths, "--strict", "--json") == (0 if names == ["turned"] else 2)


def test_strict_refuses_what_is_not_plain_rgb(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(call, folder_of_photos(), "--strict", "--json") == 2
    shown = capsys.readouterr()
    assert [Path(row["image"]).name for row in json.loads(shown.out)] == ["a.png"]
    assert "b.png: grey; expected 8-bit RGB; without --strict it is taken as RGB" in shown.err
    assert "converted" not in shown.err


def test_recursive_and_show_skipped_name_every_file(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(call, folder_of_photos(), "--recursive", "--show-skipped", "-o", "out.csv") == 0
    shown = capsys.readouterr()
    assert "alexbench: passed over: photos/list.txt" in shown.err
    rows = Path("out.csv").read_text(encoding="utf-8", errors="surrogateescape")
    assert rows.count("photos/more/c.jpg") == 5
    assert rows.count("photos/\udce9.png") == 5


def test_a_larger_limit_of_pixels_can_be_given(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (200, 100)).save("wide.png")
    assert predict(call, "wide.png", "--max-pixels", 19_999) == 2
    assert "more than 19,999 pixels" in capsys.readouterr().err
    assert predict(call, "wide.png", "--max-pixels", 20_000, "--json") == 0


def test_a_system_that_binds_no_process_predicts(
    call: Call,
    paths: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """macOS has no such calls; the worker neither."""
    names = ("sched_getaffinity", "sched_setaffinity")
    gone = ", ".join(f"os.{name}" for name in names)
    (tmp_path / "sitecustomize.py").write_text(f"import os\ndel {gone}\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    for name in names:
        monkeypatch.delattr(os, name)
    assert predict(call, *paths, "--json") == 0
    assert_rows(json.loads(capsys.readouterr().out), paths)


def test_a_network_of_few_classes_needs_no_top(
    call: Call, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    served = fake_server.pretrained()
    network = prediction_network(served, Path())
    few = dataclasses.replace(network, architecture=fake_server.VARIANT.architecture(3))
    assert len(Predictions(few).of(np.zeros(3, np.float32))) == 3
    one = dataclasses.replace(network, architecture=fake_server.VARIANT.architecture(1))
    with pytest.raises(UserError, match="one logit, whose softmax is 1 for every image; use embed"):
        Predictions(one)
