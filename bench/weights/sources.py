"""Weight sources by name or path, brought into the one form that workers read.

A source that is known by name is a row of `SOURCES`; any file that `weight_files` reads is one too.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import __version__
from bench.core.cache import cache_folder, temporary_folder, writable
from bench.core.download import file_checksum
from bench.core.errors import UserError
from bench.networks.preprocessing import BVLC, TORCHVISION, Preprocessing
from bench.networks.pretrained import Facts, Pretrained
from bench.training.frameworks import for_files
from bench.weights.facts import interpret
from bench.weights.files import read
from bench.worker import files

_FORMAT = 1  # raise it when prepared copies of before must not be used any more
_TRUNK = ("conv1", "conv2", "conv3", "conv4", "conv5")


@dataclass(frozen=True)
class Source:
    """A set of weights that can be asked for by name."""

    name: str
    variant: str
    layers: tuple[str, ...]
    preprocessing: Preprocessing
    checksum: str
    """``sha256:`` and its first digits, as many as the publisher states."""
    file: str
    notes: str
    downloadable: bool = False
    """Whether `fetch_weights` gets it; else it lies beside the data that $ALEXBENCH_DATA names."""

    def is_checksum(self, sha256: str) -> bool:
        """Whether a file with this sha256 is the published one."""
        return sha256.startswith(self.checksum.removeprefix("sha256:"))

    def path(self) -> Path:
        """Where its file lies, or would."""
        if self.downloadable:
            return cache_folder() / "downloads" / self.file
        named = Path(os.environ.get("ALEXBENCH_DATA") or ".").expanduser()
        return (named if named.is_dir() else named.parent) / self.file


SOURCES = {
    source.name: source
    for source in (
        Source(
            "torchvision",
            "torchvision",
            (*_TRUNK, "dense1", "dense2", "dense3"),
            TORCHVISION,
            "sha256:7be5be79",  # in the file's name, which torchvision checks
            "alexnet-owt-7be5be79.pth",
            "torchvision.models.AlexNet_Weights.IMAGENET1K_V1, trained on ImageNet-1k",
            downloadable=True,
        ),
        Source(
            "bvlc",
            "imagenet-lrn",
            _TRUNK,
            BVLC,
            "sha256:f3a2696fecfd32b651a89234bc17d6487e302dbe8d4e19e656ee22d9a3391a9f",
            "bvlc-alexnet-trunk.safetensors",
            "BVLC AlexNet (Caffe), trained on ImageNet-1k, convolutions only; conv4's weights are "
            "rounded to multiples of 1/256; released by BVLC for unrestricted use, conv4 from "
            "KhronosGroup/OpenVX-cts (Apache-2.0)",
        ),
    )
}


def open_weights(spec: str, *, named: str | None = None) -> tuple[Pretrained, Path]:
    """The weights that ``spec`` names, and where they lie in the form that workers read.

    ``spec`` is a name in `SOURCES` or the path of a file. ``named`` says the variant where a file
    fits several. The prepared copy is kept in the cache, or where that cannot be written in a
    temporary folder that goes with this process. Raises UserError where the source is not there,
    damaged, of no network that is known, or the disk is full.
    """
    path, source = locate(spec)
    sha256 = _sha256(path)
    if source and not source.is_checksum(sha256):
        raise UserError(
            f"weights {spec}: wrong checksum of {path}: expected {source.checksum}, "
            f"received sha256:{sha256}; get the file anew"
        )
    source = source or next((s for s in SOURCES.values() if s.is_checksum(sha256)), None)
    name = source.name if source else path.name
    key = hashlib.sha256(f"{_FORMAT} {__version__} {name} {named}".encode()).hexdigest()[:8]
    file = Path("weights") / f"{sha256[:32]}-{key}.safetensors"
    kept = _kept(writable(cache_folder()) / file)
    if kept is not None and not _lacks_categories(kept):
        return kept, writable(cache_folder()) / file
    found = interpret(read(path), path, sha256, named or (source.variant if source else None))
    if source:
        found = replace(found, facts=_published(source, found.facts))
    found = _with_categories(found)
    return found, _keep(found, file)


def locate(spec: str) -> tuple[Path, Source | None]:
    """The file of a source or path, with the row when it was asked for by name.

    Raises UserError that says how to go on where there is none.
    """
    source = SOURCES.get(spec)
    path = source.path() if source else Path(spec).expanduser()
    if path.is_file():
        return path, source
    if source and source.downloadable:
        hint = "alexbench fetch weights downloads it"
    elif source:
        hint = f"set $ALEXBENCH_DATA to the folder that has {source.file}"
    else:
        known = ", ".join(SOURCES)
        hint = f"give a file of weights or one of {known}"
    what = "a folder" if path.is_dir() else "no such file"
    raise UserError(f"weights {spec}: {path}: {what}; {hint}")


def fetch_weights(progress: bool = True) -> Path:
    """The file of torchvision's weights in the cache, downloaded where it is not there yet.

    $ALEXBENCH_WEIGHTS_URL names a mirror; the checksum stays. An interrupted download leaves
    nothing. Raises UserError where PyTorch is not installed, the download fails, or its checksum
    is wrong.
    """
    source = SOURCES["torchvision"]
    target = source.path()
    if target.is_file():
        if source.is_checksum(_sha256(target)):
            return target
        target.unlink()
    folder = target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be made ({error.strerror}); set $ALEXBENCH_CACHE to a folder that "
            "can be written"
        ) from error
    url = os.environ.get("ALEXBENCH_WEIGHTS_URL")
    asked = {"folder": str(folder), "file": source.file, "url": url, "progress": progress}
    files.ask(for_files(".pth"), "fetch", shown=progress, **asked)
    if not source.is_checksum(_sha256(target)):
        target.unlink()
        raise UserError(f"{target}: wrong checksum, expected {source.checksum}; fetch it again")
    return target


def rows() -> list[dict[str, Any]]:
    """What is known of every source by name, for `alexbench list`."""
    return [
        {
            "name": source.name,
            "variant": source.variant,
            "layers": list(source.layers),
            "preprocessing": source.preprocessing.to_json(),
            "checksum": source.checksum,
            "here": source.path().is_file(),
            "notes": source.notes,
        }
        for source in SOURCES.values()
    ]


def brief() -> list[dict[str, Any]]:
    """The same in a few words each, for a table."""
    return [
        {
            "name": source.name,
            "variant": source.variant,
            "layers": f"{source.layers[0]} to {source.layers[-1]}",
            "pixels": f"{source.preprocessing.size}², 0 to {source.preprocessing.pixel_range:g}",
            "checksum": source.checksum[: len("sha256:") + 8],
            "here": source.path().is_file(),
        }
        for source in SOURCES.values()
    ]


def _sha256(path: Path) -> str:
    try:
        return file_checksum(path, "sha256:").removeprefix("sha256:")
    except OSError as error:
        raise UserError(f"weights {path}: cannot be read ({error.strerror})") from error


def _published(source: Source, facts: Facts) -> Facts:
    notes = "; ".join(filter(None, (source.notes, facts.notes)))
    return replace(facts, name=source.name, preprocessing=source.preprocessing, notes=notes)


def _kept(path: Path) -> Pretrained | None:
    """The prepared copy, or None where there is none that is whole."""
    try:
        return Pretrained.load(path) if path.is_file() else None
    except UserError:
        return None


def _lacks_categories(found: Pretrained) -> bool:
    """Whether the logits have no names, and somebody here could give them."""
    facts = found.facts
    nameless = facts.variant == "torchvision" and facts.classes == 1000 and not facts.categories
    try:
        return nameless and for_files(".pth") is not None
    except UserError:
        return False


def _with_categories(found: Pretrained) -> Pretrained:
    if not _lacks_categories(found):
        return found
    return replace(found, facts=replace(found.facts, categories=_imagenet_categories()))


@functools.cache
def _imagenet_categories() -> tuple[str, ...]:
    return tuple(files.ask(for_files(".pth"), "categories")["categories"])


def _keep(found: Pretrained, file: Path) -> Path:
    """Write the prepared copy, whole or not at all; elsewhere where the cache does not take it."""
    target = writable(cache_folder()) / file
    try:
        _write(found, target)
    except OSError:  # full, perhaps; the temporary folder may lie on another disk
        target = temporary_folder() / file
        try:
            _write(found, target)
        except OSError as error:
            full = error.errno == errno.ENOSPC
            reason = "the disk is full" if full else error.strerror or error
            raise UserError(
                f"{target}: cannot be written ({reason}); make room, or set $ALEXBENCH_CACHE to a "
                "folder with 250 MB free"
            ) from error
    return target


def _write(found: Pretrained, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:  # nobody else writes there
        fresh = Path(folder) / target.name
        found.save(fresh)
        os.replace(fresh, target)
