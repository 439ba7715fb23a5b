"""Reader of a dataset's files, from a tar archive or a folder, into memory.

Names from an archive never become paths on disk: members are read as streams, and only those
whose names a known form of dataset uses are read. Decoding is left to `cifar_batches` and
`image_folders`. Archives are not trusted: nothing is allocated for a size that is only declared.
"""

import bz2
import gzip
import hashlib
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from bench.core.errors import UserError, notice
from bench.core.text import printable
from bench.data.pixels import SUFFIXES

FORMS = (
    "an archive or folder with data_batch_1.bin … test_batch.bin, with data_batch_1 … test_batch, "
    "or with train/<class>/*.png|jpg and test/<class>/*.png|jpg"
)
ARCHIVE_SUFFIXES = (*(".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".zip"),)

WHOLE_CIFAR10 = {
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd": "cifar-10-binary.tar.gz",
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce": "cifar-10-python.tar.gz",
    "9fb91373d86fdca0f9ae133a523c3ffae854190230e12c7120647dc8ba41906a": "CIFAR-10 (JPEG 75)",
}
"""sha256 of archives that have all 60,000 images, and what they are: the two official ones, and the
images encoded again that `sources.JPEG75_DIGEST` is of."""

# CIFAR-10 unpacks to 180 MB and 60,000 files; these leave room and stop an archive that was made
# to fill the memory.
MAX_UNPACKED_BYTES = 2 * 1024**3
MAX_FILE_BYTES = 512 * 1024**2
MAX_MEMBERS = 300_000
MAX_HEADER_BYTES = 64 * 1024  # of an extended header, which holds a long name

_PART = r"(?!__MACOSX/)[^/.][^/]*"  # a name that is not hidden, and neither . nor ..
_IMAGE = rf"{_PART}\.(?i:{'|'.join(suffix[1:] for suffix in SUFFIXES)})"
_BATCH = r"(?:data_batch_\d+|test_batch)(?:\.bin)?|batches\.meta(?:\.txt)?"
_SPLIT = r"(?i:train|training|test|testing|val|valid|validation)"
_TOP = rf"(?:(?P<top>{_PART}(?:/{_PART}){{0,2}})/)??"  # folders around the dataset
# A class may be called as a split (a train), but not with folders of its own.
_CLASS = rf"(?:{_PART}|(?!{_SPLIT}/){_PART}(?:/{_PART}){{1,3}})"
_IMAGE_NAME, _BATCH_NAME = re.compile(_IMAGE), re.compile(_BATCH)
_SPLIT_NAME = re.compile(_SPLIT)
_WANTED = re.compile(rf"{_TOP}(?P<path>{_BATCH}|(?P<split>{_SPLIT})/{_CLASS}/{_IMAGE})")
_CLASS_FOLDER = re.compile(rf"{_TOP}(?P<path>(?P<split>{_SPLIT})/{_PART})")
_UNSPLIT = re.compile(rf"{_TOP}(?P<path>(?!{_SPLIT}/){_PART}/{_IMAGE})")
_WITHOUT_CLASS = re.compile(rf"{_TOP}(?P<split>{_SPLIT})/{_IMAGE}")
_OTHER_FILE = re.compile(rf"{_TOP}{_SPLIT}/(?:{_PART}/){{1,4}}(?P<file>[^/.][^/]*)")
_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_CIFAR_100 = re.compile(r"(?:.*/)?(?:cifar-100[^/]*/.*|fine_label_names\.txt)")
_DECODER_ERRORS = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError, ValueError)
_PACKED = (b"\x1f\x8b", b"\xfd7zXZ", b"BZh", b"PK")
_WEB_PAGE = "a web page, as a download that failed leaves it; get the file again"
_FOREIGN = (
    (b"<!doctype", _WEB_PAGE),
    (b"<html", _WEB_PAGE),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run git lfs pull"),
    (b"\x89hdf", "an HDF5 file"),
    (b"par1", "a Parquet file"),
    (b"\x93numpy", "an array of NumPy"),
    (b"rar!", "a RAR archive, which is not read; unpack it"),
    (b"7z\xbc\xaf", "a 7z archive, which is not read; unpack it"),
)
"""First bytes, in lower case, of files that are given instead of an archive."""
_DEEPEST = 3
"""Folders within that of a class, as in `_CLASS`."""
UNSPLIT = "all"
"""The split of images that lie in class folders alone."""
VALIDATION = "val"
"""The split of ``val``, ``valid`` or ``validation``, the test split where there is no other."""


class Entry(NamedTuple):
    """A file or folder of an archive; `content` is None where it was not read."""

    name: str
    content: bytes | None = None
    folder: bool = False


@dataclass(frozen=True)
class Bundle:
    """The dataset files found at `origin`.

    `files`: path below the top folder to content, sorted by path; the split is `train`, `test`,
    `val` or, without any, `all`. `folders`: the class folders (`train/cat`) that were seen, those
    without an image too. `skipped`: other files in these. `without_class`: images that lie in a
    split itself. `beside`: images in folders next to the splits, which none of them has.
    """

    origin: Path
    files: dict[str, bytes]
    folders: frozenset[str]
    skipped: tuple[str, ...] = ()
    without_class: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def digest(self) -> str:
        """sha256 (hex) over the sorted relative paths and contents of the files."""
        digest = hashlib.sha256()
        for name, content in self.files.items():
            path = os.fsencode(name)
            digest.update(b"%d %b %d " % (len(path), path, len(content)))
            digest.update(content)
        return digest.hexdigest()


def find_dataset(path: Path) -> Path:
    """The dataset at `path`: itself, or the only archive or dataset folder within that folder, also
    where folders of one folder each are around it.

    Among several archives it is the one that has all of CIFAR-10, which one line then says.

    Raises UserError where nothing is there, or more than one.
    """
    if not os.path.exists(path):  # unlike the method of Path, never raises
        raise UserError(f"{path}: no such file or folder; expected {FORMS}")
    denied: list[UserError] = []
    if path.is_file() or _walk(path, denied=denied):
        return path
    archives = [child for child in sorted(path.iterdir()) if _looks_like_archive(child)]
    if denied and not archives:
        raise denied[0]
    if not archives:
        if _walk(path, unsplit=True):
            return path
        if (inner := _only_folder(path)) is not None:
            return find_dataset(inner)
        raise UserError(f"{path}: {_instead(path)}; expected {FORMS}")
    classes = sorted({name.partition("/")[0] for name, _ in _class_folders(str(path), "")})
    if classes:
        names = ", ".join(map(printable, classes[:4])) + (", …" if len(classes) > 4 else "")
        notice(
            f"{path}: taken is an archive, and not the class folders next to it ({names}); to read "
            "these, move the archive away"
        )
    if len(archives) == 1:
        return archives[0]
    names = ", ".join(archive.name for archive in archives[:4])
    whole = [archive for archive in archives if _has_all_of_cifar10(archive)]
    if len(whole) != 1:
        raise UserError(f"{path}: more than one archive ({names}); give the path of one of them")
    others = ", ".join(archive.name for archive in archives if archive not in whole)
    notice(f"{path}: taken is {whole[0].name}, which has all of CIFAR-10 (also there: {others})")
    return whole[0]


def _only_folder(folder: Path) -> Path | None:
    """The one folder in a folder, apart from hidden ones; None where there is another entry."""
    usual = [c for c in folder.iterdir() if not c.name.startswith(".") and c.name != "__MACOSX"]
    return usual[0] if len(usual) == 1 and usual[0].is_dir() and not usual[0].is_symlink() else None


def _has_all_of_cifar10(archive: Path) -> bool:
    """Whether it is one of the archives of 60,000 images that are known, by its checksum."""
    try:
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return False
    return digest in WHOLE_CIFAR10


def _instead(folder: Path) -> str:
    """What is in a folder without a dataset."""
    names = [f"{folder.name}/{child.name}" for child in folder.iterdir()]
    names += [f"{child.name}/" for child in folder.iterdir() if child.is_dir()]
    python = {"train", "test", "meta"} <= {child.name for child in folder.iterdir()}
    if any(_CIFAR_100.fullmatch(name) for name in names) or (python and _all_files(folder)):
        return _IS_CIFAR_100
    for child in folder.iterdir():
        inner = child.iterdir() if child.is_dir() and _SPLIT_NAME.fullmatch(child.name) else ()
        if any(_IMAGE_NAME.fullmatch(file.name) for file in inner):
            return _no_classes(child.name)
    return "no dataset in this folder"


def _no_classes(split: str) -> str:
    return f"images lie in {split}/ itself, without folders of classes"


def _all_files(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("train", "test", "meta"))


_IS_CIFAR_100 = (
    "this is CIFAR-100, whose batches have two labels an image and are not read; unpack its images "
    "into class folders, or give CIFAR-10"
)


def listing(folder: Path) -> str:
    """sha256 (hex) over relative path, size and modification time of a folder's dataset files.

    Raises UserError where one of them cannot be read, as a link that leads nowhere.
    """
    digest = hashlib.sha256()
    for name, entry in _dataset_files(folder):
        if entry.is_dir():  # its time changes with files that are not ours
            continue
        try:
            facts = entry.stat()
        except OSError as error:
            raise UserError(f"{entry.path}: cannot be read ({error.strerror})") from error
        digest.update(os.fsencode(name) + f"\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def read_bundle(path: Path) -> Bundle:
    """All dataset files at `path`, an archive or a folder (see `find_dataset`).

    Raises UserError where the archive is cut off, corrupt or too large, and where there is no
    dataset or more than one in it.
    """
    entries = _read_folder(path) if path.is_dir() else _read_archive(path)
    found = _Entries(path)
    for entry in entries:
        found.add(entry)
    return found.bundle()


class _Entries:
    """The entries of an archive or a folder, sorted into those of a dataset and others."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[tuple[str, str], bytes] = {}
        self._unsplit: dict[tuple[str, str], bytes] = {}
        self._folders: set[tuple[str, str]] = set()
        self._skipped: list[str] = []
        self._without_class: list[str] = []
        self._outside: list[str] = []
        self._others: list[str] = []
        self._cifar_100 = False

    def add(self, entry: Entry) -> None:
        """Sort an entry in. Raises UserError where it is there twice."""
        name, content, folder = entry
        self._cifar_100 |= bool(_CIFAR_100.fullmatch(name))
        match = (_CLASS_FOLDER if folder else _WANTED).fullmatch(name)
        if match is None or (content is None and not folder):
            self._add_other(entry)
            return
        path = match["path"]
        if split := match["split"]:
            path = f"{_SPLITS.get(split.lower(), VALIDATION)}{path[len(split) :]}"
        key = (match["top"] or "", path)
        if content is None:
            self._folders.add(key)
            return
        self._add_file(self._files, key, name, content)

    def _add_file(
        self, files: dict[tuple[str, str], bytes], key: tuple[str, str], name: str, content: bytes
    ) -> None:
        if files.setdefault(key, content) is not content:
            raise UserError(f"{self._path}: {name} is there twice; every file must be there once")

    def _add_other(self, entry: Entry) -> None:
        if entry.folder:
            return
        if _IMAGE_NAME.fullmatch(entry.name.rpartition("/")[2]):
            self._outside.append(entry.name)
        if _WITHOUT_CLASS.fullmatch(entry.name):
            self._without_class.append(entry.name)
        elif _OTHER_FILE.fullmatch(entry.name):
            self._skipped.append(entry.name)
        elif entry.content is not None and (match := _UNSPLIT.fullmatch(entry.name)):
            key = (match["top"] or "", f"{UNSPLIT}/{match['path']}")
            self._add_file(self._unsplit, key, entry.name, entry.content)
        else:
            self._others.append(entry.name)

    def bundle(self) -> Bundle:
        """All of it. Raises UserError where there is no dataset, or more than one."""
        several = len({path.split("/")[1] for _, path in self._unsplit}) > 1
        deeper: list[str] = []
        files = self._files
        if not files and several:
            files, deeper = _at_one_depth(self._unsplit)
        tops = sorted({top for top, _ in files})
        if not files:
            raise UserError(f"{self._path}: {self._instead()}; expected {FORMS}")
        if len(tops) > 1:
            names = ", ".join(repr(top or ".") for top in tops[:4])
            raise UserError(
                f"{self._path}: datasets in more than one place ({names}); keep only one"
            )
        found = {name: content for (_, name), content in sorted(files.items())}
        folders = frozenset(path for top, path in self._folders if top == tops[0])
        skipped, beside = self._skipped, list(self._beside(tops[0]))
        if not self._files:
            skipped, beside = self._in_no_split(tops[0])
            beside += deeper
        left = (skipped, self._without_class, beside)
        return Bundle(self._path, found, folders, *(tuple(sorted(names)) for names in left))

    def _beside(self, top: str) -> Iterator[str]:
        """Images in folders next to the splits, below the top folder."""
        start = f"{top}/" if top else ""
        for name in self._outside:
            first, _, rest = name.removeprefix(start).partition("/")
            usual = not first.startswith((".", "__MACOSX")) and not _SPLIT_NAME.fullmatch(first)
            if name.startswith(start) and rest and usual:
                yield name.removeprefix(start)

    def _in_no_split(self, top: str) -> tuple[list[str], list[str]]:
        """Other files in the class folders, and images in their sub-folders."""
        start = f"{top}/" if top else ""
        below = [name.removeprefix(start) for name in self._others if name.startswith(start)]
        others: list[str] = []
        images: list[str] = []
        for name in below:
            if "/" in name and not name.startswith((".", "__MACOSX")):
                image = _IMAGE_NAME.fullmatch(name.rpartition("/")[2])
                (images if image else others).append(name)
        return others, images

    def _instead(self) -> str:
        if self._cifar_100:
            return _IS_CIFAR_100
        if self._without_class:
            return _no_classes(self._without_class[0].split("/")[-2])
        return "no dataset in it"


def _at_one_depth(
    unsplit: dict[tuple[str, str], bytes],
) -> tuple[dict[tuple[str, str], bytes], list[str]]:
    """Files of class folders, and the names of images in sub-folders of these: below the top
    folder, as a folder on the disk is read. All of them are files where the tops lie apart."""
    top = min((top for top, _ in unsplit), key=lambda top: (top.count("/") if top else -1, top))
    start = f"{top}/" if top else ""
    files = {key: content for key, content in unsplit.items() if key[0] == top}
    others = [(one, path) for one, path in unsplit if one != top]
    classes = {path.split("/")[1] for _, path in files}
    if len(classes) < 2 or not all(one.startswith(start) for one, _ in others):
        return unsplit, []
    names = (f"{one}/{path.removeprefix(f'{UNSPLIT}/')}" for one, path in others)
    return files, [name.removeprefix(start) for name in names]


def _looks_like_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVE_SUFFIXES) and path.is_file()


def _dataset_files(folder: Path) -> list[tuple[str, os.DirEntry[str]]]:
    return _walk(folder) or _walk(folder, unsplit=True)


def _walk(
    folder: Path, *, unsplit: bool = False, denied: list[UserError] | None = None
) -> list[tuple[str, os.DirEntry[str]]]:
    """Dataset files and class folders with their relative names, sorted.

    Looks into the folder itself, then one level down, and nowhere that no form of dataset needs.
    With `unsplit` class folders are looked for that are in no split. Folders that may not be read
    are an error where nothing is found; with `denied` that goes there.
    """
    closed: list[UserError] = []
    try:
        own = _found_in(str(folder), "", unsplit)
        for child in () if own else os.scandir(folder):
            if child.is_dir() and child.name != "__MACOSX":
                try:
                    own += _found_in(child.path, f"{child.name}/", unsplit)
                except PermissionError as error:  # what is not used may be unreadable
                    closed.append(_unreadable(error))
    except OSError as error:
        raise _unreadable(error) from error
    if closed and not own:
        if denied is None:
            raise closed[0]
        denied += closed
    return sorted(own, key=lambda pair: os.fsencode(pair[0]))


def _unreadable(error: OSError) -> UserError:
    return UserError(f"{error.filename}: cannot be read ({error.strerror})")


def _found_in(folder: str, prefix: str, unsplit: bool) -> list[tuple[str, os.DirEntry[str]]]:
    """Of one folder; nothing where all images of its splits are in no class."""
    own = list((_class_folders if unsplit else _below)(folder, prefix))
    return own if any(not _WITHOUT_CLASS.fullmatch(name) for name, _ in own) else []


def _below(folder: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    for entry in os.scandir(folder):
        if _SPLIT_NAME.fullmatch(entry.name) and entry.is_dir():
            for group in os.scandir(entry.path):
                start = f"{prefix}{entry.name}/{group.name}"
                if group.is_dir() and not group.name.startswith("."):
                    yield start, group
                    yield from _files_in(group.path, start, _DEEPEST)
                elif _IMAGE_NAME.fullmatch(group.name):  # in no class: counted
                    yield start, group
        elif _BATCH_NAME.fullmatch(entry.name) and entry.is_file():
            yield prefix + entry.name, entry


def _files_in(folder: str, prefix: str, deepest: int) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The files of a class, those of its sub-folders too."""
    for entry in os.scandir(folder):
        name = f"{prefix}/{entry.name}"
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        if entry.is_file() or _leads_nowhere(entry):
            yield name, entry
        elif deepest and entry.is_dir():
            yield from _files_in(entry.path, name, deepest - 1)


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    """Whether it is a link without what it leads to: reading it is an error, which says so."""
    return entry.is_symlink() and not os.path.exists(entry.path)


def _class_folders(folder: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Images of folders next to each other, at least two with images."""
    found: dict[str, list[tuple[str, os.DirEntry[str]]]] = {}
    for group in _usual_folders(folder):
        images = [
            (f"{prefix}{group.name}/{file.name}", file)
            for file in os.scandir(group.path)
            if _IMAGE_NAME.fullmatch(file.name) and (file.is_file() or _leads_nowhere(file))
        ]
        if images:
            found[group.name] = images
    if len(found) > 1:
        for images in found.values():
            yield from images


def _read_folder(folder: Path) -> Iterator[Entry]:
    files = _dataset_files(folder)
    yield from (Entry(name) for name in _next_to_splits(folder, files[0][0] if files else ""))
    yield from map(Entry, _deeper_in_classes(folder, [name for name, _ in files]))
    for name, entry in files:
        try:
            is_folder = entry.is_dir()
            wanted = not is_folder and _is_read(name)
            content = Path(entry.path).read_bytes() if wanted else None
            yield Entry(name, content, is_folder)
        except OSError as error:
            raise UserError(f"{entry.path}: cannot be read ({error.strerror})") from error


def _next_to_splits(folder: Path, file: str) -> Iterator[str]:
    """Images in other folders than the splits of a folder, of which ``file`` is in one."""
    first, _, rest = file.partition("/")
    prefix = "" if _SPLIT_NAME.fullmatch(first) else f"{first}/"
    if not _SPLIT_NAME.fullmatch((rest if prefix else file).partition("/")[0]):
        return
    yield from _outside_of_splits(folder, prefix)


def _deeper_in_classes(folder: Path, files: Sequence[str]) -> Iterator[str]:
    """What else is below class folders that are in no split: ``files`` are the images that lie in
    the classes themselves."""
    tops = {name.rpartition("/")[0].rpartition("/")[0] for name in files}
    if len(tops) != 1 or not all(_UNSPLIT.fullmatch(name) for name in files):
        return
    (top,) = tops
    start = f"{top}/" if top else ""
    taken = set(files)
    yield from (name for name in _outside_of_splits(folder, start) if name not in taken)
    with suppress(OSError):  # a class called train, or images without a class
        for split in os.scandir(folder / start):
            if split.is_dir() and _SPLIT_NAME.fullmatch(split.name):
                yield from (name for name, _ in _files_in(split.path, start + split.name, 0))


def _outside_of_splits(folder: Path, prefix: str) -> Iterator[str]:
    """Files in folders that are no split, below a prefix: ``""`` or ``top/``."""
    with suppress(OSError):  # what is not used may be unreadable
        for group in _usual_folders(folder / prefix):
            for name, _entry in _files_in(group.path, prefix + group.name, _DEEPEST):
                yield name


def _usual_folders(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """The folders in a folder that are no split and not hidden."""
    for group in os.scandir(folder):
        usual = not group.name.startswith(".") and group.name != "__MACOSX"
        if usual and group.is_dir() and not _SPLIT_NAME.fullmatch(group.name):
            yield group


class _CheckedStream:
    """The unpacked stream of a tar: limits its length, and knows where its content ends.

    `tarfile` silently takes a damaged or missing header for the end of the archive; after
    a true end there is at least one block of zeros and nothing else.
    """

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self.stream, self.path = stream, path
        self.length = 0
        self.content_end = 0  # one past the last byte that is not zero

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        content = len(data.rstrip(b"\0"))
        if content:
            self.content_end = self.length + content
        self.length += len(data)
        if self.length > MAX_UNPACKED_BYTES:
            limit = f"{MAX_UNPACKED_BYTES / 1e9:.1f} GB"
            raise UserError(f"{self.path}: unpacks to more than {limit}; CIFAR-10 takes 0.2 GB")
        return data

    def check_end(self, offset: int) -> None:
        while self.read(1 << 20):
            pass  # also makes the decompressor check its own trailer
        if self.content_end > offset or self.length < offset + tarfile.BLOCKSIZE:
            raise EOFError(f"no whole member at byte {offset:,}, and no end mark")


class _Member(tarfile.TarInfo):
    """A member whose headers are small and whose content is as long as the archive's bytes.

    `tarfile` reads an extended header whole, whatever length it declares, and fills the holes of a
    sparse file with zeros that are nowhere in the archive.
    """

    _EXTENDED = (
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    )

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in self._EXTENDED and self.size > MAX_HEADER_BYTES:
            raise ValueError(f"a header of {self.size:,} bytes")
        if self.type == tarfile.GNUTYPE_SPARSE:
            self._refuse_sparse()
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]

    def _refuse_sparse(self, *_: object) -> None:
        raise ValueError(f"{self.name} is a sparse file")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


def _read_archive(path: Path) -> Iterator[Entry]:
    if zipfile.is_zipfile(path):
        yield from _read_zip(path)
        return
    try:
        with _unpacked(path) as stream:
            checked = _CheckedStream(stream, path)
            with tarfile.open(  # type: ignore[call-overload]
                fileobj=checked, mode="r|", bufsize=1 << 18, tarinfo=_Member
            ) as tar:
                yield from _members(tar, path)
                checked.check_end(tar.offset)
    except _DECODER_ERRORS as error:
        if what := _instead_of_archive(path):
            raise UserError(f"{path}: {what}; expected {FORMS}") from error
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"{path}: not a whole tar archive ({reason}); fetch it again, or give {FORMS}"
        ) from error


def _instead_of_archive(path: Path) -> str:
    """What a file is that is no archive; empty where it may be a damaged one."""
    with suppress(OSError), path.open("rb") as file:
        head = file.read(512)
        for start, what in _FOREIGN:
            if head.lstrip().lower().startswith(start):
                return what
        packed = head.startswith(_PACKED) or head[257:262] == b"ustar"
        if head and not packed and not _looks_like_archive(path):
            return "no archive"
    return ""


def _read_zip(path: Path) -> Iterator[Entry]:
    """The entries of a zip archive, as file managers make them. No more is read than is declared,
    and no more declared than the limits of tar archives allow."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                raise UserError(f"{path}: more than {MAX_MEMBERS:,} members; CIFAR-10 has 60,000")
            if sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
                limit = f"{MAX_UNPACKED_BYTES / 1e9:.1f} GB"
                raise UserError(f"{path}: unpacks to more than {limit}; CIFAR-10 takes 0.2 GB")
            for member in members:
                name = member.filename.removeprefix("./").rstrip("/")
                if "/" not in name:  # zipped on Windows
                    name = name.replace("\\", "/")
                if member.is_dir() or not _is_read(name):
                    yield Entry(name, folder=member.is_dir())
                    continue
                if member.file_size > MAX_FILE_BYTES:
                    limit = f"{MAX_FILE_BYTES // 1024**2} MiB"
                    raise UserError(
                        f"{path}: {name} has {member.file_size:,} bytes; at most {limit}"
                    )
                if member.flag_bits & 1:
                    raise UserError(f"{path}: {name} is encrypted; unpack the archive first")
                with archive.open(member) as stream:
                    content = stream.read(member.file_size + 1)
                if len(content) != member.file_size:
                    raise EOFError(f"{name} has another size than {member.file_size:,} bytes")
                yield Entry(name, content)
    except UserError:
        raise
    except (*_DECODER_ERRORS, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"{path}: not a whole zip archive ({reason}); fetch it again, or give {FORMS}"
        ) from error


def _is_read(name: str) -> bool:
    return bool(_WANTED.fullmatch(name) or _UNSPLIT.fullmatch(name))


def _members(tar: tarfile.TarFile, path: Path) -> Iterator[Entry]:
    for count, member in enumerate(tar):
        name = member.name.removeprefix("./")
        if not 0 <= member.size <= MAX_UNPACKED_BYTES:
            # The next one would be looked for after as many bytes, to the end and far beyond.
            raise ValueError(f"{name[:200]} declares {member.size:,} bytes")
        if count >= MAX_MEMBERS:
            raise UserError(f"{path}: more than {MAX_MEMBERS:,} members; CIFAR-10 has 60,000")
        if _is_read(name) and not member.isdir():
            yield Entry(name, _content(tar, member, path))
        else:
            yield Entry(name, folder=member.isdir())


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bytes:
    if not member.isreg():
        raise UserError(f"{path}: {member.name} is a link; the archive must hold the file itself")
    if member.size > MAX_FILE_BYTES:
        limit = MAX_FILE_BYTES // 1024**2
        raise UserError(f"{path}: {member.name} has {member.size:,} bytes; at most {limit} MiB")
    stream = tar.extractfile(member)
    content = b"" if stream is None else stream.read()
    if len(content) != member.size:
        raise EOFError(f"{member.name} has {len(content):,} of {member.size:,} bytes")
    return content


def _unpacked(path: Path) -> IO[bytes]:
    """The archive's bytes after decompression; its first bytes tell how it was packed."""
    with path.open("rb") as file:
        head = file.read(6)
    if head.startswith(b"\x1f\x8b"):
        return gzip.open(path)  # type: ignore[return-value]
    if head == b"\xfd7zXZ\0":
        return lzma.open(path)
    if head.startswith(b"BZh"):
        return bz2.open(path)
    return path.open("rb")
