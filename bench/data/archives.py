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
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.core.errors import UserError

FORMS = (
    "an archive or folder with data_batch_1.bin … test_batch.bin, with data_batch_1 … test_batch, "
    "or with train/<class>/*.png|jpg and test/<class>/*.png|jpg"
)
ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")

# CIFAR-10 unpacks to 180 MB and 60,000 files; these leave room and stop an archive that was made
# to fill the memory.
MAX_UNPACKED_BYTES = 2 * 1024**3
MAX_FILE_BYTES = 512 * 1024**2
MAX_MEMBERS = 300_000
MAX_HEADER_BYTES = 64 * 1024  # of an extended header, which holds a long name

_PART = r"[^/.][^/]*"  # a name that is not hidden, and neither . nor ..
_IMAGE = rf"{_PART}\.(?i:png|jpg|jpeg)"
_BATCH = r"(?:data_batch_\d+|test_batch)(?:\.bin)?|batches\.meta(?:\.txt)?"
_IMAGE_NAME, _BATCH_NAME = re.compile(_IMAGE), re.compile(_BATCH)
_WANTED = re.compile(rf"(?:(?P<top>{_PART})/)??(?P<path>{_BATCH}|(?:train|test)/{_PART}/{_IMAGE})")
_CLASS_FOLDER = re.compile(rf"(?:(?P<top>{_PART})/)??(?P<path>(?:train|test)/{_PART})")
_DECODER_ERRORS = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError, ValueError)


@dataclass(frozen=True)
class Bundle:
    """The dataset files found at `origin`.

    `files`: path below the top folder to content, sorted by path. `folders`: the class folders
    (`train/cat`) that were seen, those without an image too.
    """

    origin: Path
    files: dict[str, bytes]
    folders: frozenset[str]

    def digest(self) -> str:
        """sha256 (hex) over the sorted relative paths and contents of the files."""
        digest = hashlib.sha256()
        for name, content in self.files.items():
            digest.update(f"{len(name.encode())} {name} {len(content)} ".encode())
            digest.update(content)
        return digest.hexdigest()


def find_dataset(path: Path) -> Path:
    """The dataset at `path`: itself, or the only archive or dataset folder within that folder.

    Raises UserError where nothing is there, or more than one.
    """
    if not os.path.exists(path):  # unlike the method of Path, never raises
        raise UserError(f"{path}: no such file or folder; expected {FORMS}")
    if path.is_file() or _walk(path):
        return path
    archives = [child for child in sorted(path.iterdir()) if _looks_like_archive(child)]
    if not archives:
        raise UserError(f"{path}: no dataset in this folder; expected {FORMS}")
    if len(archives) > 1:
        names = ", ".join(archive.name for archive in archives[:4])
        raise UserError(f"{path}: more than one archive ({names}); give the path of one of them")
    return archives[0]


def listing(folder: Path) -> str:
    """sha256 (hex) over relative path, size and modification time of a folder's dataset files."""
    digest = hashlib.sha256()
    for name, entry in _walk(folder):
        if entry.is_dir():  # its time changes with files that are not ours
            continue
        facts = entry.stat()
        digest.update(f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def read_bundle(path: Path) -> Bundle:
    """All dataset files at `path`, an archive or a folder (see `find_dataset`).

    Raises UserError where the archive is cut off, corrupt or too large, and where there is no
    dataset or more than one in it.
    """
    found: dict[tuple[str, str], bytes] = {}
    folders: set[str] = set()
    entries = _read_folder(path) if path.is_dir() else _read_archive(path)
    for name, content in entries:
        match = (_CLASS_FOLDER if content is None else _WANTED).fullmatch(name)
        if match is None:
            continue
        if content is None:
            folders.add(match["path"])
        elif found.setdefault((match["top"] or "", match["path"]), content) is not content:
            raise UserError(f"{path}: {name} is there twice; every file must be there once")
    tops = sorted({top for top, _ in found})
    if not found:
        raise UserError(f"{path}: no dataset in it; expected {FORMS}")
    if len(tops) > 1:
        names = ", ".join(repr(top or ".") for top in tops[:4])
        raise UserError(f"{path}: datasets in more than one place ({names}); keep only one")
    files = {name: content for (_, name), content in sorted(found.items())}
    return Bundle(path, files, frozenset(folders))


def _looks_like_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVE_SUFFIXES) and path.is_file()


def _walk(folder: Path) -> list[tuple[str, os.DirEntry[str]]]:
    """Dataset files and class folders with their relative names, sorted.

    Looks into the folder itself, then one level down, and nowhere that no form of dataset needs.
    """
    try:
        own = list(_below(str(folder), ""))
        if not own:
            for child in os.scandir(folder):
                if child.is_dir():
                    own += _below(child.path, f"{child.name}/")
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from error
    return sorted(own, key=lambda pair: pair[0])


def _below(folder: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    for entry in os.scandir(folder):
        if entry.name in ("train", "test") and entry.is_dir():
            for group in os.scandir(entry.path):
                if group.is_dir():
                    start = f"{prefix}{entry.name}/{group.name}"
                    yield start, group
                    for file in os.scandir(group.path):
                        if _IMAGE_NAME.fullmatch(file.name) and file.is_file():
                            yield f"{start}/{file.name}", file
        elif _BATCH_NAME.fullmatch(entry.name) and entry.is_file():
            yield prefix + entry.name, entry


def _read_folder(folder: Path) -> Iterator[tuple[str, bytes | None]]:
    for name, entry in _walk(folder):
        try:
            yield name, None if entry.is_dir() else Path(entry.path).read_bytes()
        except OSError as error:
            raise UserError(f"{entry.path}: cannot be read ({error.strerror})") from error


class _CheckedStream:
    """The unpacked stream of a tar: limits its length, and knows where its content ends.

    `tarfile` takes a damaged or missing header for the end of the archive without a word; after
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


def _read_archive(path: Path) -> Iterator[tuple[str, bytes | None]]:
    try:
        with _unpacked(path) as stream:
            checked = _CheckedStream(stream, path)
            with tarfile.open(  # type: ignore[call-overload]
                fileobj=checked, mode="r|", bufsize=1 << 18, tarinfo=_Member
            ) as tar:
                yield from _members(tar, path)
                checked.check_end(tar.offset)
    except _DECODER_ERRORS as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"{path}: not a whole tar archive ({reason}); fetch it again, or give {FORMS}"
        ) from error


def _members(tar: tarfile.TarFile, path: Path) -> Iterator[tuple[str, bytes | None]]:
    for count, member in enumerate(tar):
        name = member.name.removeprefix("./")
        if not 0 <= member.size <= MAX_UNPACKED_BYTES:
            # The next one would be looked for behind as many bytes, to the end and far beyond.
            raise ValueError(f"{name[:200]} declares {member.size:,} bytes")
        if count >= MAX_MEMBERS:
            raise UserError(f"{path}: more than {MAX_MEMBERS:,} members; CIFAR-10 has 60,000")
        if member.isdir():
            yield name, None
        elif _WANTED.fullmatch(name):
            yield name, _content(tar, member, path)


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
