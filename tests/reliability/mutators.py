"""Mutations of inputs: of bytes, of JSON values, and of what lies within tar, zip and PNG files.

Checksums of containers are made right again after a mutation, or nearly all inputs would be refused
for them and no reader after them be reached. Everything is drawn from one `random.Random`.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

Mutate = Callable[[Sequence[bytes], random.Random], bytes]
"""A mutation of one of the seeds."""

_NUMBERS = (0, 1, 2, 127, 128, 255, 256, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, (1 << 63) - 1)
_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, 10**400, -0.0, 1e308, -1e-308, "", "a",
    "\ud800", "\x00", "é" * 300, "/", "../..", "NaN", [], {}, [[]], [None], [1, "a"], {"": 0},
    {"a": {"a": {}}}, [0] * 300, {"id": None}, "[" * 200,
)  # fmt: skip
"""Values that a JSON field may have in the place of its own."""
_TEXTS = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 5000, b"[" * 3000, b'{"a":' * 3000)
"""Texts that no JSON value of ours is written as."""


def of_bytes(seeds: Sequence[bytes], draw: random.Random) -> bytes:
    """One to eight changes: bits, numbers, cuts, repetitions, parts of another seed."""
    content = bytearray(draw.choice(seeds))
    for _ in range(draw.choice((1, 1, 2, 4, 8))):
        if not content:
            break
        at = draw.randrange(len(content))
        match draw.randrange(7):
            case 0:
                content[at] ^= 1 << draw.randrange(8)
            case 1:
                content[at] = draw.randrange(256)
            case 2:
                size = draw.choice((1, 2, 4, 8))
                number = draw.choice(_NUMBERS) & ((1 << 8 * size) - 1)
                content[at : at + size] = number.to_bytes(size, draw.choice(("little", "big")))
            case 3:
                del content[at : at + draw.randint(1, 64)]
            case 4:
                content[at:at] = content[at : at + draw.randint(1, 64)]
            case 5:
                other = draw.choice(seeds)
                start = draw.randrange(len(other) or 1)
                content[at:at] = other[start : start + draw.randint(1, 64)]
            case _:
                if draw.random() < 0.3:
                    del content[at:]
                else:
                    content[at:at] = draw.randbytes(draw.randint(1, 8))
    return bytes(content)


def of_json(seeds: Sequence[bytes], draw: random.Random) -> bytes:
    """Other values, names and nesting in a JSON text; now and then other bytes."""
    if draw.random() < 0.25:
        return of_bytes(seeds, draw)
    value = json.loads(draw.choice(seeds))
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        value = _changed(value, draw)
    text = json.dumps(value).encode("utf-8", "surrogatepass")
    if draw.random() < 0.1:
        at = text.find(b":", draw.randrange(len(text))) + 1
        if at:
            text = text[:at] + draw.choice(_TEXTS) + text[at:].lstrip(b" 0123456789.-e")
    return text


def _changed(value: Any, draw: random.Random) -> Any:
    """The value with one place of it changed, chosen by a walk from the top."""
    if not isinstance(value, dict | list) or not value or draw.random() < 0.15:
        return _nested(draw) if draw.random() < 0.05 else draw.choice(_ODD)
    if isinstance(value, list):
        place = draw.randrange(len(value))
        return [*value[:place], _changed(value[place], draw), *value[place + 1 :]]
    name = draw.choice(list(value))
    how = draw.random()
    if how < 0.1:
        return {key: of for key, of in value.items() if key != name}
    if how < 0.15:
        return {**value, draw.choice(("", "id", "case", name + "_")): value[name]}
    return {**value, name: _changed(value[name], draw)}


def _nested(draw: random.Random) -> Any:
    value: Any = 0
    for _ in range(draw.choice((10, 23, 25, 60, 400))):
        value = [value] if draw.random() < 0.5 else {"a": value}
    return value


def of_tar(seeds: Sequence[bytes], draw: random.Random) -> bytes:
    """Fields of headers with right checksums, members, the packing, and other bytes."""
    content = bytearray(draw.choice(seeds))
    for _ in range(draw.randint(1, 3)):
        block = draw.randrange(max(1, len(content) // 512)) * 512
        start, size = draw.choice(_TAR_FIELDS)
        field = draw.choice(
            (
                draw.randbytes(size),
                b"7" * size,
                b"\x80" + draw.randbytes(size - 1) if size > 1 else draw.choice(_TAR_TYPES),
                b"../" * (size // 3 + 1),
                b"\0" * size,
                draw.choice(_TAR_TYPES),
            )
        )[:size]
        content[block + start : block + start + len(field)] = field
        if draw.random() < 0.9 and block + 512 <= len(content):
            _sign(content, block)
    changed = bytes(content)
    if draw.random() < 0.3:
        changed = of_bytes([changed], draw)
    if draw.random() < 0.2:
        changed = gzip.compress(changed, 1, mtime=0)
        changed = of_bytes([changed], draw) if draw.random() < 0.5 else changed
    return changed


_TAR_FIELDS = ((0, 100), (0, 1), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8))
_TAR_TYPES = (b"0", b"1", b"2", b"5", b"L", b"K", b"x", b"g", b"S", b"\0", b"X", b"7")


def _sign(content: bytearray, block: int) -> None:
    """Write the checksum of a header."""
    content[block + 148 : block + 156] = b" " * 8
    total = sum(content[block : block + 512])
    content[block + 148 : block + 156] = b"%06o\0 " % (total & 0o777777)


def of_zip(seeds: Sequence[bytes], draw: random.Random) -> bytes:
    """Members with other contents and right checksums; now and then other bytes of the zip, and of
    a seed that is none."""
    seed = draw.choice(seeds)
    if draw.random() < 0.3 or not zipfile.is_zipfile(io.BytesIO(seed)):
        return of_bytes([seed], draw)
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(seed)) as old, zipfile.ZipFile(made, "w") as new:
        members = old.namelist()
        chosen = draw.choice(members)
        for name in members:
            inner = old.read(name)
            if name == chosen:
                inner = _member(name, inner, draw)
            packing = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            new.writestr(zipfile.ZipInfo(name), inner, packing)
    return made.getvalue()


def _member(name: str, content: bytes, draw: random.Random) -> bytes:
    if name.endswith(".json"):
        return of_json([content], draw)
    if content.startswith(b"\x93NUMPY") and draw.random() < 0.7:
        size = 10 + struct.unpack("<H", content[8:10])[0]
        head = of_bytes([content[10:size]], draw)
        if draw.random() < 0.3:
            head = draw.choice(_HEADERS)
        return content[:8] + struct.pack("<H", len(head) & 0xFFFF) + head + content[size:]
    return of_bytes([content], draw)


_HEADERS = (
    b"{'descr': '|O', 'fortran_order': False, 'shape': (8,), }",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (-8,), }",
    b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (8,), }",
    b"{'descr': '<f4', 'fortran_order': None, 'shape': 8, }",
    b"(" * 500, b"{" * 500, b"'", b"\\", b"0x", b"",
)  # fmt: skip


def of_png(seeds: Sequence[bytes], draw: random.Random) -> bytes:
    """Chunks of a PNG with other contents and right checksums; other formats by their bytes."""
    content = draw.choice(seeds)
    if not content.startswith(b"\x89PNG") or draw.random() < 0.3:
        return of_bytes([content], draw)
    chunks = []
    at = 8
    while at + 12 <= len(content):
        (size,) = struct.unpack(">I", content[at : at + 4])
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    place = draw.randrange(len(chunks))
    name, inner = chunks[place]
    match draw.randrange(4):
        case 0:
            chunks[place] = (name, of_bytes([inner or b"\0"], draw))
        case 1 if name == b"IHDR":
            size = draw.choice((0, 1, 31, 65535, 0x7FFFFFFF, 0xFFFFFFFF))
            chunks[place] = (name, struct.pack(">I", size) + inner[4:])
        case 2:
            chunks.insert(
                place, (draw.choice((b"acTL", b"fcTL", b"iCCP", b"tRNS", b"zTXt")), inner)
            )
        case _:
            packed = zlib.compress(draw.randbytes(draw.randint(0, 400)), 1)
            chunks[place] = (b"IDAT", packed)
    body = b"".join(
        struct.pack(">I", len(inner)) + name + inner + struct.pack(">I", zlib.crc32(name + inner))
        for name, inner in chunks
    )
    return content[:8] + body


def tar_of(files: dict[str, bytes]) -> bytes:
    """A tar archive of files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def of_safetensors(seeds: Sequence[bytes], draw: random.Random) -> bytes:
    """Headers with other values and a right length; now and then other bytes."""
    if draw.random() < 0.3:
        return of_bytes(seeds, draw)
    content = draw.choice(seeds)
    (size,) = struct.unpack("<Q", content[:8])
    head = of_json([content[8 : 8 + size]], draw)
    return struct.pack("<Q", len(head)) + head + content[8 + size :]


def of_shapes(seeds: Sequence[bytes], draw: random.Random) -> bytes:
    """Other shapes of tensors, as JSON: of any number and size of axes."""
    shapes = json.loads(draw.choice(seeds))
    for _ in range(draw.randint(1, 3)):
        name = draw.choice(list(shapes))
        match draw.randrange(4):
            case 0:
                del shapes[name]
                if not shapes:
                    return b"{}"
            case 1:
                shapes[name] = [draw.choice((0, 1, 3, 64, 2**31, 2**62)) for _ in shapes[name]]
            case 2 if shapes[name]:
                place = draw.randrange(len(shapes[name]))
                shapes[name][place] = draw.choice((0, 1, draw.randrange(1 << 20), 2**31, 2**62))
            case _:
                shapes[name] = [*shapes[name], draw.randrange(8)][draw.randrange(2) :]
    return json.dumps(shapes).encode()
