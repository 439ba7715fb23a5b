"""Sources by name and by path: what is read, what is refused, and what is kept."""

import errno
import hashlib
import json
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core.cache import cache_folder
from bench.core.errors import UserError
from bench.networks.preprocessing import BVLC, TORCHVISION
from bench.networks.pretrained import Pretrained
from bench.networks.weight_names import published_names, renamed
from bench.weights import sources
from bench.weights.facts import CIFAR10
from bench.weights.sources import SOURCES, open_weights
from tests.support.weight_examples import weights, write


@pytest.fixture(autouse=True)
def _categories(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of ImageNet's classes, which would be asked from a framework."""
    monkeypatch.setattr(sources, "imagenet_categories", lambda: ("class",) * 1000)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_is_opened_with_its_facts_and_prepared(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.safetensors", weights())
    found, prepared = open_weights(str(path))
    facts = found.facts
    assert (facts.name, facts.sha256, facts.variant) == ("mine", sha256(path), "mixed")
    assert facts.layers == ("conv1", "conv2", "conv2_bn", "dense1", "dense2")
    assert (facts.head, facts.classes, facts.input_size) == ("source", 6, 20)
    assert (facts.preprocessing.size, facts.categories, facts.notes) == (20, (), "")
    again = Pretrained.load(prepared)
    assert again.facts == facts
    assert set(again.tensors) == set(weights())
    for name, tensor in weights().items():
        assert again.tensors[name].tobytes() == found.tensors[name].tobytes() == tensor.tobytes()


def test_npz_is_read_as_well(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **weights())
    found, _ = open_weights(str(tmp_path / "mine.npz"))
    assert (found.facts.name, found.facts.variant) == ("mine", "mixed")
    assert all(np.array_equal(found.tensors[k], v) for k, v in weights().items())


def test_preprocessing_follows_the_variant(tmp_path: Path) -> None:
    trunk = {"torchvision": TORCHVISION, "imagenet-lrn": BVLC, "imagenet-bn": BVLC}
    for name, wanted in trunk.items():
        tensors = weights(name, "conv1", "conv1_bn", "conv2")
        found, _ = open_weights(str(write(tmp_path / f"{name}.safetensors", tensors)))
        assert (found.facts.variant, found.facts.preprocessing) == (name, wanted)
    tensors = weights("cifar-bn", "conv1", "conv1_bn", "conv2", "conv2_bn", "conv3", "conv3_bn")
    found, _ = open_weights(str(write(tmp_path / "cifar.safetensors", tensors)))
    assert (found.facts.variant, found.facts.preprocessing) == ("cifar-bn", CIFAR10)
    assert (CIFAR10.size, CIFAR10.mean) == (32, (0.4914, 0.4822, 0.4465))


def test_torchvisions_names_are_read(tmp_path: Path) -> None:
    tensors = weights("torchvision", "conv1", "conv3")
    names = published_names(tensors, "torchvision", "source")
    assert "features.6.weight" in names.values()
    found, _ = open_weights(str(write(tmp_path / "tv.safetensors", renamed(tensors, names))))
    assert found.facts.layers == ("conv1", "conv3")
    assert np.array_equal(found.tensors["conv3.weight"], tensors["conv3.weight"])


def test_facts_in_a_file_are_read_back(tmp_path: Path) -> None:
    first, _ = open_weights(str(write(tmp_path / "one.safetensors", weights())))
    told = replace(
        first.facts,
        name="named",
        categories=tuple("abcdef"),
        notes="noted",
        preprocessing=replace(TORCHVISION, size=20, resize=21, interpolation="bicubic", stored=19),
    )
    Pretrained(told, first.tensors).save(tmp_path / "two.safetensors")
    found, _ = open_weights(str(tmp_path / "two.safetensors"))
    assert found.facts == replace(told, sha256=sha256(tmp_path / "two.safetensors"))


def test_the_variant_can_come_from_the_file_or_the_user(tmp_path: Path) -> None:
    tensors = weights("cifar-lrn", "conv1")
    path = write(tmp_path / "a.safetensors", tensors, variant="cifar-plain")
    assert open_weights(str(path))[0].facts.variant == "cifar-plain"
    path = write(tmp_path / "b.safetensors", tensors)
    with pytest.raises(UserError, match="fits cifar-bn, cifar-lrn, cifar-bn2, cifar-plain"):
        open_weights(str(path))
    for name in ("cifar-lrn", "cifar-plain"):  # not one from the other's copy in the cache
        assert open_weights(str(path), named=name)[0].facts.variant == name


@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_other_floats_become_float32_and_that_is_noted(tmp_path: Path, kind: str) -> None:
    tensors = {name: array.astype(kind) for name, array in weights().items()}
    found, _ = open_weights(str(write(tmp_path / "a.safetensors", tensors)))
    assert found.facts.notes == f"converted from {kind} to float32"
    for name, array in tensors.items():
        assert found.tensors[name].dtype == np.float32
        assert np.array_equal(found.tensors[name], array.astype(np.float32))


def test_bfloat16_becomes_float32_and_that_is_noted(tmp_path: Path) -> None:
    upper = {name: array.view("<u4") >> 16 for name, array in weights().items()}
    content, header, at = b"", {}, 0
    for name, bits in upper.items():
        data = bits.astype("<u2").tobytes()
        offsets = [at, at + len(data)]
        header[name] = {"dtype": "BF16", "shape": bits.shape, "data_offsets": offsets}
        content, at = content + data, at + len(data)
    told = json.dumps(header).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(told)) + told + content)
    found, _ = open_weights(str(tmp_path / "a.safetensors"))
    assert found.facts.notes == "converted from bfloat16 to float32"
    for name, bits in upper.items():
        assert np.array_equal(found.tensors[name].view("<u4"), bits.astype("<u4") << 16)


def changed(name: str, array: Any) -> dict[str, Any]:
    return weights() | {name: array}


def with_nan() -> Any:
    array = weights()["dense1.weight"]
    array[3, 4] = np.nan
    return array


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (changed("conv1.bias", np.zeros(8, np.int32)), "conv1.bias is int32; floats of 16, 32"),
        (changed("dense1.weight", with_nan()), "dense1.weight: 1 of 4800 values are not finite"),
        (changed("conv1.bias", np.full(8, 1e300)), "conv1.bias: 8 of 8 values are not finite"),
        (changed("conv1.bias", np.zeros(9, np.float32)), "conv1.bias is (9,), expected (8,)"),
        (changed("conv7.bias", np.zeros(9, np.float32)), "conv7.bias (9,) has no place in it"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    tmp_path: Path, tensors: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "wrong.safetensors", tensors)
    with pytest.raises(UserError) as caught:
        open_weights(str(path))
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


FACTS: dict[str, Any] = {"name": "x", "variant": "mixed"}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"variant": "alexnet"}, "unknown variant 'alexnet'; known: cifar-bn"),
        ({"variant": "torchvision"}, "torchvision"),
        ({"alexbench": "{"}, "are not JSON"),
        ({"alexbench": "[]"}, "are not an object with name"),
        ({"alexbench": json.dumps(FACTS | {"name": 3})}, "are not an object with name"),
        ({"alexbench": json.dumps(FACTS | {"head": "big"})}, "unknown head 'big'"),
        ({"alexbench": json.dumps(FACTS | {"categories": ["a"]})}, "1 categories, and it has 6"),
        ({"alexbench": json.dumps(FACTS | {"categories": 3})}, "no list of names"),
        ({"alexbench": json.dumps(FACTS | {"preprocessing": {}})}, "say no preprocessing"),
        (
            {"alexbench": json.dumps(FACTS | {"preprocessing": {**vars(CIFAR10), "std": [0] * 3}})},
            "say no preprocessing",
        ),
    ],
)
def test_invalid_facts_are_refused(tmp_path: Path, metadata: dict[str, str], message: str) -> None:
    path = write(tmp_path / "wrong.safetensors", weights(), **metadata)
    with pytest.raises(UserError) as caught:
        open_weights(str(path))
    assert message in str(caught.value)


class Planted:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_in_an_npz_is_not_executed(tmp_path: Path) -> None:
    planted = tmp_path / "ran"
    np.savez(tmp_path / "evil.npz", a=np.array([Planted(planted)], object))
    with pytest.raises(UserError, match=r"holds a pickle, which could run code.*nothing was run"):
        open_weights(str(tmp_path / "evil.npz"))
    assert not planted.exists()
    with np.load(tmp_path / "evil.npz", allow_pickle=True) as archive:
        assert archive["a"] is not None
    assert planted.exists()  # it would have


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".keras", ".weights.h5"])
@pytest.mark.parametrize("kept", [0, 100, -100])
def test_damaged_files_are_one_line(tmp_path: Path, suffix: str, kept: int) -> None:
    whole = write(tmp_path / "whole.safetensors", weights())
    if suffix == ".npz":
        whole = tmp_path / "whole.npz"
        np.savez(whole, **weights())
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(whole.read_bytes()[:kept])
    with pytest.raises(UserError) as caught:
        open_weights(str(path))
    assert str(caught.value).startswith(f"{path}: not a whole ")
    assert "get it again" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere.pth", "weights nowhere.pth: no such file; give a file"),
        (".", "a folder; give a file of weights or one of torchvision, bvlc"),
        ("torchvision", "no such file; alexbench fetch weights downloads it; or give a file"),
        ("imagenet", "no such file; alexbench fetch weights downloads it; or give a file"),
        ("bvlc", "no such file; set $ALEXBENCH_DATA to the folder that has bvlc-alexnet-trunk"),
        ("some.hdf", "some.hdf: unknown format of weights; known: .safetensors, .npz"),
    ],
)
def test_missing_sources_name_the_way_to_get_them(spec: str, message: str) -> None:
    Path("some.hdf").touch()
    with pytest.raises(UserError) as caught:
        open_weights(spec)
    assert message in str(caught.value)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_saved_file_can_be_read_by_whom_the_mask_says(
    tmp_path: Path, mask: int, mode: int
) -> None:
    found, _ = open_weights(str(write(tmp_path / "own.safetensors", weights())))
    before = os.umask(mask)
    try:
        found.save(tmp_path / "new.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "new.safetensors").stat().st_mode & 0o777 == mode


def test_a_prepared_copy_is_reused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors", weights())
    first, prepared = open_weights(str(path))
    with monkeypatch.context() as patched:
        patched.setattr(sources, "read", lambda path: pytest.fail("was read again"))
        second, same = open_weights(str(path))
    assert (second.facts, same) == (first.facts, prepared)
    assert np.array_equal(second.tensors["conv1.weight"], first.tensors["conv1.weight"])
    prepared.write_bytes(prepared.read_bytes()[:-1])
    assert open_weights(str(path))[0].facts == first.facts
    assert Pretrained.load(prepared).facts == first.facts  # made again


def test_another_file_of_the_same_name_is_another_source(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors", weights())
    first, _ = open_weights(str(path))
    write(path, weights(classes=4))
    second, _ = open_weights(str(path))
    assert second.facts.classes == 4
    assert second.facts.label != first.facts.label


def test_an_unwritable_cache_is_replaced_by_a_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ALEXBENCH_CACHE", str(tmp_path / "file"))
    found, prepared = open_weights(str(write(tmp_path / "a.safetensors", weights())))
    assert Pretrained.load(prepared).facts == found.facts


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(self: Pretrained, path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Pretrained, "save", full)
    with pytest.raises(UserError, match=r"the disk is full.*\$ALEXBENCH_CACHE"):
        open_weights(str(write(tmp_path / "a.safetensors", weights())))


def test_errors_of_saving_are_oserrors(tmp_path: Path) -> None:
    found, _ = open_weights(str(write(tmp_path / "a.safetensors", weights())))
    with pytest.raises(FileNotFoundError):
        found.save(tmp_path / "nowhere" / "a.safetensors")


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file that takes the place of BVLC's."""
    (tmp_path / "data").mkdir()
    tensors = weights("imagenet-lrn", *SOURCES["bvlc"].layers)
    path = write(tmp_path / "data" / SOURCES["bvlc"].file, tensors)
    source = replace(SOURCES["bvlc"], checksum=f"sha256:{sha256(path)}")
    monkeypatch.setitem(SOURCES, "bvlc", source)
    return path


@pytest.mark.parametrize("named", ["folder", "file beside it"])
def test_a_source_by_name_is_found_next_to_the_data(
    monkeypatch: pytest.MonkeyPatch, planted: Path, named: str
) -> None:
    (planted.parent / "cifar.tar").touch()
    there = planted.parent if named == "folder" else planted.parent / "cifar.tar"
    monkeypatch.setenv("ALEXBENCH_DATA", str(there))
    found, _ = open_weights("bvlc")
    assert (found.facts.name, found.facts.variant) == ("bvlc", "imagenet-lrn")
    assert found.facts.layers == ("conv1", "conv2", "conv3", "conv4", "conv5")
    assert found.facts.preprocessing == BVLC
    assert "rounded to multiples of 1/256" in found.facts.notes


def test_a_copy_of_a_sources_file_is_that_source(planted: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(planted.read_bytes())
    facts = open_weights(str(copy))[0].facts
    assert facts.label == f"bvlc@{sha256(planted)[:8]}"
    assert "1/256" in facts.notes


def test_a_source_with_a_wrong_checksum_is_refused(
    monkeypatch: pytest.MonkeyPatch, planted: Path
) -> None:
    monkeypatch.setenv("ALEXBENCH_DATA", str(planted.parent))
    write(planted, weights("imagenet-lrn", "conv1"))
    with pytest.raises(UserError, match=r"weights bvlc: wrong checksum of .*expected sha256:"):
        open_weights("bvlc")


def test_the_real_trunk_has_the_registered_checksum() -> None:
    there = sources.SOURCES["bvlc"].path()
    if not os.environ.get("ALEXBENCH_DATA") or not there.is_file():
        pytest.skip(f"$ALEXBENCH_DATA has no {there.name}")
    found, _ = open_weights("bvlc")
    assert found.tensors["conv1.weight"].shape == (96, 3, 11, 11)
    assert np.all(found.tensors["conv4.weight"] * 256 % 1 == 0)


def test_torchvisions_file_is_found_in_the_caches_and_next_to_the_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("ALEXBENCH_DATA", str(tmp_path))
    source = SOURCES["torchvision"]
    places = [
        tmp_path / "torch" / "hub" / "checkpoints" / source.file,
        tmp_path / source.file,
        cache_folder() / "downloads" / source.file,
    ]
    assert source.path() == places[2]
    for place in places:  # each of them before those that are there already
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"x")
        assert source.path() == place


def test_the_first_source_that_can_be_read_is_available(
    monkeypatch: pytest.MonkeyPatch, planted: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("ALEXBENCH_DATA", str(planted.parent))
    names = ("torchvision", "bvlc")
    found = sources.available(names)
    assert found is not None
    assert found.name == "bvlc"
    broken = planted.parent / SOURCES["torchvision"].file
    broken.write_bytes(b"not torchvision's")  # passed over
    assert sources.available(names) == found
    planted.unlink()
    assert sources.available(names) is None


def test_without_a_network_nothing_is_fetched_and_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALEXBENCH_WEIGHTS_URL", "http://127.0.0.1:9/weights.pth")
    with pytest.raises(UserError, match=r"127\.0\.0\.1.*cannot be reached"):
        sources.fetch_published(("bvlc", "torchvision"))
    with pytest.raises(UserError, match="can be downloaded"):
        sources.fetch_published(("bvlc",))


def test_rows_describe_every_source(monkeypatch: pytest.MonkeyPatch, planted: Path) -> None:
    monkeypatch.setenv("ALEXBENCH_DATA", str(planted.parent))
    rows = {row["name"]: row for row in sources.rows()}
    assert list(rows) == list(SOURCES)
    assert rows["bvlc"]["available"] is True
    assert rows["torchvision"]["available"] is False
    assert rows["torchvision"]["preprocessing"] == TORCHVISION.to_json()
    assert rows["torchvision"]["checksum"] == "sha256:7be5be79"
    assert json.loads(json.dumps(list(rows.values())))
    assert [row["name"] for row in sources.brief()] == list(rows)


def test_a_last_layer_of_its_own_has_no_names_of_imagenet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "for_files", lambda suffix: object())
    for head, named in (("source", True), ("replace-last", False), ("narrow", False)):
        own = {"variant": "torchvision", "head": head, "classes": 1000, "categories": ()}
        found, _ = open_weights(str(write(tmp_path / f"{head}.safetensors", weights())))
        changed = replace(found, facts=replace(found.facts, **own))
        assert sources._lacks_categories(changed) is named
