"""Sources of weights, by name or path, converted to the one format that workers read.

A source with a name is a row of `SOURCES`; any file that :mod:`bench.weights.files` reads is one.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import __version__
from bench.core.cache import cache_folder, damaged, keep, recall, temporary_folder, writable
from bench.core.download import check_reachable, file_checksum
from bench.core.errors import UserError, kind_of, notice
from bench.core.files import expanded, temporary_directory
from bench.networks.preprocessing import BVLC, TORCHVISION, Preprocessing
from bench.networks.pretrained import Facts, Pretrained
from bench.training.frameworks import for_files
from bench.weights.facts import interpret
from bench.weights.files import read
from bench.weights.identify import AmbiguousError
from bench.weights.reading import AS_IT_IS, Reading
from bench.worker.client import call

_FORMAT = 4  # raise it when older prepared copies must not be used any more
_TORCHVISION_URL = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
"""Where torchvision downloads from: asked before a worker is started for it."""
_TRUNK = ("conv1", "conv2", "conv3", "conv4", "conv5")


@dataclass(frozen=True)
class Source:
    """A source of weights with a name.

    Attributes:
        name: On the command line and in records.
        variant: The network that the weights belong to.
        layers: Layers that have weights, in order.
        preprocessing: Of the images that the weights were trained on.
        checksum: ``sha256:`` and its first digits, as many as the publisher states.
        file: Name of the file.
        notes: Provenance, licence and precision.
        downloadable: Whether `fetch_weights` downloads the file; else it is expected next to the
            data that ``$ALEXBENCH_DATA`` names.
    """

    name: str
    variant: str
    layers: tuple[str, ...]
    preprocessing: Preprocessing
    checksum: str
    file: str
    notes: str
    downloadable: bool = False

    def is_checksum(self, sha256: str) -> bool:
        """Whether a file with this sha256 is the published one."""
        return sha256.startswith(self.checksum.removeprefix("sha256:"))

    def path(self) -> Path:
        """Its file; where it is expected first, if it is nowhere."""
        places = list(self._places())
        return next((place for place in places if place.is_file()), places[0])

    def _places(self) -> Iterator[Path]:
        """Where its file may be: a downloaded one in the cache or in that of torch.hub, any one
        next to the data or in their folder."""
        if self.downloadable:
            yield cache_folder() / "downloads" / self.file
        named = expanded(os.environ.get("ALEXBENCH_DATA") or ".")
        yield (named if named.is_dir() else named.parent) / self.file
        if not self.downloadable:
            yield cache_folder() / "downloads" / self.file
            return
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        with suppress(UserError):  # no home: torch has none either
            home = expanded(os.environ.get("TORCH_HOME") or f"{base}/torch")
            yield home / "hub" / "checkpoints" / self.file


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


_ALIASES = {"imagenet": "torchvision"}
"""Names of the library (`bench.networks.library`), which people type here, too."""


def open_weights(
    spec: str, *, named: str | None = None, reading: Reading = AS_IT_IS
) -> tuple[Pretrained, Path]:
    """Open weights by name or path, and prepare them for workers.

    What was dropped and matched in a file of another program is said in a line on stderr.

    Args:
        spec: A name in `SOURCES`, or the path of a file.
        named: The variant, where a file fits several.
        reading: What else the user says about the file.

    Returns:
        The weights, and the path of the prepared copy: in the cache, or where that cannot be
        written in a temporary folder that is removed with this process.

    Raises:
        UserError: The source is missing, damaged or of an unknown network, or the disk is full.
    """
    path, source = locate(spec)
    sha256 = _sha256(path)
    if source and not source.is_checksum(sha256):
        raise UserError(
            f"weights {spec}: wrong checksum of {path}: expected {source.checksum}, "
            f"received sha256:{sha256}; get the file again"
        )
    source = source or next((s for s in SOURCES.values() if s.is_checksum(sha256)), None)
    reading = replace(reading, named=named or reading.named)
    try:  # a copy of all that is there serves those who would take a part
        found, file = _opened(path, source, sha256, replace(reading, partial=False))
    except AmbiguousError:
        raise
    except UserError:
        if not reading.partial:
            raise
        found, file = _opened(path, source, sha256, reading)
    if found.facts.matched:
        facts = found.facts
        network = facts.variant if facts.head == "source" else f"{facts.variant}, head {facts.head}"
        notice(f"{path}: read as {network}; {'; '.join(facts.matched)}")
    return found, file


def _opened(
    path: Path, source: Source | None, sha256: str, reading: Reading
) -> tuple[Pretrained, Path]:
    """The weights of a file, from their prepared copy where there is one."""
    name = source.name if source else os.fsencode(path.name)
    key = hashlib.sha256(f"{_FORMAT} {__version__} {name!r} {reading}".encode()).hexdigest()[:8]
    file = Path("weights") / f"{sha256[:32]}-{key}.safetensors"
    cached = _cached(writable(cache_folder()) / file)
    if cached is not None and not _lacks_categories(cached):
        return cached, writable(cache_folder()) / file
    if source:
        reading = replace(reading, named=reading.named or source.variant)
    found = interpret(read(path, reading.key), path, sha256, reading)
    if source:
        found = replace(found, facts=_published(source, found.facts))
    found = _with_categories(found)
    return found, _cache(found, file)


def locate(spec: str) -> tuple[Path, Source | None]:
    """The file of a source or path, with the row where ``spec`` is a name.

    Raises:
        UserError: There is no such file; the message says how to get it.
    """
    source = SOURCES.get(_ALIASES.get(spec, spec))
    path = source.path() if source else expanded(spec)
    if path.is_file():
        return path, source
    if source and source.downloadable:
        hint = "alexbench fetch weights downloads it; or give a file of weights"
    elif source:
        hint = f"set $ALEXBENCH_DATA to the folder that has {source.file}"
    else:
        known = ", ".join(SOURCES)
        hint = f"give a file of weights or one of {known}"
    what = "a folder" if path.is_dir() else "no such file"
    place = spec if str(path) == spec else f"{spec}: {path}"
    raise UserError(f"weights {place}: {what}; {hint}")


def available(names: Iterable[str]) -> Source | None:
    """The first of these sources whose file is there and can be read; None where none is.

    Nothing is downloaded, and a file that cannot be used is passed over.
    """
    for name in names:
        if SOURCES[name].path().is_file():
            try:
                open_weights(name)
            except UserError:
                continue
            return SOURCES[name]
    return None


def fetch_published(names: Iterable[str]) -> None:
    """Download the first of these sources that can be.

    Raises:
        UserError: None can be, or the network or the disk fails: at once without a network.
    """
    for name in names:
        if SOURCES[name].downloadable:
            check_reachable(os.environ.get("ALEXBENCH_WEIGHTS_URL") or _TORCHVISION_URL)
            fetch_weights()
            return
    raise UserError("none of them can be downloaded")


def how_to_get(names: Iterable[str]) -> str:
    """How to get one of these sources, in a few words."""
    ways = [
        "`alexbench fetch weights` downloads torchvision's"
        if SOURCES[name].downloadable
        else f"$ALEXBENCH_DATA may name a folder with {SOURCES[name].file}"
        for name in names
    ]
    return ", or ".join(ways)


def fetch_weights(progress: bool = True) -> Path:
    """Torchvision's file of weights in the cache, downloaded where it is not there yet.

    ``$ALEXBENCH_WEIGHTS_URL`` names a mirror, whose file must have the same checksum. An
    interrupted download leaves nothing.

    Raises:
        UserError: PyTorch is not installed, the download fails, or the checksum is wrong.
    """
    source = SOURCES["torchvision"]
    if source.path().is_file() and source.is_checksum(_sha256(source.path())):
        return source.path()
    target = cache_folder() / "downloads" / source.file
    target.unlink(missing_ok=True)
    folder = target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be made ({error.strerror}); set $ALEXBENCH_CACHE to a folder that "
            "can be written"
        ) from error
    url = os.environ.get("ALEXBENCH_WEIGHTS_URL")
    with temporary_directory(folder) as part:
        wanted = {"folder": part, "file": source.file, "url": url, "progress": progress}
        call(for_files(".pth"), "fetch", show_stderr=progress, **wanted)
        fetched = Path(part) / source.file
        if not source.is_checksum(_sha256(fetched)):
            raise UserError(f"{target}: wrong checksum, expected {source.checksum}; fetch it again")
        os.replace(fetched, target)
    return target


def rows() -> list[dict[str, Any]]:
    """All sources with a name, for ``alexbench list --json``."""
    return [
        {
            "name": source.name,
            "variant": source.variant,
            "layers": list(source.layers),
            "preprocessing": source.preprocessing.to_json(),
            "checksum": source.checksum,
            "available": source.path().is_file(),
            "notes": source.notes,
        }
        for source in SOURCES.values()
    ]


def brief() -> list[dict[str, Any]]:
    """The same in a few words each, for the table of ``alexbench list``."""
    return [
        {
            "name": source.name,
            "variant": source.variant,
            "layers": f"{source.layers[0]} to {source.layers[-1]}",
            "pixels": f"{source.preprocessing.size}², 0 to {source.preprocessing.pixel_range:g}",
            "checksum": source.checksum[: len("sha256:") + 8],
            "available": source.path().is_file(),
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


def _cached(path: Path) -> Pretrained | None:
    """The prepared copy; None where there is none or it is damaged.

    Its digest takes 0.2 s of processor time for 250 MB.
    """
    if not path.is_file():
        return None
    try:
        if recall(_digest_of(path), path.name) == file_checksum(path, "sha256:"):
            return Pretrained.load(path)
    except (UserError, OSError):
        pass
    damaged(path)
    return None


def _digest_of(path: Path) -> Path:
    """The file that has the digest of a prepared copy."""
    return path.with_suffix(".json")


def _lacks_categories(found: Pretrained) -> bool:
    """Whether the logits have no names although torchvision, which has them, is installed."""
    facts = found.facts
    # A last layer of its own may have as many classes: they are not ImageNet's.
    own = facts.head == "source" and not facts.categories
    nameless = own and facts.variant == "torchvision" and facts.classes == 1000
    try:
        return nameless and for_files(".pth") is not None
    except UserError:
        return False


def _with_categories(found: Pretrained) -> Pretrained:
    if not _lacks_categories(found):
        return found
    return replace(found, facts=replace(found.facts, categories=imagenet_categories()))


@functools.cache
def imagenet_categories() -> tuple[str, ...]:
    """Names of ImageNet's 1000 classes from torchvision; UserError where it is not installed."""
    return tuple(call(for_files(".pth"), "categories")["categories"])


def _cache(found: Pretrained, file: Path) -> Path:
    """Write the prepared copy: to the cache, or to a temporary folder where that fails."""
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
            raise kind_of(error)(
                f"{target}: cannot be written ({reason}); make room, or set $ALEXBENCH_CACHE to a "
                "folder with 250 MB free"
            ) from error
    return target


def _write(found: Pretrained, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_directory(target.parent) as folder:  # of this process alone
        fresh = Path(folder) / target.name
        found.save(fresh)
        digest = file_checksum(fresh, "sha256:")
        os.replace(fresh, target)
    keep(_digest_of(target), target.name, digest)
