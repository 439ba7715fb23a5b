"""PyTorch's weight files: read in a worker, nothing in them is executed; and `fetch weights`."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import UserError
from bench.weights.sources import SOURCES, fetch_weights, open_weights
from tests.core import test_download
from tests.frameworks.support.client import ask_reference
from tests.support import weight_examples as examples
from tests.support.images_cli import caller

server = test_download.server


pytestmark = pytest.mark.usefixtures("shared_frameworks", "weight_examples")


def ask() -> dict[str, Any]:
    return ask_reference("weight_files").facts


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("code", r"the pickle asks for code \(posix.mkdir\), .*nothing was run; save model.state_"),
        (
            "bare",
            r"no file of torch.save, or one that asks for more than tensors; nothing was run; save",
        ),
        (
            "module",
            r"the pickle asks for code \(torch.nn.modules.linear.Linear\), as a whole pickled m",
        ),
        ("number", r"holds an int, no state by name; save model.state_dict\(\)"),
        ("eval", r"the pickle asks for code \((builtins\.)?eval\), .*nothing was run; save model"),
        (
            "empty-checkpoint",
            r"no tensors by name in it \('epoch' is an int, 'note' is a str\); save model.state_d",
        ),
        (
            "several",
            r"holds several sets of weights: model \(2 tensors\), ema \(2 tensors\); choose one "
            r"with --key model",
        ),
        ("sparse", r"a is sparse or quantized; save it dense"),
        ("truncated", r"not a whole PyTorch file \(.*\); get it again"),
        ("junk", r"no file of torch.save, or one that asks for more"),
        ("empty", r"not a whole PyTorch file \(EOFError\); get it again"),
    ],
)
def test_files_that_are_no_state_are_refused_in_one_line(name: str, message: str) -> None:
    found = ask()["refused"][name]
    assert re.search(rf"{name}\.pth: {message}", found), found
    assert "\n" not in found
    assert ask()["planted_code_ran"] is False


@pytest.mark.parametrize(
    "form",
    [
        *("plain", "parameters", "wrapped", "bfloat16", "legacy", "legacy-namespace"),
        *("imagenet-example", "net", "model", "weights", "params", "ema", "nested", "by-key"),
        *("numpy-number", "namespace", "own-classes", "beside-numbers", "defaultdict"),
    ],
)
def test_states_are_read_to_the_bit(form: str) -> None:
    found = ask()["taken"][form]
    prefix = "module." if form in ("wrapped", "imagenet-example") else ""
    assert found["names"] == [f"{prefix}features.0.bias", f"{prefix}features.0.weight"]
    assert found["same"] is True
    assert len(found["bfloat16"]) == (2 if form == "bfloat16" else 0)


def test_what_stands_next_to_the_weights_is_passed_over_and_said() -> None:
    taken = ask()["taken"]
    assert taken["plain"]["notes"] == []
    assert taken["ema"]["notes"] == ["taken from 'ema'", "passed over: epoch (int)"]
    assert taken["nested"]["notes"] == ["taken from 'network.model_state'"]
    first, second = taken["namespace"]["notes"]
    assert first == "taken from 'state_dict'"
    assert "args (argparse.Namespace)" in second
    assert "acc (numpy._core.multiarray.scalar)" in taken["numpy-number"]["notes"][1]


def test_torchvision_names_the_classes() -> None:
    names = ask()["categories"]
    assert len(names) == 1000
    assert names[281] == "tabby"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong hash", "invalid hash value"),
        ("interrupted", "(incomplete|invalid hash value|IncompleteRead)"),
        ("absent", "HTTP Error 404"),
        ("offline", "refused"),
    ],
)
def test_failed_downloads_leave_nothing_and_name_the_alternatives(name: str, message: str) -> None:
    found = ask()["fetched"][name]
    assert re.match(f"URL: cannot be downloaded .*{message}", found["message"]), found
    assert "pass it with --weights FILE, or set $ALEXBENCH_WEIGHTS_URL" in found["message"]
    assert "\n" not in found["message"]
    assert found["left"] == []


def test_an_invalid_mirror_is_one_line() -> None:
    assert "cannot be downloaded" in ask()["fetched"]["no address"]["message"]


def test_a_download_is_verified_and_cached() -> None:
    found = ask()["fetched"]["right"]
    assert found["message"].startswith("taken")
    assert len(found["left"]) == 1


@pytest.fixture
def published(
    monkeypatch: pytest.MonkeyPatch, server: test_download.Server
) -> test_download.Server:
    """A server that has a file in the place of torchvision's."""
    server.content = examples.small_state().read_bytes()
    digest = hashlib.sha256(server.content).hexdigest()[:8]
    source = replace(SOURCES["torchvision"], file=f"w-{digest}.pth", checksum=f"sha256:{digest}")
    monkeypatch.setitem(SOURCES, "torchvision", source)
    monkeypatch.setenv("ALEXBENCH_WEIGHTS_URL", server.url)
    return server


def test_fetched_weights_are_available_by_name(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    published: test_download.Server,
) -> None:
    assert caller(monkeypatch)("fetch", "weights") == 0
    path = Path(capfd.readouterr().out.strip())
    assert path.read_bytes() == published.content
    assert fetch_weights() == path
    assert len(published.asked) == 1  # not asked again
    found, _ = open_weights("torchvision")
    assert (found.facts.name, found.facts.layers) == ("torchvision", ("conv1",))
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match="wrong checksum"):
        open_weights("torchvision")
    published.status = 500
    with pytest.raises(UserError, match="HTTP Error 500"):
        fetch_weights(progress=False)
    assert not path.exists()


def test_bad_weights_end_a_command_with_one_line_and_2(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = examples.evil_state(tmp_path / "evil.pth", tmp_path / "ran")
    assert caller(monkeypatch)("convert", path, "out.npz") == 2
    shown = capfd.readouterr()
    assert shown.err.startswith(f"alexbench: {path}: the pickle asks for code")
    assert (shown.err.count("\n"), shown.out) == (1, "")
    assert not (tmp_path / "ran").exists()
    assert {p.name for p in tmp_path.iterdir()} <= {"evil.pth", "cache"}
